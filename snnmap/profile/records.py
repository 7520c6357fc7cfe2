"""A profile as records for programs: JSON values, CSV."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from snnmap.core import table
from snnmap.profile.layer import LayerProfile, Volume

if TYPE_CHECKING:
    from snnmap.profile.profile import GraphProfile

__all__ = ["format_csv", "summarise"]


def format_csv(profile: "GraphProfile") -> str:
    """Write a line a layer, and one that names the columns with their units."""
    return table.format_csv([_flatten(layer) for layer in profile.layers])


def summarise(profile: "GraphProfile") -> dict[str, Any]:
    """Return a profile as JSON values: what was assumed, totals, and a record a layer with the columns of the CSV."""
    return {
        "name": profile.name,
        "framework": profile.framework,
        "options": {**asdict(profile.options), "fps": profile.options.rate},
        "inputs": {name: list(shape) for name, shape in profile.inputs.items()},
        "totals": {
            "weights": profile.n_weights,
            "biases": profile.n_biases,
            "norm_parameters": profile.n_norms,
            "parameters": profile.n_parameters,
            "parameters_folded": profile.n_folded_parameters,
            "macs": profile.macs,
            "other_ops": profile.other_ops,
            "input_bits": profile.input.bits,
            "peak_live_bits": profile.peak.live.bits if profile.peak else 0,
            "counted_by_volume_only": [layer.name for layer in profile.opaque],
            "samples": profile.n_samples,
        },
        "layers": [_flatten(layer) for layer in profile.layers],
    }


def _flatten(layer: LayerProfile) -> dict[str, Any]:
    """Return a layer's figures under names with units; what was not measured is None."""
    found: dict[str, Any] = {
        "number": layer.number,
        "layer": layer.name,
        "module": layer.source,
        "operations": "+".join(layer.kinds),
        "input_shape": "x".join(map(str, layer.input_shape)),
        "output_shape": "x".join(map(str, layer.output_shape)),
        "kernel": "x".join(map(str, layer.kernel)),
        "strides": "x".join(map(str, layer.strides)),
        "weights": layer.n_weights,
        "biases": layer.n_biases,
        "norm_parameters": layer.n_norms,
        "parameters": layer.n_parameters,
        "parameters_folded": layer.n_folded_parameters,
        "shares_weights_with": layer.shares_with,
        "macs": layer.macs,
        "other_ops": layer.other_ops,
        "counted_by_volume_only": int(layer.is_opaque),
    }
    for name, volume in (("input", layer.input), ("output", layer.output), ("weight", layer.weight), ("live", layer.live)):
        found |= _flatten_volume(name, volume)
    found |= {
        "read_bytes_per_s": layer.bandwidth.read,
        "written_bytes_per_s": layer.bandwidth.written,
        "activation_bytes_per_s": layer.bandwidth.activations,
        "weight_bytes_per_s": layer.bandwidth.weights,
        "macs_per_byte": layer.intensity,
        "line_buffer_pixels": layer.line_buffer_pixels,
        "line_buffer_bits": layer.line_buffer_bits,
        "reduction": layer.reduction,
        "is_reduction": int(layer.is_reduction),
        "is_tap": int(layer.is_tap),
    }
    return found | (asdict(layer.sparsity) if layer.sparsity is not None else {})


def _flatten_volume(name: str, volume: Volume) -> dict[str, Any]:
    return {
        f"{name}_elements": volume.elements,
        f"{name}_bits": volume.bits,
        f"{name}_elements_per_input": volume.per_input_elements,
        f"{name}_bits_per_input": volume.per_input_bits,
    }

"""The last word on what was read: the ANN and the model's own forward, on the same samples."""

import copy
from pathlib import Path
from typing import Any

import numpy as np

from snnmap.convert.ann import Ann, run_ann
from snnmap.convert.rounding import measure_rounding
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.onnx import list_scores, open_model
from snnmap.frontends.torch.exported import find_exported_batch, is_exported
from snnmap.frontends.torch.precision import watch_types
from snnmap.frontends.torch.weight_hooks import settle_weights
from snnmap.graph import LayerGraph, run_graph

__all__ = ["confirm_graph", "confirm_onnx", "confirm_reading"]

_MOST = 16
_EXACT, _DOUBLE, _SINGLE = 1e-9, 1e-6, 1e-3
"""Largest difference, of the largest output: of a module that computes in float64 throughout, of one whose forward makes
constants in float32, and of one that computes in float32."""
_QUANTISED = 0.25
_FIX_OF_FORWARD = (
    "look for a forward, __call__, weight or mode that changes as the module runs (in evaluation mode a sample's outputs must "
    "not depend on the others in its batch), or export the module to ONNX"
)
_FIX_OF_GRAPH = "run the model beside the one that it was made from on the same inputs, and export or quantise it again"
_SMALL = 1e-3


def confirm_reading(ann: Ann, module: Any, input_shape: tuple[int, ...], samples: FloatArray | None) -> None:
    """Compare the outputs of an ANN with those of the module that it was read from.

    The module is run as a copy in evaluation mode, in double precision where its forward takes that. What the rounding errors of
    the ANN's own sums make of its outputs is allowed beside the limit (:func:`~snnmap.convert.rounding.measure_rounding`). Where
    activations are quantised the samples are moved a little, off the ties between levels, which rounding errors would decide.

    Args:
        ann: what was read.
        module: what it was read from.
        input_shape: of one sample.
        samples: ``(n, *input_shape)`` that are compared; None draws some.

    Raises:
        FrontendError: the outputs differ, or the module does not run.
    """
    rng = np.random.default_rng(0)
    if samples is None:
        samples = np.concatenate([rng.uniform(0.0, 1.0, (8, *input_shape)), rng.normal(size=(8, *input_shape))])
    spread = samples[:: -(-len(samples) // _MOST)]
    values = np.concatenate([spread, spread])[: max(len(spread), 2)].reshape(-1, *input_shape)
    has_steps = any(layer.step is not None for layer in ann.layers)
    if has_steps:
        values = values + _SMALL * (np.ptp(values) or 1.0) * rng.uniform(-1.0, 1.0, values.shape)
    wanted, tolerance = _run_module(module, values)
    found = _finish(ann, run_ann(ann, values)["output"])
    size = float(np.abs(wanted).max(initial=0.0)) or 1.0
    if wanted.size != found.size or not np.isfinite(wanted).all():
        raise _refuse(
            f"{wanted.size // len(values)} outputs, {np.count_nonzero(~np.isfinite(wanted))} not finite", found.shape[1]
        )
    differences = np.abs(found - wanted.reshape(found.shape)).max(axis=1, initial=0.0) / size
    wrong = differences > tolerance
    if wrong.any() and not has_steps:
        tolerance += measure_rounding(ann, values) / size  # which takes as long as some runs
        wrong = differences > tolerance
    if np.mean(wrong) > (0.2 if has_steps else 0.0):
        measured = (
            f"outputs of {np.count_nonzero(wrong)} of {len(values)} samples, by up to {differences.max():.2g} of the largest"
        )
        raise _refuse(measured, tolerance)


def confirm_onnx(ann: Ann, source: Any, samples: FloatArray) -> None:
    """Compare an ANN with a run of the ONNX model that it was read from, where onnxruntime is installed and runs it.

    Quantisation of the input and of the output, which reading passes over, is allowed for.

    Args:
        ann: what was read.
        source: path, or ``onnx.ModelProto``.
        samples: ``(n, ...)`` inputs.

    Raises:
        FrontendError: the outputs differ.
    """
    values = samples[:: -(-len(samples) // _MOST)]
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # operators as they are written
        model = str(source) if isinstance(source, str | Path) else source.SerializeToString()
        runtime = onnxruntime.InferenceSession(model, options)
        entry = runtime.get_inputs()[0]
        sides = [side if isinstance(side, int) else given for side, given in zip(entry.shape[1:], values.shape[1:], strict=False)]
        name = list_scores(open_model(source)[0].graph)[0]
        given = [{entry.name: row.reshape(1, *sides).astype(np.float32)} for row in values]
        rows = [_list_values(runtime.run([name], one)[0]) for one in given]
    except Exception:  # not installed, or an operator that it lacks: there is nothing to compare with
        return
    _compare(ann, values, np.asarray(rows, np.float64), is_quantised=_has_quantiser(source))


def confirm_graph(ann: Ann, graph: LayerGraph, samples: FloatArray) -> None:
    """Compare an ANN with the reference run of the layer graph that it was read from, as :func:`confirm_onnx` does.

    Raises:
        FrontendError: the outputs differ.
    """
    values, (given,) = samples[:: -(-len(samples) // _MOST)], graph.inputs.values()
    if values[0].size != np.prod(given.shape):
        return  # which is told of the calibration data themselves
    run = run_graph(graph, values.reshape(len(values), *given.shape))
    is_quantised = any(node.kind in ("QuantizeLinear", "Levels") for node in graph.nodes)
    _compare(ann, values, np.asarray(run[graph.outputs[0]], np.float64).reshape(len(values), -1), is_quantised=is_quantised)


def _compare(ann: Ann, values: FloatArray, wanted: FloatArray, *, is_quantised: bool) -> None:
    found = _finish(ann, run_ann(ann, values)["output"])
    if wanted.shape != found.shape:
        raise _refuse(f"{wanted.shape[1]} outputs", found.shape[1], _FIX_OF_GRAPH)
    is_quantised = is_quantised or any(layer.step is not None for layer in ann.layers)
    size = float(np.sqrt(np.mean(wanted**2))) or 1.0
    error = float(np.sqrt(np.mean((found - wanted) ** 2))) / size
    limit = _QUANTISED if is_quantised else _SINGLE
    if error > limit:
        raise _refuse(f"relative error {error:.2g} of the outputs on {len(values)} samples", limit, _FIX_OF_GRAPH)


def _list_values(found: Any) -> FloatArray:
    """Return the values of an output of one sample, which may be scores by the names of classes."""
    (scores,) = found if isinstance(found, list) else (found,)
    return np.asarray(list(scores.values()) if isinstance(scores, dict) else scores, np.float64).reshape(-1)


def _has_quantiser(source: Any) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in open_model(source)[0].graph.node)


def _run_module(module: Any, values: FloatArray) -> tuple[FloatArray, float]:
    """Return the outputs, and how far they may be off."""
    import torch

    attempts: list[Any] = [lambda: _copy_in_doubles(module), lambda: copy.deepcopy(module), lambda: module]
    error: Exception | None = None
    for make in attempts:
        try:
            own = make()
            modes = {part: part.training for part in own.modules()}
            first = next((p for p in (*own.parameters(), *own.buffers()) if p.is_floating_point()), torch.zeros(0))
            given = torch.as_tensor(values, dtype=first.dtype, device=first.device)
            try:
                with torch.no_grad(), watch_types() as types:
                    found = _call_exported(own, given) if is_exported(own) else _take_one(own.eval()(given))
            finally:
                for part, mode in modes.items():
                    part.training = mode
            rows = found.detach().cpu().double().numpy().reshape(len(values), -1)
        except Exception as failure:  # the user's own code
            error = error or failure
            last = failure
        else:
            is_exact = types == {torch.float64} and not isinstance(own, torch.jit.ScriptModule)  # into which nobody sees
            return rows, _SINGLE if first.dtype != torch.float64 else _EXACT if is_exact else _DOUBLE
    raise FrontendError.from_failure(
        "the module does not run on its input, so that what was read cannot be compared with it",
        last,
        where=type(module).__name__,
        fix=_find_fix(module),
    ) from error


def _copy_in_doubles(module: Any) -> Any:
    """Return a copy whose weights are those of the module, computed as it computes them, in float64."""
    own = copy.deepcopy(module).cpu().eval()
    settle_weights(own)
    return own.double()


def _find_fix(module: Any) -> str:
    """Say what to do about a module that does not run: floats for weights that no layer of torch multiplies floats by."""
    for path, parameter in module.named_parameters():
        if not parameter.is_floating_point():
            layer, _, name = path.rpartition(".")
            owner = f"model.get_submodule('{layer}').{name}"
            kind = str(parameter.dtype).removeprefix("torch.")
            return f"scale '{path}', which is {kind}, to floats: {owner} = torch.nn.Parameter({owner}.float() * scale)"
    return "give a module that takes one batch of these inputs and gives one tensor, and inputs as it takes them"


def _call_exported(module: Any, given: Any) -> Any:
    """Run what was exported, for as many samples at a time as it was exported for."""
    import torch

    size = find_exported_batch(module.graph) or len(given)
    parts = [given[torch.arange(start, start + size) % len(given)] for start in range(0, len(given), size)]
    return torch.cat([_take_one(module(part)) for part in parts])[: len(given)]


def _take_one(found: Any) -> Any:
    """Return the one output of a module, which may stand in a list, tuple or dict."""
    parts = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list | tuple) else [found]
    (one,) = parts
    return one


def _finish(ann: Ann, outputs: FloatArray) -> FloatArray:
    """Apply the final function that was left out of the ANN."""
    if not ann.left_out:
        return outputs
    if ann.left_out == "sigmoid":
        return np.exp(-np.logaddexp(0.0, -outputs))
    logs = outputs - outputs.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return np.asarray(logs if ann.left_out == "log_softmax" else np.exp(logs), np.float64)


def _refuse(measured: str, limit: Any, fix: str = _FIX_OF_FORWARD) -> FrontendError:
    return FrontendError(
        "what was read is not what the model computes",
        where="forward",
        measured=measured,
        limit=f"{limit:g}" if isinstance(limit, float) else f"{limit} finite outputs a sample",
        fix=fix,
    )

"""TorchScript modules, which torch itself writes as ONNX models."""

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.onnx import read_layer_graph
from snnmap.graph import LayerGraph, measure_difference, run_graph

__all__ = ["read_script"]

_OPSET = 17
_LIMIT = 1e-3
"""Greatest relative difference of an output, of a module that computes in float32."""


def read_script(module: Any, input_shapes: Sequence[Sequence[int]], *, opaque: bool) -> LayerGraph:
    """Read a traced or scripted module, in evaluation mode, as :func:`snnmap.frontends.torch.read_layer_graph` does others.

    Raises:
        FrontendError: onnx is missing, torch cannot write the module as an ONNX model, or parts of that have no operation.
    """
    import torch

    onnx = import_package("onnx")
    given = tuple(torch.zeros(2, *shape, dtype=_find_type(module)) for shape in input_shapes)
    names = [f"input{number}" for number in range(len(given))]
    file, was_training = BytesIO(), module.training
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of what this way of exporting becomes
            module.eval()
            torch.onnx.export(
                module,
                given,
                file,  # type: ignore[arg-type]  # which it takes where dynamo=False
                dynamo=False,
                verbose=False,
                opset_version=_OPSET,
                input_names=names,
                dynamic_axes={name: {0: "batch"} for name in names},
            )
    except Exception as error:  # whatever torch's exporter raises
        raise FrontendError.from_failure(
            "torch cannot write the TorchScript module as an ONNX model",
            error,
            where=type(module).__name__,
            fix="give the torch module that it was made from, or the shape of its inputs",
        ) from error
    finally:
        module.train(was_training)
    model = onnx.load_from_string(file.getvalue())
    graph = read_layer_graph(model, dict(zip(names, input_shapes, strict=True)), opaque=opaque)
    if not any(node.kind == "Opaque" for node in graph.nodes):
        _require_same(module, graph)
    return graph


def _find_type(module: Any) -> Any:
    """Return the type that a module computes in, that of its weights."""
    import torch

    return next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)


def _require_same(module: Any, graph: LayerGraph) -> None:
    """Hold a graph against a run of the module: torch's exporter loses changes in place, for one.

    Raises:
        FrontendError: the outputs differ.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(2, *kind.shape, generator=generator, dtype=_find_type(module)) for kind in graph.inputs.values()]
    found = run_graph(graph, {name: one.numpy() for name, one in zip(graph.inputs, given, strict=True)})
    was_training = module.training
    try:
        with torch.no_grad():
            wanted = module.eval()(*[one.clone() for one in given])
    finally:
        module.train(was_training)
    outputs = list(wanted.values()) if isinstance(wanted, dict) else wanted if isinstance(wanted, tuple | list) else [wanted]
    worst = max(measure_difference(found[name], one.numpy()) for name, one in zip(graph.outputs, outputs, strict=True))
    if not worst <= _LIMIT:
        raise FrontendError(
            "what torch writes of the TorchScript module as an ONNX model is not what the module computes",
            where=type(module).__name__,
            measured=f"relative difference {worst:.2g}",
            limit=f"{_LIMIT:g}",
            fix="give the torch module that it was made from",
        )

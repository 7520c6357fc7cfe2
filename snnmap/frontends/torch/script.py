"""TorchScript modules, which torch itself writes as ONNX models."""

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.onnx import read_layer_graph
from snnmap.graph import LayerGraph

__all__ = ["read_script"]

_OPSET = 17


def read_script(module: Any, input_shapes: Sequence[Sequence[int]], *, opaque: bool) -> LayerGraph:
    """Read a traced or scripted module, in evaluation mode, as :func:`snnmap.frontends.torch.read_layer_graph` does others.

    Raises:
        FrontendError: onnx is missing, torch cannot write the module as an ONNX model, or parts of that have no operation.
    """
    import torch

    onnx = import_package("onnx")
    given = tuple(torch.zeros(2, *shape) for shape in input_shapes)
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
    return read_layer_graph(onnx.load_from_string(file.getvalue()), dict(zip(names, input_shapes, strict=True)), opaque=opaque)

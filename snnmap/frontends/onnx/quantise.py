"""Quantise an ONNX model of floats, with onnxruntime's own tool."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import FrontendError, InputError
from snnmap.core.packages import import_package
from snnmap.frontends.onnx.integer_forms import write_integer_forms
from snnmap.frontends.onnx.metadata import METADATA_KEY
from snnmap.frontends.onnx.read import open_model

__all__ = ["quantise_model"]

_ALSO = (
    "Abs", "Div", "Elu", "Exp", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Max", "Min", "Neg", "PRelu", "Softplus", "Sqrt",
    "Sub", "Tanh",
)  # fmt: skip
"""What the tool leaves in floats unless it is told."""


def quantise_model(source: Any, samples: npt.ArrayLike) -> Any:
    """Quantise a model's weights to int8, a scale a channel, and its activations to uint8, by what they are on samples.

    A mean over all places becomes a GlobalAveragePool and a Sum additions, which onnxruntime computes in integers.

    Args:
        source: path of a file, or ``onnx.ModelProto``, of floats.
        samples: ``(n_samples, *shape)`` of its one input, of typical use.

    Returns:
        An ``onnx.ModelProto`` with QuantizeLinear and DequantizeLinear around its operations.

    Raises:
        FrontendError: onnx or onnxruntime is missing, the file cannot be read, or the tool cannot quantise it.
        InputError: no samples.
    """
    model, *_ = open_model(source)
    onnx = import_package("onnx", extra="crossbar")
    tool = import_package("onnxruntime.quantization", called="onnxruntime", extra="crossbar")
    values = np.asarray(samples, np.float32)
    if values.ndim < 2 or not len(values):
        raise InputError(
            "there are no samples to quantise by", measured=str(values.shape), limit="(n_samples, ...)", fix="give some"
        )
    plain = write_integer_forms(_list_one_input(model))
    with tempfile.TemporaryDirectory() as folder:
        path, folded, made = (Path(folder, f"{name}.onnx") for name in ("model", "folded", "quantised"))
        onnx.save(plain, str(path))
        logging.disable(logging.ERROR)  # the tool tells how it goes, and what we tell below
        try:
            tool.shape_inference.quant_pre_process(str(path), str(folded), skip_symbolic_shape=True)  # folds normalisations
            tool.quantize_static(
                str(folded),
                str(made),
                _Samples(plain.graph.input[0].name, values),
                quant_format=tool.QuantFormat.QDQ,
                op_types_to_quantize=[*tool.registry.QDQRegistry, *tool.registry.QLinearOpsRegistry, *_ALSO],
                per_channel=True,
                activation_type=tool.QuantType.QUInt8,
                weight_type=tool.QuantType.QInt8,
            )
        except Exception as error:  # onnxruntime lets through whatever its session raises
            raise FrontendError.from_failure(
                "onnxruntime cannot quantise the model", error, where="calibration", fix="give samples of the input's shape"
            ) from error
        finally:
            logging.disable(logging.NOTSET)
        return _drop_told(onnx.load(str(made)))


def _list_one_input(model: Any) -> Any:
    """Return the model without inputs that are constants, as old exporters list them."""
    plain = type(model)()
    plain.CopyFrom(model)
    plain.ir_version = max(plain.ir_version, 4)  # before, constants had to be inputs
    constants = {entry.name for entry in plain.graph.initializer}
    given = [entry for entry in plain.graph.input if entry.name not in constants]
    del plain.graph.input[:]
    plain.graph.input.extend(given)
    if len(given) != 1:
        raise FrontendError(
            "the model has no input of its own, or several", measured=str(len(given)), limit="1", fix="export it with one input"
        )
    return plain


def _drop_told(model: Any) -> Any:
    """Return a quantised model without a quantisation that its metadata told of the floats."""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


class _Samples:
    """Samples one by one, as onnxruntime's tool asks for them."""

    def __init__(self, name: str, values: npt.NDArray[np.float32]) -> None:
        self.name, self.values, self.at = name, values, 0

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next sample by the input's name, or None behind the last."""
        if self.at == len(self.values):
            return None
        self.at += 1
        return {self.name: self.values[self.at - 1 : self.at]}

    def __iter__(self) -> "_Samples":
        return self

    def __next__(self) -> dict[str, npt.NDArray[np.float32]]:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found

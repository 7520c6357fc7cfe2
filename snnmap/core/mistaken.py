"""What was given in the place of a model, and what to give instead."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["find_mistake"]

_BATCHES = "give the model first, and its inputs as calibration: torch.cat([batch[0] for batch in loader])"
_EXPORT = "export it to ONNX, and give the file: model.export('net.onnx', format='onnx')"
_EXPORT_KERAS_2 = "export it to ONNX, and give the file: tf2onnx.convert.from_keras(model, output_path='net.onnx')"
_OF_TORCH = ("torch", "snntorch", "norse", "sinabs", "spikingjelly")
_TORCH_MODELS = ("torch.nn.modules.", "torch.jit", "torch.export.")
"""Frameworks whose models are torch's modules, and the homes of these and of what torch makes of them."""


def _are_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(hasattr(one, "shape") for one in value.values())


def find_mistake(model: Any) -> tuple[str, str] | None:
    """Return what a thing is that is no model, and what to do; None where it may be one."""
    kind = type(model)
    homes = {cls.__module__ for cls in kind.__mro__}
    if model is None:
        return "nothing is no model", "let the function end with return and the model"
    if isinstance(model, tuple | list):
        return "several things are no model", "give the model alone"
    if isinstance(model, type):
        return "a class is not a model", f"make one: {model.__name__}(...), and load its weights"
    if _are_weights(model):
        return "weights alone are no model", "make the module, then load these weights: module.load_state_dict(...)"
    if isinstance(model, Mapping) and (key := next((key for key, value in model.items() if _are_weights(value)), None)):
        return "a checkpoint is no model", f"make the module, then load its weights: module.load_state_dict(checkpoint[{key!r}])"
    if _begin(homes, "torch.utils.data."):
        return "batches of data are no model", _BATCHES
    if isinstance(model, np.ndarray) or any((cls.__module__, cls.__name__) == ("torch", "Tensor") for cls in kind.__mro__):
        return "an array is no model", "give the model first, and the array as calibration="
    if kind.__module__.startswith(("tensorflow.", "keras.", "tf_keras.")):
        export = _EXPORT_KERAS_2 if kind.__module__.startswith("tf_keras.") else _EXPORT
        return "no reader takes models of Keras as they are", export
    if _begin(homes, *_OF_TORCH) and not _begin(homes, *_TORCH_MODELS):
        return "this is no torch.nn.Module", "give the module itself"
    return None


def _begin(names: Iterable[str], *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in names)

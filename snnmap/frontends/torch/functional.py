"""Calls of torch functions as the modules that do the same, so that each operation is read in one place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from snnmap.core.errors import FrontendError

__all__ = ["as_module", "clip_bounds", "knows_function"]

_CLAMPS = ("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_max")
_POOL = ("kernel_size", "stride", "padding")
_ARGUMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "relu": ("ReLU", ()),
    "relu_": ("ReLU", ()),
    "relu6": ("ReLU6", ()),
    "hardtanh": ("Hardtanh", ("min_val", "max_val")),
    "hardtanh_": ("Hardtanh", ("min_val", "max_val")),
    "hardsigmoid": ("Hardsigmoid", ()),
    "threshold": ("Threshold", ("threshold", "value")),
    "rrelu": ("RReLU", ("lower", "upper")),
    "leaky_relu": ("LeakyReLU", ("negative_slope",)),
    "leaky_relu_": ("LeakyReLU", ("negative_slope",)),
    **dict.fromkeys(
        ("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout"), ("Dropout", ("p", "training"))
    ),
    "contiguous": ("Identity", ()),
    "flatten": ("Flatten", ("start_dim", "end_dim")),
    "max_pool1d": ("MaxPool1d", (*_POOL, "dilation", "ceil_mode")),
    "max_pool2d": ("MaxPool2d", (*_POOL, "dilation", "ceil_mode")),
    "avg_pool1d": ("AvgPool1d", (*_POOL, "ceil_mode", "count_include_pad")),
    "avg_pool2d": ("AvgPool2d", (*_POOL, "ceil_mode", "count_include_pad", "divisor_override")),
    "adaptive_avg_pool1d": ("AdaptiveAvgPool1d", ("output_size",)),
    "adaptive_avg_pool2d": ("AdaptiveAvgPool2d", ("output_size",)),
    "adaptive_max_pool1d": ("AdaptiveMaxPool1d", ("output_size",)),
    "adaptive_max_pool2d": ("AdaptiveMaxPool2d", ("output_size",)),
}
"""Module and names of the arguments after the input, in the function's order, by function."""


def as_module(name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Return the ``torch.nn`` module that does what a function or method of torch does, or None where none is known.

    Args:
        name: of the function, such as ``max_pool2d``.
        arguments: after the input.
        keywords: of the call.

    Raises:
        FrontendError: the call does what no layer in evaluation does.
    """
    from torch import nn

    if name in _CLAMPS:
        return _clamp(name, arguments, keywords)
    if name not in _ARGUMENTS:
        return None
    kind, names = _ARGUMENTS[name]
    given = dict(zip(names, arguments, strict=False)) | {key: value for key, value in keywords.items() if key in names}
    make: Callable[..., Any] = getattr(nn, kind)
    if kind == "Dropout":
        _require_evaluation(name, given.get("training", keywords.get("train", True)))
        return make()
    if kind == "Flatten":
        return make(**{"start_dim": 0, "end_dim": -1, **given})
    return make(**{key: value for key, value in given.items() if value is not None and value != []})  # exported strides


def knows_function(name: str) -> bool:
    """Say whether :func:`as_module` knows a function."""
    return name in _ARGUMENTS or name in _CLAMPS


def clip_bounds(module: Any) -> tuple[float, float]:
    """Return the least and largest value of a ReLU, ReLU6 or Hardtanh."""
    from torch import nn

    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return float(module.min_val), float(module.max_val)
    return 0.0, np.inf


def _require_evaluation(name: str, training: Any) -> None:
    if training:
        raise FrontendError(
            "a dropout that drops values in evaluation too",
            where=f"forward, {name}",
            fix=f"give {name}(..., training=self.training)",
        )


def _clamp(name: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    from torch import nn

    names = {"clamp_min": ("min",), "clamp_max": ("max",)}.get(name, ("min", "max"))
    given = dict(zip(names, arguments, strict=False)) | dict(keywords)
    low, high = given.get("min"), given.get("max")
    if not all(bound is None or isinstance(bound, int | float) for bound in (low, high)):
        raise FrontendError("a clamp to other bounds than numbers", where=name, fix="clamp between numbers")
    if low is not None and high is not None and low >= high:
        raise FrontendError(
            "a clamp whose bounds are in the wrong order", where=f"forward, {name}", measured=f"{low} to {high}", fix="swap them"
        )
    if low == 0 and high is None:
        return nn.ReLU()
    return nn.Hardtanh(-np.inf if low is None else float(low), np.inf if high is None else float(high))

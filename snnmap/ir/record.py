"""How the data of the pipeline are made: frozen, slotted, keyword-only, compared by content, arrays read-only."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, dataclass_transform

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "IntArray", "freeze_float", "freeze_int", "freeze_mapping", "record", "replace_array"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
A = TypeVar("A", bound=npt.NDArray[Any])


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """Make a frozen, slotted, keyword-only dataclass whose ``==`` compares arrays by dtype, shape and content."""
    namespace = {"__eq__": _equals, "__hash__": None}
    for name, value in namespace.items():
        setattr(cls, name, value)
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False)(cls)


def _equals(self: Any, other: object) -> Any:
    names: list[str] = [field.name for field in fields(self)]
    if type(self) is not type(other):
        return NotImplemented
    return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def freeze_float(values: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> FloatArray:
    """Copy to a read-only float64 array, broadcast to ``shape`` where one is given."""
    array = np.array(values, dtype=np.float64)
    return _freeze(array if shape is None else np.array(np.broadcast_to(array, shape)))


def freeze_int(values: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> IntArray:
    """Copy to a read-only int64 array, broadcast to ``shape`` where one is given.

    Raises:
        ValueError: when a value is not an integer, so that nothing is truncated in silence.
    """
    given = np.asarray(values)
    array = np.array(given, dtype=np.int64)
    if given.dtype.kind not in "iub" and not np.array_equal(array, given):
        raise ValueError("expected integers")
    return _freeze(array if shape is None else np.array(np.broadcast_to(array, shape)))


def freeze_mapping(values: Mapping[K, V]) -> Mapping[K, V]:
    """Copy to a read-only mapping."""
    return MappingProxyType(dict(values))


def replace_array(owner: object, name: str, array: object) -> None:
    """Set a field of a frozen record from its own ``__post_init__``."""
    object.__setattr__(owner, name, array)


def _freeze(array: A) -> A:
    array.setflags(write=False)
    return array


def _same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right)

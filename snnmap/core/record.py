"""How the data of the pipeline are made: frozen, slotted, keyword-only, compared by content, arrays read-only."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from typing import Any, TypeAlias, TypeVar, dataclass_transform

import numpy as np
import numpy.typing as npt

from snnmap.core.brief import brief_repr

__all__ = [
    "BoolArray",
    "FloatArray",
    "IntArray",
    "freeze_float",
    "freeze_int",
    "freeze_mapping",
    "is_count",
    "list_counted",
    "list_price_problems",
    "record",
    "replace_array",
    "seal",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
A = TypeVar("A", bound=npt.NDArray[Any])


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """Make a frozen, slotted, keyword-only dataclass whose ``==`` compares arrays by dtype, shape and content.

    Records pickle and copy; their arrays arrive read-only, which numpy alone does not see to. Their ``repr`` is short.
    """
    built = dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(cls)
    namespace = {"__eq__": _equals, "__hash__": None, "__getstate__": _get_state, "__setstate__": _set_state}
    for name, value in namespace.items():
        setattr(built, name, value)
    built.__repr__ = brief_repr  # type: ignore[method-assign]
    return built


def _get_state(self: Any) -> dict[str, Any]:
    return {field.name: getattr(self, field.name) for field in fields(self)}


def _set_state(self: Any, state: Mapping[str, Any]) -> None:
    for name, value in state.items():
        for array in value if isinstance(value, tuple) else (value,):
            if isinstance(array, np.ndarray):
                seal(array)
        object.__setattr__(self, name, value)


def _equals(self: Any, other: object) -> Any:
    names: list[str] = [field.name for field in fields(self)]
    if type(self) is not type(other):
        return NotImplemented
    return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def freeze_float(values: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> FloatArray:
    """Copy to a read-only float64 array, broadcast to ``shape`` where one is given; an array that is frozen already stays."""
    given = np.asarray(values)
    array: FloatArray = given if _is_frozen(given, np.float64) else np.array(given, dtype=np.float64)
    return seal(array if shape is None else np.array(np.broadcast_to(array, shape)))


def freeze_int(values: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> IntArray:
    """Copy to a read-only int64 array, broadcast to ``shape`` where one is given; an array that is frozen already stays.

    Raises:
        ValueError: when a value is not an integer, so that nothing is truncated in silence.
    """
    given = np.asarray(values)
    array = given if _is_frozen(given, np.int64) else np.array(given, dtype=np.int64)
    if given.dtype.kind not in "iub" and not np.array_equal(array, given):
        raise ValueError("expected integers")
    return seal(array if shape is None else np.array(np.broadcast_to(array, shape)))


class _FrozenMapping(Mapping[K, V]):
    """A mapping that nobody changes; other than ``types.MappingProxyType`` it pickles and copies."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._items,)


def freeze_mapping(values: Mapping[K, V]) -> Mapping[K, V]:
    """Copy to a read-only mapping."""
    return _FrozenMapping(values)


def is_count(value: object, least: int = 1) -> bool:
    """Say whether a value is a whole number of at least so much."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def list_counted(part: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that count in its digest: those of its parts nested, without the ones at their default."""
    return {field.name: _as_plain(getattr(part, field.name)) for field in fields(part) if not _holds_default(part, field)}


def list_price_problems(prices: Any, sources: Any, *, called: str) -> Iterator[str]:
    """Yield what is wrong with prices, of which None is unknown, and with the words on where each comes from.

    Args:
        prices: a dataclass of numbers.
        sources: one of texts under the same names, empty where there is none.
        called: the part of the record that holds the prices.
    """
    for key, price in asdict(prices).items():
        if price is not None and not 0 <= price < np.inf:
            yield f"{called}.{key} = {price} is negative or no number"
        if price is None and getattr(sources, key):
            yield f"sources.{key} is the source of no price: {called} has no {key}"


def _as_plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_plain(item) for item in value]
    return list_counted(value) if is_dataclass(value) else value


def _holds_default(part: Any, field: "Field[Any]") -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return default is not MISSING and bool(getattr(part, field.name) == default)


def replace_array(owner: object, name: str, array: object) -> None:
    """Set a field of a frozen record from its own ``__post_init__``."""
    object.__setattr__(owner, name, array)


def _is_frozen(values: npt.NDArray[Any], dtype: type[np.generic]) -> bool:
    """Say whether values are an array of a type that nothing can change: it is read-only and shows no other's values."""
    return type(values) is np.ndarray and values.dtype == dtype and values.base is None and not values.flags.writeable


def seal(array: A) -> A:
    """Make an array that nobody else holds read-only, so that a record takes it without a copy."""
    array.setflags(write=False)
    return array


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if hasattr(left, "tocoo") and hasattr(right, "tocoo"):  # scipy's sparse arrays
        return bool(left.shape == right.shape and left.dtype == right.dtype and not (left != right).nnz)
    return bool(left == right)

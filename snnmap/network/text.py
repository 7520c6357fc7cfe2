"""The canonical text form of a network: JSON, one line an array, that round-trips exactly."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import numpy.typing as npt

from snnmap.chip import Readout
from snnmap.core import FloatArray, fsio
from snnmap.core.cached import cached
from snnmap.core.csr import CsrMatrix
from snnmap.core.errors import NetworkError
from snnmap.network.network import InputPort, Network, OutputPort, Population, Projection, Reset, SpikeSum

__all__ = ["digest_network", "format_network", "load_network", "parse_network", "save_network"]

T = TypeVar("T")
_FORMAT = "snnmap-network"
_VERSION = 1
_ARRAYS = {
    Population: {
        "alpha": np.float64,
        "beta": np.float64,
        "threshold": np.float64,
        "bias": np.float64,
        "v_reset": np.float64,
        "max_count": np.int64,
    },
    CsrMatrix: {"indptr": np.int64, "indices": np.int64, "data": np.float64},
}
_SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    Reset: (str,),
    Readout: (str,),
    int: (int,),
    float: (float, int),
    bool: (bool,),
}
_MAX_DELAY_STEPS, _MAX_INTEGER = 10_000, 2**31 - 1
_FEW_NEURONS = 2**20
"""Neurons that any file may claim: some tens of megabytes."""
_MOST_ROWS = 65_536
"""Entries of an array that are written at a time."""
_FEW_ROWS = 8192
"""Entries that show whether they repeat."""
_FEW_COMPILED = 1_000_000
"""Entries that are written as they are in the time in which compiled code is loaded."""
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, MemoryError)


def format_network(network: Network) -> str:
    """Write a network as text; equal networks give equal text.

    JSON with one line a scalar or array. Floats are written so that they read back to the same bits; an array whose
    values are all equal is written as one value (its shape follows from the population).
    """
    return "".join(_write_network(network))


@cached
def digest_network(network: Network) -> str:
    """Return the SHA-256 of a network's text form, in hexadecimal."""
    digest = hashlib.sha256()
    for part in _write_network(network):
        digest.update(part.encode())
    return digest.hexdigest()


def parse_network(text: str, *, where: str = "text") -> Network:
    """Read what :func:`format_network` wrote.

    Raises:
        NetworkError: not JSON, not this format, or a missing, unknown or malformed field.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> parse_network(format_network(network)) == network
        True
    """
    try:
        document = _take_header(json.loads(text))
        _require_size(document, len(text))
        return _read_network(document)
    except NetworkError as error:
        raise error.within(where) from error
    except _MALFORMED as error:
        raise NetworkError(
            f"the network file is malformed: {str(error) or type(error).__name__}",
            where=where,
            fix="give a file written by save_network",
        ) from error


def save_network(network: Network, path: Path | str) -> None:
    """Write the canonical text form to a file, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    fsio.write_file(Path(path), format_network(network).encode())


def load_network(path: Path | str) -> Network:
    """Read a network file.

    Raises:
        NetworkError: unreadable or malformed file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise NetworkError(
            f"the network file cannot be read: {reason}", where=str(path), fix="give the path of a saved network"
        ) from error
    return parse_network(text, where=str(path))


def _write_network(network: Network) -> Iterator[str]:
    """Yield the text in parts, so that no more of a large network than that is in memory."""
    yield from _indent({"format": _FORMAT, "version": _VERSION, **_to_plain(network)}, 0)
    yield "\n"


def _to_plain(value: Any) -> Any:
    if is_dataclass(value):
        arrays = _ARRAYS.get(type(value), {}) if isinstance(value, Population) else {}
        return {f.name: _array_to_plain(getattr(value, f.name), f.name in arrays) for f in fields(value)}
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if hasattr(value, "items"):
        return {key: _to_plain(item) for key, item in sorted(value.items())}
    return value


def _array_to_plain(value: Any, may_shrink: bool) -> Any:
    if not isinstance(value, np.ndarray):
        return _to_plain(value)
    if (
        may_shrink
        and value.ndim == 1
        and value.size
        and np.array_equal(value, np.full_like(value, value[0]))
        and not np.signbit(value).any()
    ):
        return value[0].item()
    return value


def _indent(value: Any, depth: int) -> Iterator[str]:
    nested = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    if isinstance(value, np.ndarray):
        yield from _write_array(value)
    elif not nested or not value:
        yield json.dumps(value)
    else:
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        items = value.items() if isinstance(value, dict) else zip(repeat(None), value)
        for index, (key, item) in enumerate(items):
            name = "" if key is None else f"{json.dumps(key)}: "
            yield f"{',' if index else opening}\n{'  ' * (depth + 1)}{name}"
            yield from _indent(item, depth + 1)
        yield f"\n{'  ' * depth}{closing}"


def _write_array(array: npt.NDArray[Any]) -> Iterator[str]:
    yield "["
    write = _write_rows if array.ndim != 1 or array.size < _FEW_COMPILED else _choose_writer(array)
    for start in range(0, len(array), _MOST_ROWS):
        rows = array[start : start + _MOST_ROWS]
        yield (", " if start else "") + write(rows)
    yield "]"


def _write_rows(rows: npt.NDArray[Any]) -> str:
    if rows.dtype == np.int64:
        return str(rows.tolist())[1:-1]  # as JSON, in less time
    return json.dumps(rows.tolist())[1:-1]


def _choose_writer(array: npt.NDArray[Any]) -> Callable[[npt.NDArray[Any]], str]:
    """Return what writes entries of a long array, compiled: of integers, or of floats that repeat, as those of a convolution."""
    from snnmap.network.digits import write_integers

    if array.dtype == np.int64:
        return lambda rows: str(write_integers(rows).tobytes(), "ascii")
    return _Repeated().write if array.dtype == np.float64 and 2 * np.unique(array[:_FEW_ROWS]).size <= _FEW_ROWS else _write_rows


class _Repeated:
    """Floats that repeat, each turned into text once; too many for that are written as others are."""

    def __init__(self) -> None:
        from snnmap.network.digits import N_SLOTS

        self._keys, self._numbers = np.zeros(N_SLOTS, np.int64), np.full(N_SLOTS, -1)
        self._n_known, self._letters, self._edges = 0, b"", np.zeros(1, np.int64)

    def write(self, values: FloatArray) -> str:
        """Write ``(n,)`` values."""
        from snnmap.network.digits import copy_texts, number_values

        if self._n_known < 0:
            return _write_rows(values)
        bits, n_before = np.ascontiguousarray(values).view(np.int64), self._n_known  # -0.0 is not 0.0
        numbers, self._n_known = number_values(bits, self._keys, self._numbers, n_before)
        if self._n_known < 0:
            return _write_rows(values)
        if self._n_known > n_before:
            fresh = values[np.unique(numbers, return_index=True)[1][-(self._n_known - n_before) :]]
            texts = [f"{text}, ".encode() for text in json.dumps(fresh.tolist())[1:-1].split(", ")]
            self._letters += b"".join(texts)
            self._edges = np.r_[self._edges, self._edges[-1] + np.cumsum([len(text) for text in texts])]
        return str(copy_texts(numbers, np.frombuffer(self._letters, np.uint8), self._edges).tobytes(), "ascii")


def _take_header(document: Any) -> dict[str, Any]:
    """Check format and version; give the rest."""
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise NetworkError("this is not a snnmap network", fix="give a file written by save_network")
    if (version := document.pop("version", None)) != _VERSION:
        raise NetworkError("the network file has another version", measured=str(version), limit=str(_VERSION))
    return document


def _require_size(document: dict[str, Any], n_signs: int) -> None:
    """Refuse populations of more neurons than a file of this length can wire, before anything is allocated for them."""
    claimed = sum(int(item["size"]) for item in document["populations"])
    limit = max(_FEW_NEURONS, n_signs)
    if claimed > limit:
        raise NetworkError(
            "the network file claims more neurons than it can wire",
            measured=f"{claimed} neurons in {n_signs} characters",
            limit=f"{limit} neurons",
            fix="give a file written by save_network, or correct the sizes of its populations",
        )


def _read_network(document: dict[str, Any]) -> Network:
    parts: dict[str, Any] = {
        "inputs": tuple(_read(InputPort, item) for item in document.pop("inputs")),
        "populations": tuple(_read(Population, item) for item in document.pop("populations")),
        "projections": tuple(_read_projection(item) for item in document.pop("projections")),
        "outputs": tuple(_read(OutputPort, item) for item in document.pop("outputs")),
        "sums": tuple(_read(SpikeSum, item) for item in document.pop("sums")),
    }
    return _read(Network, {**document, **parts})


def _read_projection(item: dict[str, Any]) -> Projection:
    projection = _read(Projection, {**item, "weights": _read(CsrMatrix, item["weights"])})
    if not 0 <= projection.delay_steps <= _MAX_DELAY_STEPS:
        raise NetworkError(
            "a delay is out of range",
            where=f"projection '{projection.name}'",
            measured=f"{projection.delay_steps} steps",
            limit=f"0 to {_MAX_DELAY_STEPS} steps",
            fix="correct the delay",
        )
    return projection


def _read(cls: type[T], item: dict[str, Any]) -> T:
    arrays, hints = _ARRAYS.get(cls, {}), get_type_hints(cls)
    values = {
        key: _read_array(value, arrays[key], key) if key in arrays else _read_value(value, hints.get(key), key)
        for key, value in item.items()
    }
    return cls(**values)


def _read_array(value: Any, dtype: type, key: str) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.asarray(value, dtype)
    if dtype is np.int64 and not np.array_equal(array, np.asarray(value)):
        raise ValueError(f"{key} holds what is not an integer")
    return array


def _read_value(value: Any, hint: Any, key: str) -> Any:
    """Check a scalar, or the texts of a list or mapping, against the field's type."""
    if hint in _SCALARS and type(value) not in _SCALARS[hint]:
        raise TypeError(f"{key} = {value!r:.80} is not of type {_SCALARS[hint][0].__name__}")
    if hint is int and not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        raise ValueError(f"{key} is beyond {_MAX_INTEGER}")
    if hint == Mapping[str, str]:
        return {_read_value(name, str, key): _read_value(text, str, key) for name, text in value.items()}
    if hint == tuple[str, ...]:
        return tuple(_read_value(text, str, key) for text in value)
    if isinstance(value, str):
        value.encode()
    return tuple(value) if isinstance(value, list) else value

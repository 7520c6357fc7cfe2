"""What an image says of itself: of which model it is, where its neurons are, how its outputs are read, and samples to test it."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, cast, get_args, get_origin, get_type_hints

import numpy as np

from snnmap.chip import Readout
from snnmap.core.errors import FormatError
from snnmap.core.record import FloatArray, IntArray, record
from snnmap.lif.program.comparison import Decision

__all__ = [
    "GoldenSample",
    "Manifest",
    "OutputReadout",
    "Place",
    "WaivedRule",
    "format_fields",
    "read_field",
    "read_manifest",
    "require_fit",
    "write_manifest",
]

_ROWS = ("input", "hidden", "output")
_DIGEST_DIGITS = 64
_MOST_READ = 65_536
_LARGEST, _MOST_STEPS = 2**40, 2**16 - 1
_FIX = "build the image anew, or assemble its text twin without the manifest"


@record
class Place:
    """Where an input port, a population, or its relays at one hop, went.

    Attributes:
        row: ``input``, ``hidden`` or ``output``.
        source: name of the port or population.
        module: path of the user's module; empty where it is not known.
        hop: 0 for the neurons themselves, k for their k-th relays.
        lag_steps: steps by which these run behind the model.
        runs: first slot, first neuron, and how many, of neurons that stand in a row.
    """

    row: str
    source: str
    module: str
    hop: int
    lag_steps: int
    runs: tuple[tuple[int, int, int], ...]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return sum(count for _, _, count in self.runs)

    def find_neuron(self, slot: int) -> int | None:
        """Return the neuron in a slot; None where another is."""
        return next((neuron + slot - first for first, neuron, count in self.runs if first <= slot < first + count), None)

    def find_slot(self, neuron: int) -> int | None:
        """Return the slot of a neuron; None where it has none."""
        return next((slot + neuron - first for slot, first, count in self.runs if first <= neuron < first + count), None)

    def to_pairs(self) -> tuple[IntArray, IntArray]:
        """Return slots and neurons, ``(size,) int64`` each."""
        runs = [(slot + np.arange(count), neuron + np.arange(count)) for slot, neuron, count in self.runs]
        slots, neurons = zip(*runs, strict=True) if runs else ((), ())
        return np.concatenate([np.zeros(0, np.int64), *slots]), np.concatenate([np.zeros(0, np.int64), *neurons])


@record
class OutputReadout:
    """How an output port is read.

    Attributes:
        port: its name.
        readout: ``spikes``, ``potential`` or ``current``.
        decision: how a class is read from the course of the values: the highest count, or last, mean or largest value.
        neurons: first output neuron, how many in a row, and the steps by which these run behind the inputs; in the order of
            the classes.
        scale: chip units per unit of the model of each, in hexadecimal notation; none for spikes.
    """

    port: str
    readout: Readout
    decision: Decision
    neurons: tuple[tuple[int, int, int], ...]
    scale: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of outputs."""
        return sum(count for _, count, _ in self.neurons)

    @property
    def slots(self) -> IntArray:
        """Output neurons in the order of the classes, ``(size,) int64``."""
        return np.concatenate([np.zeros(0, np.int64), *(first + np.arange(count) for first, count, _ in self.neurons)])

    @property
    def lags(self) -> IntArray:
        """Steps by which each runs behind the inputs, ``(size,) int64``."""
        return np.concatenate([np.zeros(0, np.int64), *(np.full(count, lag) for _, count, lag in self.neurons)])

    @property
    def units(self) -> FloatArray:
        """Chip units per unit of the model, ``(size,) float64``; ones for spikes."""
        return np.array([float.fromhex(text) for text in self.scale]) if self.scale else np.ones(self.size)


@record
class WaivedRule:
    """A finding that was accepted: its rule, where, and why."""

    rule: str
    place: str
    reason: str


@record
class GoldenSample:
    """A sample and what the image gives for it.

    Attributes:
        inputs: of each step, the channels that spike and how often.
        outputs: of each step and those that follow in silence, what is read at all ports, one after the other: counts, or states
            in the chip's integers, with no lag taken away.
    """

    inputs: tuple[tuple[tuple[int, int], ...], ...]
    outputs: tuple[tuple[int, ...], ...]

    def to_raster(self, n_inputs: int, settle_steps: int) -> IntArray:
        """Return the counts ``(n_steps, n_inputs)`` with the silent steps behind them."""
        raster = np.zeros((len(self.inputs) + settle_steps, n_inputs), np.int64)
        for step, spikes in enumerate(self.inputs):
            for channel, count in spikes:
                raster[step, channel] = count
        return raster


@record
class Manifest:
    """What an image says of itself; bitstreams/FORMAT.md gives its form in the file.

    Attributes:
        model: name of the network.
        model_digest: SHA-256 of the network in its canonical text form (``network.json``), in hexadecimal.
        chip: name of the chip.
        chip_digest: of its record.
        image_digest: what the SHA-256 at the end of the file would be without this block.
        tool: what built it, and its version.
        edited: whether blocks were changed after the build.
        settle_steps: silent steps that follow the inputs, until the last output has answered.
        readouts: of the output ports.
        places: of all input ports and populations.
        waivers: findings that were accepted.
        golden: samples with what the image gives for them.
    """

    model: str
    model_digest: str
    chip: str
    chip_digest: str
    image_digest: str
    tool: str
    edited: bool
    settle_steps: int
    readouts: tuple[OutputReadout, ...]
    places: tuple[Place, ...]
    waivers: tuple[WaivedRule, ...]
    golden: tuple[GoldenSample, ...]


def format_fields(manifest: Manifest) -> dict[str, str]:
    """Return each field as canonical JSON: ASCII, without white space, keys sorted; in ascending order of the names."""
    return {key: _to_json(value) for key, value in sorted(_to_plain(manifest).items())}


def write_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as one JSON object; equal manifests give equal bytes."""
    return ("{" + ",".join(f'"{key}":{text}' for key, text in format_fields(manifest).items()) + "}").encode()


def read_manifest(data: bytes, sizes: tuple[int, int, int]) -> Manifest:
    """Read what :func:`write_manifest` wrote, and hold it against the image.

    Args:
        data: the JSON object.
        sizes: input channels, hidden and output neurons of the image.

    Raises:
        FormatError: a field is missing, unknown, malformed or not canonical, or names what the image does not have.
    """
    try:
        manifest = cast(Manifest, _read(Manifest, json.loads(data), "the manifest"))
    except (ValueError, RecursionError) as error:
        raise _refuse(f"the manifest is malformed: {error}") from error
    if write_manifest(manifest) != data:
        raise _refuse("the manifest is not in its canonical form")
    require_fit(manifest, sizes)
    return manifest


def read_field(name: str, text: str) -> Any:
    """Read one field of a manifest from JSON.

    Raises:
        ValueError: it is malformed.
    """
    try:
        return _read(get_type_hints(Manifest)[name], json.loads(text), name)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error


def require_fit(manifest: Manifest, sizes: tuple[int, int, int]) -> None:
    """Hold a manifest against the image that it is of; ``sizes`` as :func:`read_manifest` takes them.

    Raises:
        FormatError: it names what the image does not have.
    """
    _require_digests(manifest)
    _require_places(manifest.places, dict(zip(_ROWS, sizes, strict=True)))
    for readout in manifest.readouts:
        _require_readout(readout, manifest.settle_steps, sizes[2])
    for number, golden in enumerate(manifest.golden):
        _require_golden(golden, f"golden sample {number}", manifest, sizes[0])


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_to_plain)


def _to_plain(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _read(kind: Any, value: Any, key: str) -> Any:
    """Read a value of a type: a record, a tuple, a word of several, a text, a number or a choice."""
    shape, words = _take_apart(kind)
    if shape is dataclass:
        return _read_record(cast("type[Any]", kind), value, key)
    if shape is tuple:
        return _read_tuple(words, value, key)
    if type(value) is not (str if words else kind) or (words and value not in words):
        raise ValueError(f"{key} is {_to_json(value):.60}")
    if isinstance(value, int) and (abs(value) > _LARGEST or (value < 0 and key != "outputs")):
        raise ValueError(f"{key} is {value}")
    return value


@lru_cache(maxsize=256)
def _take_apart(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return what a type is of, ``dataclass`` for a record, and the types or words in it."""
    return (dataclass if is_dataclass(kind) else get_origin(kind)), get_args(kind)


def _read_record(cls: type[Any], value: Any, key: str) -> Any:
    hints = get_type_hints(cls)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise ValueError(f"{key} has other fields than {', '.join(sorted(hints))}")
    return cls(**{name: _read(hints[name], value[name], name) for name in hints})


def _read_tuple(kinds: tuple[Any, ...], value: Any, key: str) -> Any:
    if not isinstance(value, list) or (kinds[-1] is not Ellipsis and len(value) != len(kinds)):
        raise ValueError(f"{key} is {_to_json(value):.60}")
    parts = [kinds[0]] * len(value) if kinds[-1] is Ellipsis else kinds
    return tuple(_read(part, item, key) for part, item in zip(parts, value, strict=True))


def _require_digests(manifest: Manifest) -> None:
    for name in ("model_digest", "chip_digest", "image_digest"):
        digest = getattr(manifest, name)
        if len(digest) != _DIGEST_DIGITS or set(digest) - set("0123456789abcdef"):
            raise _refuse(f"{name} is no SHA-256", measured=digest[:_DIGEST_DIGITS])


def _require_places(places: tuple[Place, ...], sizes: dict[str, int]) -> None:
    taken = sorted((place.row, first, first + count, place.source) for place in places for first, _, count in place.runs)
    before = ("", 0)
    for row, first, stop, source in taken:
        if stop > sizes.get(row, 0) or (row == before[0] and first < before[1]):
            raise _refuse(
                f"the manifest places '{source}' in slots that are another's or that the image does not have",
                measured=f"{row} slots {first}..{stop - 1}",
                limit=f"{sizes.get(row, 0)} {row} slots",
            )
        before = row, stop


def _require_readout(readout: OutputReadout, settle_steps: int, n_outputs: int) -> None:
    highest = max((first + count for first, count, _ in readout.neurons), default=0) - 1
    if highest >= n_outputs:
        raise _refuse(
            f"the manifest reads port '{readout.port}' from outputs that the image does not have",
            measured=f"output neurons up to {highest}",
            limit=f"{n_outputs} output neurons",
        )
    if readout.size > max(n_outputs, _MOST_READ):  # a port may read a neuron again
        raise _refuse(
            f"the manifest reads port '{readout.port}' from outputs over and over",
            measured=f"{readout.size} values",
            limit=f"{max(n_outputs, _MOST_READ)} values",
        )
    if not max((lag for *_, lag in readout.neurons), default=0) <= settle_steps <= _MOST_STEPS:
        raise _refuse(f"port '{readout.port}' lags more than the image settles", measured=f"{settle_steps} steps")
    if len(readout.scale) != (0 if readout.readout == "spikes" else readout.size) or not all(map(_is_scale, readout.scale)):
        raise _refuse(f"port '{readout.port}' has no scale for each of its outputs", limit=f"{readout.size} outputs")


def _is_scale(text: str) -> bool:
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        return False
    return value > 0 and math.isfinite(value) and value.hex() == text


def _require_golden(golden: GoldenSample, what: str, manifest: Manifest, n_inputs: int) -> None:
    width = sum(readout.size for readout in manifest.readouts)
    for spikes in golden.inputs:
        channels = [channel for channel, _ in spikes]
        if channels != sorted(set(channels)) or max(channels, default=-1) >= n_inputs or any(count < 1 for _, count in spikes):
            raise _refuse(f"{what} names channels out of order, or that the image does not have", limit=f"{n_inputs} channels")
    n_steps = len(golden.inputs) + manifest.settle_steps
    if len(golden.outputs) != n_steps or any(len(values) != width for values in golden.outputs):
        raise _refuse(f"{what} has outputs of another shape", limit=f"{n_steps} steps of {width} values")


def _refuse(what: str, *, measured: str = "", limit: str = "") -> FormatError:
    return FormatError(what, where="block MANIFEST", measured=measured, limit=limit, fix=_FIX)

"""Two images beside each other, in the model's words."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import IntArray
from snnmap.core.record import record
from snnmap.lif.bitstream import digest_image
from snnmap.lif.compare import run_ports
from snnmap.lif.program import Image, Manifest, Place, Program, unpack
from snnmap.report.image import list_places

__all__ = ["compare_decisions_of", "compare_images"]

_MOST_LINES = 10
_MOST_SAMPLES = 8
_Weights = dict[tuple[int, int], int]
_Key = tuple[str, str, int]
_Codes = dict[str, dict[int, tuple[int, ...]]]
_MANIFEST = {
    "tool": "built by",
    "settle_steps": "silent steps behind the inputs",
    "places": "slots of the neurons",
    "waivers": "waivers",
}
_READOUT = {
    "readout": "read as",
    "decision": "class by the highest",
    "neurons": "neurons and lags",
    "scale": "chip units per unit of the model",
}
"""Fields of a manifest and of its readouts, in words."""


@record
class _Part:
    """What differs in one projection or population: how much, in a line, and value by value."""

    share: float
    text: str
    changes: Iterator[str]


def compare_images(before: Image, after: Image, *, full: bool = False) -> list[str]:
    """Return lines that say in what two images differ: chip, model, readouts, weights by projection, codes by population.

    Neurons are matched by population and number, wherever they are on the chip; without manifests by slot.

    Args:
        before: one image.
        after: the other.
        full: list all parts, and each weight and code that differs, with its slots and both values.
    """
    if before == after:
        return ["the images are equal"]
    lines = [f"chip: {before.chip.name}, then {after.chip.name}"] if before.chip != after.chip else []
    lines += _compare_manifests(before.manifest, after.manifest)
    if digest_image(before) == digest_image(after):
        return [*lines, "the memories are equal"]
    sides = _Named(before), _Named(after)
    found = sorted([*_compare_weights(*sides), *_compare_codes(*sides)], key=lambda part: -part.share)
    if full:
        return [*lines, *(line for part in found for line in (part.text, *part.changes))]
    more = len(found) - _MOST_LINES
    told = [part.text for part in found[:_MOST_LINES]]
    return [*lines, *told, *([f"and {more} more that differ less: --all lists them"] if more > 0 else [])]


def compare_decisions_of(before: Image, after: Image, raster: IntArray | None, *, full: bool = False) -> list[str]:
    """Return lines that say which decisions differ.

    Args:
        before: one image.
        after: the other.
        raster: ``(n_samples, n_steps, n_inputs)`` counts; None for the golden inputs of the first.
        full: list every sample that is decided otherwise.

    Raises:
        InputError: the raster does not suit the images.
    """
    manifests = before.manifest, after.manifest
    if manifests[0] is None or manifests[1] is None:
        return ["decisions: not known, since an image does not say how its outputs are read"]
    if before.sizes[0] != after.sizes[0]:
        return [f"decisions: not comparable, of {before.sizes[0]} and {after.sizes[0]} input channels"]
    rasters = _list_golden(manifests[0], before) if raster is None else [raster]
    if not sum(part.size for part in rasters):
        return ["decisions: give inputs to compare them (-i counts.npy)"]
    first, second = _decide(before, manifests[0], rasters), _decide(after, manifests[1], rasters)
    most = sum(map(len, rasters)) if full else _MOST_SAMPLES
    return [_compare_port(name, first[name], second[name], most) for name in first if name in second]


def _list_golden(manifest: Manifest, image: Image) -> list[IntArray]:
    """Return the inputs of each golden sample, ``(1, n_steps, n_inputs)``, which may differ in length, as the chip takes them."""
    most = image.chip.inputs.max_count
    return [np.minimum(golden.to_raster(image.sizes[0], 0), most)[np.newaxis] for golden in manifest.golden]


def _decide(image: Image, manifest: Manifest, rasters: Sequence[IntArray]) -> dict[str, IntArray | None]:
    """Return the class of each sample by port; None of ports that have none."""
    found: dict[str, list[IntArray]] = {}
    for raster in rasters:
        for run in run_ports(image, manifest, raster):
            found.setdefault(run.readout.port, []).extend([] if run.classes is None else [run.classes])
    return {name: np.concatenate(parts) if parts else None for name, parts in found.items()}


def _compare_port(name: str, before: IntArray | None, after: IntArray | None, most: int) -> str:
    if before is None or after is None:
        return f"decisions of '{name}': it has one output, and no classes"
    differing = np.flatnonzero(before != after)
    told = ", ".join(f"{k} ({before[k]}, then {after[k]})" for k in differing[:most].tolist())
    more = f" and {differing.size - most} more" if differing.size > most else ""
    return f"decisions of '{name}': {differing.size} of {before.size} differ{': samples ' if told else ''}{told}{more}"


def _compare_manifests(before: Manifest | None, after: Manifest | None) -> Iterator[str]:
    if before is None or after is None:
        if before is not after:
            yield f"only the {'second' if before is None else 'first'} says what it is"
        return
    if (before.model, before.model_digest) != (after.model, after.model_digest):
        yield f"model: {before.model} {before.model_digest[:12]}, then {after.model} {after.model_digest[:12]}"
    if before.edited != after.edited:
        yield f"only the {'second' if after.edited else 'first'} had memories edited after its build"
    yield from _compare_fields("", before, after, _MANIFEST)
    if before.image_digest == after.image_digest and before.golden != after.golden:
        yield f"golden samples differ: {len(before.golden)}, then {len(after.golden)}"
    if [port.port for port in before.readouts] == [port.port for port in after.readouts]:
        for old, new in zip(before.readouts, after.readouts, strict=True):
            yield from _compare_fields(f"output '{old.port}', ", old, new, _READOUT)
    else:
        old_ports, new_ports = (", ".join(port.port for port in side.readouts) for side in (before, after))
        yield f"outputs: {old_ports}, then {new_ports}"


def _compare_fields(of: str, before: object, after: object, fields: Mapping[str, str]) -> Iterator[str]:
    """Tell fields that differ, long ones without their values."""
    for name, what in fields.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new and isinstance(old, tuple):
            yield f"{of}{what} differ" + (f": {len(old)}, then {len(new)}" if len(old) != len(new) else "")
        elif old != new:
            yield f"{of}{what}: {old}, then {new}"


class _Named:
    """An image's program by the model's names."""

    def __init__(self, image: Image) -> None:
        self.program: Program = unpack(image)
        self.places = list_places(image)
        self.names: dict[str, tuple[list[str], IntArray]] = {}
        for row, size in zip(("input", "hidden", "output"), image.sizes, strict=True):
            labels, neurons = [row] * size, np.arange(size)
            for place in self.places:
                if place.row == row:
                    _label(place, labels, neurons)
            self.names[row] = labels, neurons
        self.slots = {
            (label, neuron): f"{row} {slot}"
            for row, (labels, neurons) in self.names.items()
            for slot, (label, neuron) in enumerate(zip(labels, neurons.tolist(), strict=True))
        }

    def list_weights(self) -> Mapping[_Key, _Weights]:
        """Return weights times their memory's shift, by projection, and in it by neurons."""
        found: defaultdict[_Key, _Weights] = defaultdict(dict)
        for kind in MemoryKind:
            matrices, shift = self.program.memory(kind)
            pre, pre_neurons = self.names["input" if kind is MemoryKind.INPUT else "hidden"]
            post, post_neurons = self.names["output" if kind is MemoryKind.OUTPUT else "hidden"]
            for synapse, matrix in enumerate(matrices):
                for source, target, weight in zip(
                    matrix.rows.tolist(), matrix.indices.tolist(), matrix.data.tolist(), strict=True
                ):
                    neurons = int(pre_neurons[source]), int(post_neurons[target])
                    found[pre[source], post[target], synapse][neurons] = weight << shift
        return found

    def list_codes(self) -> Mapping[str, _Codes]:
        """Return threshold, decays and bias of each neuron, by population."""
        found: defaultdict[str, _Codes] = defaultdict(lambda: {"thresholds": {}, "decays": {}, "biases": {}})
        for row, codes in (("hidden", self.program.hidden), ("output", self.program.outputs)):
            labels, neurons = self.names[row]
            for slot, label in enumerate(labels):
                neuron = int(neurons[slot])
                decays = (*codes.dash_syn[:, slot].tolist(), int(codes.dash_mem[slot]))
                found[label]["thresholds"][neuron] = (int(codes.threshold[slot]),)
                found[label]["decays"][neuron] = decays
                found[label]["biases"][neuron] = (int(codes.bias[slot]),)
        return found


def _label(place: Place, labels: list[str], neurons: IntArray) -> None:
    name = place.source + (f" relay {place.hop}" if place.hop else "")
    for slot, neuron in zip(*(side.tolist() for side in place.to_pairs()), strict=True):
        labels[slot], neurons[slot] = name, neuron


def _tell_slots(sides: tuple[_Named, _Named], *neurons: tuple[str, int]) -> str:
    """Name the slots of a neuron, or of the two that a synapse joins, in the first image, and in the second where they differ."""
    old, new = (" -> ".join(side.slots.get(neuron, "none") for neuron in neurons) for side in sides)
    return old if old == new else f"{old}, then {new}"


def _compare_weights(before: _Named, after: _Named) -> Iterator[_Part]:
    one, other = before.list_weights(), after.list_weights()
    for key in sorted(one.keys() | other.keys()):
        old, new = one.get(key, {}), other.get(key, {})
        pairs = {neurons: (old.get(neurons, 0), new.get(neurons, 0)) for neurons in old.keys() | new.keys()}
        change = {neurons: (a, b) for neurons, (a, b) in pairs.items() if a != b}
        if change:
            pre, post, synapse = key
            sizes = [abs(b - a) for a, b in change.values()]
            share = sum(sizes) / max(1, sum(abs(a) for a, _ in pairs.values()))
            told = f"{len(change)} of {len(pairs)} weights differ, by {share:.1%} in all, at most {max(sizes)}"
            text = f"{pre} -> {post}{f', synapse {synapse}' if synapse else ''}: {told}"
            yield _Part(share=share, text=text, changes=_list_weights((before, after), pre, post, change))


def _list_weights(
    sides: tuple[_Named, _Named], pre: str, post: str, change: Mapping[tuple[int, int], tuple[int, int]]
) -> Iterator[str]:
    for (source, target), (old, new) in sorted(change.items()):
        slots = _tell_slots(sides, (pre, source), (post, target))
        yield f"  {pre}[{source}] -> {post}[{target}] ({slots}): {old}, then {new}"


def _compare_codes(before: _Named, after: _Named) -> Iterator[_Part]:
    one, other = before.list_codes(), after.list_codes()
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            yield _Part(share=2.0, text=f"{name}: only in the {'second' if name not in one else 'first'}", changes=iter(()))
            continue
        told, worst = [], 0.0
        for what, old in one[name].items():
            new = other[name][what]
            differing = [neuron for neuron in old.keys() | new.keys() if old.get(neuron) != new.get(neuron)]
            if differing:
                told.append(f"{len(differing)} of {len(old)} {what}")
                worst = max(worst, len(differing) / len(old))
        if told:
            changes = _list_codes((before, after), name, one[name], other[name])
            yield _Part(share=worst, text=f"{name}: {', '.join(told)} differ", changes=changes)


def _list_codes(sides: tuple[_Named, _Named], name: str, before: _Codes, after: _Codes) -> Iterator[str]:
    for what, old in before.items():
        new = after[what]
        for neuron in sorted(old.keys() | new.keys()):
            if old.get(neuron) != new.get(neuron):
                told = ", then ".join(" ".join(map(str, side.get(neuron, ("none",)))) for side in (old, new))
                yield f"  {name}[{neuron}] ({_tell_slots(sides, (name, neuron))}), {what}: {told}"

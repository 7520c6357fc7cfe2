"""Two images beside each other, in the model's words."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import IntArray
from snnmap.lif.bitstream import digest_image
from snnmap.lif.compare import run_ports
from snnmap.lif.program import Image, Manifest, Place, Program, unpack
from snnmap.report.image import list_places

__all__ = ["compare_decisions_of", "compare_images"]

_MOST_LINES = 10
_MOST_SAMPLES = 8
_Weights = dict[tuple[int, int], int]
_Key = tuple[str, str, int]


def compare_images(before: Image, after: Image) -> list[str]:
    """Return lines that say in what two images differ: chip, model, weights by projection, codes by population.

    Neurons are matched by population and number, wherever they are on the chip; without manifests by slot.
    """
    if before == after:
        return ["the images are equal"]
    lines = [f"chip: {before.chip.name}, then {after.chip.name}"] if before.chip != after.chip else []
    lines += _compare_manifests(before.manifest, after.manifest)
    if digest_image(before) == digest_image(after):
        return [*lines, "the memories are equal"]
    found = [*_compare_weights(_Named(before), _Named(after)), *_compare_codes(_Named(before), _Named(after))]
    found.sort(key=lambda entry: -entry[0])
    lines += [text for _, text in found[:_MOST_LINES]]
    more = len(found) - _MOST_LINES
    return [*lines, f"and {more} more that differ less"] if more > 0 else lines


def compare_decisions_of(before: Image, after: Image, raster: IntArray | None) -> list[str]:
    """Return lines that say which decisions differ.

    Args:
        before: one image.
        after: the other.
        raster: ``(n_samples, n_steps, n_inputs)`` counts; None for the golden inputs of the first.

    Raises:
        InputError: the raster does not suit the images.
    """
    manifests = before.manifest, after.manifest
    if manifests[0] is None or manifests[1] is None:
        return ["decisions: not known, since an image does not say how its outputs are read"]
    if before.sizes[0] != after.sizes[0]:
        return [f"decisions: not comparable, of {before.sizes[0]} and {after.sizes[0]} input channels"]
    if raster is None:
        raster = _golden_inputs(manifests[0], before.sizes[0])
    if not raster.size:
        return ["decisions: give inputs to compare them (-i counts.npy)"]
    runs = run_ports(before, manifests[0], raster), run_ports(after, manifests[1], raster)
    ports = [{run.readout.port: run for run in side} for side in runs]
    return [_compare_port(name, ports[0][name].classes, ports[1][name].classes) for name in ports[0] if name in ports[1]]


def _golden_inputs(manifest: Manifest, n_inputs: int) -> IntArray:
    samples = [golden.to_raster(n_inputs, 0) for golden in manifest.golden]
    return np.stack(samples) if samples else np.zeros((0, 0, n_inputs), np.int64)


def _compare_port(name: str, before: IntArray | None, after: IntArray | None) -> str:
    if before is None or after is None:
        return f"decisions of '{name}': it has one output, and no classes"
    differing = np.flatnonzero(before != after)
    told = ", ".join(f"{k} ({before[k]}, then {after[k]})" for k in differing[:_MOST_SAMPLES].tolist())
    more = f" and {differing.size - _MOST_SAMPLES} more" if differing.size > _MOST_SAMPLES else ""
    return f"decisions of '{name}': {differing.size} of {before.size} differ{': samples ' if told else ''}{told}{more}"


def _compare_manifests(before: Manifest | None, after: Manifest | None) -> Iterator[str]:
    if before is None or after is None:
        if before is not after:
            yield f"only the {'second' if before is None else 'first'} says what it is"
        return
    if (before.model, before.model_digest) != (after.model, after.model_digest):
        yield f"model: {before.model} {before.model_digest[:12]}, then {after.model} {after.model_digest[:12]}"
    for name in ("tool", "edited", "settle_steps"):
        if getattr(before, name) != getattr(after, name):
            yield f"{name}: {getattr(before, name)}, then {getattr(after, name)}"
    for what, name in (("outputs", "port"), ("classes by", "decision")):
        old, new = (", ".join(getattr(port, name) for port in side.readouts) for side in (before, after))
        if old != new:
            yield f"{what}: {old}, then {new}"


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

    def list_codes(self) -> Mapping[str, dict[str, dict[int, tuple[int, ...]]]]:
        """Return threshold, decays and bias of each neuron, by population."""
        found: defaultdict[str, dict[str, dict[int, tuple[int, ...]]]] = defaultdict(
            lambda: {"thresholds": {}, "decays": {}, "biases": {}}
        )
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


def _compare_weights(before: _Named, after: _Named) -> Iterator[tuple[float, str]]:
    one, other = before.list_weights(), after.list_weights()
    for key in sorted(one.keys() | other.keys()):
        old, new = one.get(key, {}), other.get(key, {})
        pairs = [(old.get(neurons, 0), new.get(neurons, 0)) for neurons in old.keys() | new.keys()]
        change = [abs(b - a) for a, b in pairs if a != b]
        if change:
            pre, post, synapse = key
            share = sum(change) / max(1, sum(abs(a) for a, _ in pairs))
            told = f"{len(change)} of {len(pairs)} weights differ, by {share:.1%} in all, at most {max(change)}"
            yield share, f"{pre} -> {post}{f', synapse {synapse}' if synapse else ''}: {told}"


def _compare_codes(before: _Named, after: _Named) -> Iterator[tuple[float, str]]:
    one, other = before.list_codes(), after.list_codes()
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            yield 2.0, f"{name}: only in the {'second' if name not in one else 'first'}"
            continue
        told, worst = [], 0.0
        for what, old in one[name].items():
            new = other[name][what]
            differing = [neuron for neuron in old.keys() | new.keys() if old.get(neuron) != new.get(neuron)]
            if differing:
                told.append(f"{len(differing)} of {len(old)} {what}")
                worst = max(worst, len(differing) / len(old))
        if told:
            yield worst, f"{name}: {', '.join(told)} differ"

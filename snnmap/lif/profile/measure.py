"""What a run costs on the chip: counts that are measured, cycles and energy by the figures of the chip's record."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from snnmap.chip import MemoryKind
from snnmap.core import IntArray
from snnmap.lif.profile.aliases import needs_states, split_aliases
from snnmap.lif.profile.cycles import Shares, average_cycles, count_words, list_operations, list_words, walk_cycles
from snnmap.lif.profile.records import ChipProfile, Cycles, PopulationCost, StepCosts
from snnmap.lif.program import Image, Program, SlotTable, unpack
from snnmap.lif.simulator import require_counts, simulate_image
from snnmap.network import read_raster, require_steps

__all__ = ["Slots", "list_slots", "profile_image"]

_MOST_VALUES = 8_000_000
"""Counts that are held at a time."""


class Slots(NamedTuple):
    """Where a population stands on the chip."""

    area: Literal["hidden", "outputs"]
    slots: IntArray


def list_slots(table: SlotTable) -> dict[str, Slots]:
    """Return where each population of a folded network stands, its relays on a line of their own."""
    placed: dict[str, Slots] = {}
    for index, name in enumerate(table.sources):
        outputs, mine = table.output_slots(name), table.hidden_source == index
        rows: tuple[tuple[str, Slots], ...] = (
            (name, Slots("outputs", outputs)),
            (name, Slots("hidden", np.flatnonzero(mine & (table.hidden_hop == 0)))),
            (f"{name} (relays)", Slots("hidden", np.flatnonzero(mine & (table.hidden_hop > 0)))),
        )
        placed |= {label: place for label, place in rows if place.slots.size}
    return placed


def profile_image(
    image: Image, raster: npt.ArrayLike, *, populations: Mapping[str, Slots] | None = None, dt_s: float = 0.0
) -> ChipProfile:
    """Run an image and count what each of its actions costs.

    A weight word that is read changes a current: the state is read and written once, however many spikes. In each step every
    neuron's currents and its potential are read and written, each decays, and the currents and the bias are added.

    Args:
        image: as decoded from a bitstream.
        raster: ``(n_samples, n_steps, n_inputs)`` or ``(n_steps, n_inputs)`` spike counts.
        populations: where each stands; without, as the image's manifest says, or else there are hidden and output neurons.
        dt_s: length of a step in seconds.

    Raises:
        InputError: wrong raster, or one without steps, or counts beyond those of a channel.
    """
    program = unpack(image)
    counts = read_raster(raster, program.n_inputs, where="inputs")
    require_steps(counts, where="inputs", fix="give spike counts of typical inputs")
    require_counts(counts, program.chip)
    run = _measure(image, program, counts)
    placed = populations or _place(image, program)
    steps = counts.shape[0] * counts.shape[1]
    return ChipProfile(
        chip=program.chip,
        n_samples=counts.shape[0],
        n_steps=counts.shape[1],
        dt_s=dt_s,
        input_spikes=int(counts.sum()),
        populations=tuple(_cost_of(program, name, place, run, steps) for name, place in placed.items()),
        words_read={kind.weights_name: int(words.sum()) for kind, words in run.words.items()},
        cycles=tuple(_list_cycles(program, run)),
        steps=run.steps,
    )


def _place(image: Image, program: Program) -> dict[str, Slots]:
    """Return where each population stands by the image's manifest, relays on a line of their own; without, by area."""
    manifest, placed = image.manifest, dict[str, Slots]()
    for place in () if manifest is None else manifest.places:
        if place.row != "input":
            name = f"{place.source} (relays)" if place.hop else place.source
            slots = np.concatenate([np.arange(first, first + count) for first, _, count in place.runs])
            before = placed[name].slots if name in placed else np.zeros(0, np.int64)
            placed[name] = Slots("outputs" if place.row == "output" else "hidden", np.concatenate([before, slots]))
    return placed or {
        "hidden": Slots("hidden", np.arange(program.hidden.size)),
        "outputs": Slots("outputs", np.arange(program.outputs.size)),
    }


class _Run(NamedTuple):
    """What is known of a run.

    Attributes:
        spikes: spikes of each neuron, by area.
        operations: weights added to the currents of each target, by memory.
        words: weight words read for each target, by memory.
        shares: of channels and neurons that spike in a step.
        walked: cycles of each step, where the record has figures.
        steps: a line a step of the samples.
    """

    spikes: dict[str, IntArray]
    operations: dict[MemoryKind, IntArray]
    words: dict[MemoryKind, IntArray]
    shares: Shares
    walked: IntArray
    steps: StepCosts


def _measure(image: Image, program: Program, counts: IntArray) -> _Run:
    chip, walker = program.chip, program.chip.costs.walker
    spikes = {"hidden": np.zeros(program.hidden.size, np.int64), "outputs": np.zeros(program.outputs.size, np.int64)}
    sizes = {kind: kind.source(inputs=program.n_inputs, hidden=program.hidden.size) for kind in MemoryKind}
    arrived = {kind: np.zeros(size, np.int64) for kind, size in sizes.items()}
    active = {kind: np.zeros(size, np.int64) for kind, size in sizes.items()}
    walked, firing, steps = [], 0, _make_steps(counts.shape[1])
    states = ("hidden",) if walker is not None and needs_states(program) else ()
    chunk = max(1, _MOST_VALUES // max(1, counts.shape[1] * program.hidden.size))
    for start in range(0, len(counts), chunk):
        inputs = counts[start : start + chunk]
        recording = simulate_image(image, inputs, counts_of=("hidden", "outputs"), states_of=states)
        found = recording.counts
        for area, total in spikes.items():
            total += found[area].sum(axis=(0, 1))
        firing += int((found["hidden"] > 0).sum())
        arriving = {}
        for kind in MemoryKind:
            sent = kind.source(inputs=inputs, hidden=found["hidden"])
            late = _delay(sent, chip.memory(kind).delay_steps).reshape(-1, sizes[kind])
            arrived[kind] += late.sum(axis=0)
            active[kind] += (late > 0).sum(axis=0)
            arriving[kind] = late
        _add_steps(steps, program, inputs, found, arriving)
        if walker is not None:
            fired, copied = split_aliases(program, recording)
            hidden, outputs = (values.reshape(-1, values.shape[-1]) for values in (fired, found["outputs"]))
            walked.append(walk_cycles(program, walker, arriving, hidden, copied.ravel(), outputs))
            steps["cycles"] += _sum_steps(walked[-1], counts.shape[1])
    if walker is None:
        steps["cycles"] = np.zeros(0, np.int64)
    n_steps = counts.shape[0] * counts.shape[1]
    return _Run(
        spikes=spikes,
        operations={kind: list_operations(program.memory(kind).weights, arrived[kind]) for kind in MemoryKind},
        words={kind: list_words(program, kind, active[kind], n_steps) for kind in MemoryKind},
        shares=Shares(float((counts > 0).mean()), firing / max(1, n_steps * program.hidden.size)),
        walked=np.concatenate(walked) if walked else np.zeros(0, np.int64),
        steps=StepCosts(**steps),
    )


def _make_steps(n_steps: int) -> dict[str, IntArray]:
    shapes = {"weight_bits": (len(MemoryKind), n_steps)}
    return {field.name: np.zeros(shapes.get(field.name, (n_steps,)), np.int64) for field in fields(StepCosts)}


def _sum_steps(values: IntArray, n_steps: int) -> IntArray:
    """Sum what belongs to the same step of samples, ``(n_samples * n_steps, ...)`` to ``(n_steps,)``."""
    found: IntArray = values.reshape(-1, n_steps, values[0].size).sum(axis=(0, 2))
    return found


def _add_steps(
    steps: dict[str, IntArray],
    program: Program,
    inputs: IntArray,
    found: Mapping[str, IntArray],
    arriving: Mapping[MemoryKind, IntArray],
) -> None:
    """Add what some samples cost to what each step costs."""
    n_steps, chip = inputs.shape[1], program.chip
    for name, counts in (("input", inputs), ("hidden", found["hidden"]), ("output", found["outputs"])):
        steps[f"{name}_spikes"] += counts.sum(axis=(0, 2))
    for place, (kind, late) in enumerate(arriving.items()):
        stored = np.sum([matrix.row_lengths for matrix in program.memory(kind).weights], axis=0)
        words = _sum_steps(count_words(program, kind, late > 0), n_steps)
        steps["synaptic_operations"] += _sum_steps(late @ stored, n_steps)
        steps["words_read"] += words
        steps["weight_bits"][place] += words * chip.word_bits(kind)


def _delay(values: IntArray, steps: int) -> IntArray:
    """Return the counts as they arrive so many steps later."""
    return np.pad(values[:, : values.shape[1] - steps], ((0, 0), (steps, 0), (0, 0)))


def _cost_of(program: Program, name: str, place: Slots, run: _Run, n_steps: int) -> PopulationCost:
    codes = program.outputs if place.area == "outputs" else program.hidden
    chip, n_synapses, n = program.chip, len(codes.dash_syn), place.slots.size
    kinds = [kind for kind in MemoryKind if kind.target(hidden="hidden", outputs="outputs") == place.area]
    operations = sum(int(run.operations[kind][place.slots].sum()) for kind in kinds)
    words = {kind: int(run.words[kind][place.slots].sum()) for kind in kinds}
    updates = n * n_steps
    states = sum(words.values()) + updates * (n_synapses + 1)
    return PopulationCost(
        name=name,
        n_neurons=n,
        spikes=int(run.spikes[place.area][place.slots].sum()),
        synaptic_operations=operations,
        words_read=sum(words.values()),
        words_written=states,
        updates=updates,
        actions={
            "weight bits read": sum(words[kind] * chip.word_bits(kind) for kind in kinds),
            "state bits read": states * chip.bits.state,
            "state bits written": states * chip.bits.state,
            "additions": operations + updates * (2 * n_synapses + 2),
        },
        weight_bits={kind.weights_name: words.get(kind, 0) * chip.word_bits(kind) for kind in MemoryKind},
    )


def _list_cycles(program: Program, run: _Run) -> Iterator[Cycles]:
    costs = program.chip.costs
    if costs.average is not None:
        mean = average_cycles(program, costs.average, run.shares)
        worst = average_cycles(program, costs.average, Shares(1.0, 1.0))
        yield Cycles(model="average", source=costs.average.source, mean=mean, least=mean, most=mean, worst=worst)
    if costs.walker is not None and run.walked.size:
        yield Cycles(
            model="walker",
            source=costs.walker.source,
            mean=float(run.walked.mean()),
            least=float(run.walked.min()),
            most=float(run.walked.max()),
            worst=float(_worst_walk(program)),
        )


def _worst_walk(program: Program) -> int:
    """Return the cycles of a step in which all channels and neurons send all they can."""
    chip, walker = program.chip, program.chip.costs.walker
    hidden = np.full((1, program.hidden.size), chip.hidden.max_count)
    outputs = np.full((1, program.outputs.size), chip.outputs.max_count)
    inputs = np.full((1, program.n_inputs), chip.inputs.max_count)
    arriving = {kind: kind.source(inputs=inputs, hidden=hidden) for kind in MemoryKind}
    copied = np.full(1, (program.alias >= 0).sum())
    return 0 if walker is None else int(walk_cycles(program, walker, arriving, hidden, copied, outputs)[0])

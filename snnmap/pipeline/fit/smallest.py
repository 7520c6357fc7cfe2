"""The smallest chip that holds a model."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, MemoryKind, load_chip
from snnmap.core.errors import InputError
from snnmap.lif.program import MappedNetwork, memories_of
from snnmap.pipeline.build import OnStage, check_task, open_task
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.ways import Task

__all__ = [
    "find_smallest_chip",
]

_FOR = "-for-"


def find_smallest_chip(
    model: object,
    chip: Chip | str,
    *,
    enlarge: bool = False,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    read: Mapping[str, Any] | None = None,
    on_stage: OnStage = lambda _: None,
) -> Chip:
    """Return the record with the fewest neurons and weight words that holds a model: a chip cut down to what the model uses.

    Widths, delays, layouts and arithmetic stay as they are; only ids become as wide as the neurons are many.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: that holds the model.
        enlarge: whether the chip may have too little room for the model, which the record then has.
        options: choices of the build.
        calibration: as :func:`fit_model` takes it.
        labels: likewise.
        read: likewise.
        on_stage: called with a line of text as each stage starts.

    Raises:
        InputError: the chip does not hold the model, or the model does not fit what is left of it.
        FrontendError, ChipError: as :func:`fit_model`.
    """
    base, task = load_chip(chip), open_task(model, options, calibration, labels, read)
    found = check_task(task, base, on_stage)
    if enlarge and found.mapped is not None and not found.report.is_clean:
        found = check_task(task, _cut_down(found.mapped), on_stage)
    if found.mapped is None or not found.report.is_clean:
        even = ", even of any size," if enlarge else ""
        raise InputError(
            f"chip '{base.name}'{even} does not hold this model, so nothing can be cut from it",
            measured="; ".join(d.rule for d in found.report.errors),
            fix="name a chip that does (`snnmap fit MODEL` lists them)",
        )
    smallest = _shorten_reaches(task, _cut_down(found.mapped), found.mapped, on_stage)
    again = check_task(task, smallest, on_stage)
    if not again.report.is_clean:
        raise InputError(
            "on what is left of the chip the model is folded otherwise, and does not fit",
            measured="; ".join(str(d) for d in again.report.errors),
            fix="report this as a defect",
        )
    return smallest


def _shorten_reaches(task: Task, chip: Chip, mapped: MappedNetwork, on_stage: OnStage) -> Chip:
    """Cut the reaches down to the fewest slots into which the neurons that inputs reach, or outputs read, can be placed."""
    whole, (taking, read) = chip, _list_reached(mapped)
    for row, slots in (("inputs", taking), ("outputs", read)):
        low, high = max(1, slots.size), getattr(chip, row).reach.count
        count = low  # which mostly does
        while low < high:
            part = getattr(chip, row)
            changes: dict[str, Any] = {row: replace(part, reach=replace(part.reach, count=count))}
            found = check_task(task, replace(chip, **changes), on_stage)
            if found.mapped is not None and found.report.is_clean:
                chip = _cut_down(found.mapped)
                high = getattr(chip, row).reach.count
            else:
                low = count + 1
            count = (low + high) // 2
    return replace(chip, name=whole.name, description=whole.description)


def _list_reached(mapped: MappedNetwork) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the hidden slots that inputs reach, and those that outputs read."""
    taking = np.flatnonzero(np.sum([m.column_lengths for m in mapped.weights(MemoryKind.INPUT)], axis=0))
    read = np.flatnonzero(np.sum([m.row_lengths for m in mapped.weights(MemoryKind.OUTPUT)], axis=0))
    return taking, read


def _cut_down(mapped: MappedNetwork) -> Chip:
    chip, n_inputs, n_hidden, n_outputs = mapped.chip, mapped.table.channel_source.size, mapped.hidden.size, mapped.outputs.size
    taking, read = _list_reached(mapped)
    n_most, name = max(n_inputs, n_hidden, n_outputs), chip.name.partition(_FOR)[0]
    whole: dict[str, Any] = {
        kind.weights_name: replace(chip.memory(kind), max_words=max(1, math.prod(kind.shape(n_inputs, n_hidden, n_outputs))))
        for kind in MemoryKind
    }
    cut = replace(
        chip,
        name=f"{name}{_FOR}{mapped.name}",
        description=f"{name}, of the size that '{mapped.name}' uses",
        bits=replace(chip.bits, neuron_id=max(chip.bits.neuron_id, n_most.bit_length())),
        inputs=replace(chip.inputs, count=n_inputs, reach=_reach(chip.inputs.reach, taking, n_hidden)),
        hidden=replace(chip.hidden, count=n_hidden),
        outputs=replace(chip.outputs, count=n_outputs, reach=_reach(chip.outputs.reach, read, n_hidden)),
        **whole,
    )
    memories: dict[str, Any] = {}
    for kind, (name, memory, matrices) in zip(MemoryKind, memories_of(mapped), strict=True):
        sources, targets = cut.addresses(kind, n_inputs, n_hidden, n_outputs)
        words = max(matrix.nnz for matrix in matrices) if memory.is_sparse else len(sources) * len(targets)
        fan_in = max(int(matrix.column_lengths.max(initial=1)) for matrix in matrices)
        fan_out = int(np.sum([matrix.row_lengths for matrix in matrices], axis=0).max(initial=1))
        memories[name] = replace(
            memory, max_words=max(1, words), max_fan_in=memory.max_fan_in and fan_in, max_fan_out=memory.max_fan_out and fan_out
        )
    return replace(cut, **memories)


def _reach(reach: Any, slots: npt.NDArray[np.int64], n_hidden: int) -> Any:
    """Return the reach that still takes in these slots."""
    far = 1 if not slots.size else int(slots.max()) + 1 if reach.anchor == "first" else n_hidden - int(slots.min())
    return replace(reach, count=far)

"""What every engine is given: arrays for what was asked for, and running totals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import Program
from snnmap.network import Profile, Recording, Saturation

__all__ = ["AREAS", "Kept", "Run", "prepare_run", "read_neurons", "require_counts", "require_unsaturated"]

AREAS = ("hidden", "outputs")
Kept = Mapping[str, Sequence[int] | IntArray]
"""Slots by area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Arrays that an engine writes; only what was asked for is there.

    Attributes:
        counts: by area, ``(n_samples, n_steps, n) int64``.
        potentials: by area, ``(n_samples, n_steps, n) int64``.
        currents: by area, ``(n_samples, n_steps, n_synapses, n) int64``.
        totals: ``(n_samples, 4) int64``: input, hidden and output spikes, synaptic operations.
        left: ``(n_samples, 2, 3) int64``, of hidden and output neurons, arrivals, potentials and counts that left their word;
            None where they are not counted.
        n_steps: steps of a sample.
    """

    counts: dict[str, IntArray]
    potentials: dict[str, IntArray]
    currents: dict[str, IntArray]
    totals: IntArray
    left: IntArray | None
    n_steps: int

    def to_recording(self, clamped: IntArray | None = None) -> Recording:
        """Return the record with the profile of all samples, and what left its word beside ``clamped`` inputs of each sample."""
        inputs, hidden, outputs, operations = (int(total) for total in self.totals.sum(axis=0))
        profile = Profile(
            n_samples=self.totals.shape[0],
            n_steps=self.n_steps,
            input_spikes=inputs,
            hidden_spikes=hidden,
            output_spikes=outputs,
            synaptic_operations=operations,
        )
        kept = {"counts": self.counts, "potentials": self.potentials, "currents": self.currents}
        return Recording(**kept, profile=profile, saturation=self._saturation(clamped))

    def _saturation(self, clamped: IntArray | None) -> Saturation | None:
        if self.left is None:
            return None
        currents, potentials, counts = np.moveaxis(self.left, 2, 0)
        inputs = np.zeros(len(self.left), np.int64) if clamped is None else clamped
        return Saturation(inputs=inputs, currents=currents, potentials=potentials, counts=counts)


def prepare_run(
    program: Program,
    n_samples: int,
    n_steps: int,
    counts_of: Collection[str],
    states_of: Collection[str],
    *,
    is_counted: bool = False,
    neurons: Mapping[str, IntArray] | None = None,
) -> Run:
    """Make the arrays for what is to be recorded; ``neurons`` are the slots of each area that are, all where left out.

    Raises:
        InputError: an area is neither ``hidden`` nor ``outputs``.
    """
    for name in (*counts_of, *states_of):
        if name not in AREAS:
            raise InputError(f"the chip has no neurons called '{name}'", limit=", ".join(AREAS), fix="record these")
    codes = {"hidden": program.hidden, "outputs": program.outputs}
    sizes = {name: codes[name].size if neurons is None else neurons[name].size for name in (*counts_of, *states_of)}
    shape = (n_samples, n_steps)
    return Run(
        counts={name: np.zeros((*shape, sizes[name]), np.int64) for name in counts_of},
        potentials={name: np.zeros((*shape, sizes[name]), np.int64) for name in states_of},
        currents={name: np.zeros((*shape, len(codes[name].dash_syn), sizes[name]), np.int64) for name in states_of},
        totals=np.zeros((n_samples, 4), np.int64),
        left=np.zeros((n_samples, 2, 3), np.int64) if is_counted else None,
        n_steps=n_steps,
    )


def read_neurons(program: Program, counts_of: Collection[str], states_of: Collection[str], kept: Kept) -> dict[str, IntArray]:
    """Return the slots that are kept of each area that is recorded; all of one that is not named.

    Raises:
        InputError: an area is neither ``hidden`` nor ``outputs``, or has no such neurons.
    """
    codes = {"hidden": program.hidden, "outputs": program.outputs}
    found = {name: np.arange(codes[name].size) for name in (*counts_of, *states_of) if name in codes}
    for name, slots in kept.items():
        given = np.asarray(slots) if len(slots) else np.zeros(0, np.int64)
        size = codes[name].size if name in codes else 0
        if name not in found or given.ndim != 1 or given.dtype.kind not in "iu" or ((given < 0) | (given >= size)).any():
            raise InputError(
                "these neurons cannot be recorded",
                where=f"neurons of '{name}'",
                measured=str(given.tolist()),
                limit=f"a list of slots 0..{size - 1}" if name in found else f"areas recorded: {', '.join(found)}",
                fix="name areas of counts_of or states_of, and their slots",
            )
        found[name] = given.astype(np.int64)
    return found


def require_counts(
    raster: npt.NDArray[Any],
    chip: Chip,
    *,
    fix: str = "clamp them (np.minimum) where the model is trained, or spread them over more steps",
) -> None:
    """Refuse input counts that the chip would clamp, so that no model is compared on other inputs than the chip's.

    Args:
        raster: ``(n_samples, n_steps, n_inputs)``.
        chip: that gets them.
        fix: what the user can do.

    Raises:
        InputError: a count above the most that a channel carries in a step.
    """
    if raster.size and raster.max() > chip.inputs.max_count:
        above = np.argwhere(raster > chip.inputs.max_count)
        sample, step, channel = above[0].tolist()
        raise InputError(
            "input counts are more than a channel carries in a step",
            where=f"chip '{chip.name}', first in sample {sample}, step {step}, channel {channel}",
            measured=f"{len(above)} counts, largest {raster.max()}",
            limit=str(chip.inputs.max_count),
            fix=fix,
        )


def require_unsaturated(saturation: Saturation | None) -> None:
    """Refuse a run that cut anything off.

    Raises:
        InputError: a value left its word; the first such sample is named.
    """
    if saturation is None or not saturation.by_sample.any():
        return
    samples = np.flatnonzero(saturation.by_sample)
    raise InputError(
        "values left their words on the chip",
        where=f"{samples.size} of {len(saturation.inputs)} samples, first {samples[0]}",
        measured=str(saturation),
        limit="none",
        fix="give smaller inputs, or build with calibration data that holds such: snnmap build MODEL --calibration counts.npy",
    )

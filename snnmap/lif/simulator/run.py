"""What every engine is given: arrays for what was asked for, and running totals."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import Program
from snnmap.network import Profile, Recording

__all__ = ["AREAS", "Run", "prepare_run", "require_counts"]

AREAS = ("hidden", "outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Arrays that an engine writes; only what was asked for is there.

    Attributes:
        counts: by area, ``(n_samples, n_steps, n) int64``.
        potentials: by area, ``(n_samples, n_steps, n) int64``.
        currents: by area, ``(n_samples, n_steps, n_synapses, n) int64``.
        totals: ``(n_samples, 4) int64``: input, hidden and output spikes, synaptic operations.
        n_steps: steps of a sample.
    """

    counts: dict[str, IntArray]
    potentials: dict[str, IntArray]
    currents: dict[str, IntArray]
    totals: IntArray
    n_steps: int

    def to_recording(self) -> Recording:
        """Return the record with the profile of all samples."""
        inputs, hidden, outputs, operations = (int(total) for total in self.totals.sum(axis=0))
        profile = Profile(
            n_samples=self.totals.shape[0],
            n_steps=self.n_steps,
            input_spikes=inputs,
            hidden_spikes=hidden,
            output_spikes=outputs,
            synaptic_operations=operations,
        )
        return Recording(counts=self.counts, potentials=self.potentials, currents=self.currents, profile=profile)


def prepare_run(program: Program, n_samples: int, n_steps: int, counts_of: Collection[str], states_of: Collection[str]) -> Run:
    """Make the arrays for what is to be recorded.

    Raises:
        InputError: an area is neither ``hidden`` nor ``outputs``.
    """
    for name in (*counts_of, *states_of):
        if name not in AREAS:
            raise InputError(f"the chip has no neurons called '{name}'", limit=", ".join(AREAS), fix="record these")
    codes = {"hidden": program.hidden, "outputs": program.outputs}
    shape = (n_samples, n_steps)
    return Run(
        counts={name: np.zeros((*shape, codes[name].size), np.int64) for name in counts_of},
        potentials={name: np.zeros((*shape, codes[name].size), np.int64) for name in states_of},
        currents={name: np.zeros((*shape, *codes[name].dash_syn.shape), np.int64) for name in states_of},
        totals=np.zeros((n_samples, 4), np.int64),
        n_steps=n_steps,
    )


def require_counts(
    raster: npt.NDArray[Any],
    chip: Chip,
    *,
    fix: str = "clamp them (np.minimum) where the model is trained, or spread them over more steps",
) -> None:
    """Refuse input counts that the chip would clamp, so that no model is compared on other inputs than the chip's.

    Raises:
        InputError: a count above the most that a channel carries in a step.
    """
    if raster.size and raster.max() > chip.inputs.max_count:
        raise InputError(
            "input counts are more than a channel carries in a step",
            where=f"chip '{chip.name}'",
            measured=f"{np.count_nonzero(raster > chip.inputs.max_count)} counts, largest {raster.max()}",
            limit=str(chip.inputs.max_count),
            fix=fix,
        )

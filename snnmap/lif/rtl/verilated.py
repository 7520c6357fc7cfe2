"""A simulated core: a chip's Verilog, loaded with a program, step by step."""

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import Program, pack
from snnmap.lif.rtl.build import build_library

__all__ = ["Steps", "VerilatedChip", "join_steps", "require_loadable"]

_SYNAPSES = 4
"""Blocks of a kind that the load port tells apart."""


class Steps(NamedTuple):
    """What the core did; slots are hidden neurons, then output neurons.

    Attributes:
        cycles: ``(n_steps,)`` of each step, from its start until the core is idle.
        counts: ``(n_steps, n_slots)``.
        potentials: ``(n_steps, n_slots)``.
        currents: ``(n_steps, n_synapses, n_slots)``.
    """

    cycles: IntArray
    counts: IntArray
    potentials: IntArray
    currents: IntArray


class VerilatedChip:
    """A core in simulation, loaded through its port; its states stay from run to run.

    Args:
        program: what the chip is told.

    Raises:
        FrontendError: Verilator is not installed.
        InputError: there is no C++ compiler, or it fails.
        ChipError: there is no Verilog of the chip's arithmetic.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._library = _open_library(build_library(program.chip))
        self._made = self._library.make_chip()
        for block in pack(program).memories:
            words = block.words.astype(np.uint32)
            self._library.load_block(self._made, _SYNAPSES * block.kind + block.synapse, words.size, _point(words))
        self.clear()

    def __del__(self) -> None:
        if hasattr(self, "_made"):
            self._library.free_chip(self._made)

    def clear(self) -> None:
        """Put all states back to rest."""
        self._library.clear_chip(self._made)

    def run(self, raster: IntArray) -> Steps:
        """Run steps.

        Args:
            raster: ``(n_steps, n_inputs)`` counts, 0..255; the core clamps them to what a channel carries.

        Raises:
            InputError: the raster has other channels, or a count that the load port does not take.
        """
        require_loadable(raster, self.program)
        chip, bits = self.program.chip, self.program.chip.bits.state
        n_steps, n_slots = len(raster), self.program.hidden.size + self.program.outputs.size
        given = np.ascontiguousarray(raster, np.uint8)
        cycles = np.zeros(n_steps, np.int32)
        states = np.zeros((n_steps, n_slots, 2 + chip.hidden.synapses), np.int32)
        sizes = (n_steps, given.shape[1], n_slots, chip.hidden.synapses, bits)
        self._library.run_steps(self._made, *sizes, _point(given), _point(cycles), _point(states))
        return join_steps(chip, cycles, states)


def require_loadable(raster: IntArray, program: Program) -> None:
    """Refuse a raster that the load port does not take.

    Raises:
        InputError: it is not ``(n_steps, n_inputs)``, or a count is not 0..255.
    """
    if raster.ndim != 2 or raster.shape[1] != program.n_inputs:
        raise InputError(
            "the raster has other channels than the image",
            where="raster",
            measured=str(raster.shape),
            limit=f"(steps, {program.n_inputs})",
            fix="give a count of every input channel in every step",
        )
    beyond = np.argwhere((raster < 0) | (raster > 255))
    if len(beyond):
        step, channel = beyond[0].tolist()
        raise InputError(
            "a count is beyond what the load port takes",
            where=f"step {step}, channel {channel}",
            measured=str(raster[step, channel]),
            limit="0..255",
            fix=f"clamp counts to {program.chip.inputs.max_count}, the most that a channel carries",
        )


def join_steps(chip: Chip, cycles: npt.NDArray[Any], states: npt.NDArray[Any]) -> Steps:
    """Return steps of their cycles, and of each slot's count, potential and currents, ``(n_steps, n_slots, 2 + n_synapses)``."""
    bits = chip.bits.state
    counts, potentials, currents = states[..., 0], states[..., 1], states[..., 2:].transpose(0, 2, 1)
    lowest = -(1 << (bits - 1))
    meant = np.where(currents == lowest, chip.family.integers.add(lowest, 0, bits), currents)
    return Steps(cycles.astype(np.int64), counts.astype(np.int64), potentials.astype(np.int64), meant.astype(np.int64))


def _point(values: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)


@lru_cache(maxsize=16)
def _open_library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    number, pointer = ctypes.c_int32, ctypes.c_void_p
    library.make_chip.restype = pointer
    library.free_chip.argtypes = library.clear_chip.argtypes = [pointer]
    library.load_block.argtypes = [pointer, number, number, pointer]
    library.run_steps.argtypes = [pointer, *[number] * 5, *[pointer] * 3]
    for function in (library.free_chip, library.clear_chip, library.load_block, library.run_steps):
        function.restype = None
    return library

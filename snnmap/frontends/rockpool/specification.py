"""The specification from which Rockpool builds its XyloSim: the same integers as the image."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from snnmap.chip import MemoryKind
from snnmap.core import CsrMatrix
from snnmap.core.errors import FrontendError
from snnmap.lif.program import Image, Program, unpack

__all__ = ["to_specification"]

_N_SYNAPSES = 2
"""Synapses of a hidden neuron of XyloSim."""


class _HasImage(Protocol):
    """What ``snnmap.build`` returns, of which the image is used."""

    @property
    def image(self) -> Image: ...


def to_specification(built: Image | Program | _HasImage) -> dict[str, Any]:
    """Return the arguments of ``XyloSim.from_specification`` for what a chip was configured with.

    Keys, shapes and dtypes are those of Rockpool 3.1.0 (``devices/xylo/syns61201/xylo_sim.py``):
    ``weights_in (n_inputs, n_hidden, 2)``, ``weights_rec (n_hidden, n_hidden, 2)`` and ``weights_out (n_hidden, n_outputs)``
    int8; ``dash_mem``, ``dash_mem_out``, ``dash_syn``, ``dash_syn_2`` and ``dash_syn_out`` int8; ``threshold``,
    ``threshold_out``, ``bias`` and ``bias_out`` int16; ``weight_shift_in``, ``weight_shift_rec`` and ``weight_shift_out`` int;
    ``aliases``, a list of at most one target a hidden neuron.

    Args:
        built: an image, a program, or what has an ``image``, as the artifacts of a build.

    Raises:
        FrontendError: the chip computes otherwise than XyloSim, which the specification cannot say.
        FormatError: the image is not one that packing could make.
    """
    program = built if isinstance(built, Program) else unpack(built if isinstance(built, Image) else built.image)
    _require_same_arithmetic(program)
    hidden, outputs = program.hidden, program.outputs
    into, between, out_of = (program.memory(kind) for kind in MemoryKind)
    no_synapse = np.zeros(hidden.size, np.int64)
    return {
        "weights_in": _stack(into.weights),
        "weights_out": out_of.weights[0].to_dense().astype(np.int8),
        "weights_rec": _stack(between.weights),
        "dash_mem": hidden.dash_mem.astype(np.int8),
        "dash_mem_out": outputs.dash_mem.astype(np.int8),
        "dash_syn": hidden.dash_syn[0].astype(np.int8),
        "dash_syn_2": (hidden.dash_syn[1] if len(hidden.dash_syn) == _N_SYNAPSES else no_synapse).astype(np.int8),
        "dash_syn_out": outputs.dash_syn[0].astype(np.int8),
        "threshold": hidden.threshold.astype(np.int16),
        "threshold_out": outputs.threshold.astype(np.int16),
        "bias": hidden.bias.astype(np.int16),
        "bias_out": outputs.bias.astype(np.int16),
        "weight_shift_in": into.shift,
        "weight_shift_rec": between.shift,
        "weight_shift_out": out_of.shift,
        "aliases": [[target] if target >= 0 else [] for target in program.alias.tolist()],
    }


def _stack(matrices: tuple[CsrMatrix, ...]) -> npt.NDArray[np.int8]:
    """Return ``(n_pre, n_post, 2) int8``, the second synapse empty where the chip has one."""
    weights = np.zeros((*matrices[0].shape, _N_SYNAPSES), np.int8)
    for synapse, matrix in enumerate(matrices):
        weights[matrix.rows, matrix.indices, synapse] = matrix.data
    return weights


def _require_same_arithmetic(program: Program) -> None:
    chip = program.chip
    for what, measured, limit in (
        ("synapses a hidden neuron", chip.hidden.synapses, range(1, _N_SYNAPSES + 1)),
        ("synapses an output neuron", chip.outputs.synapses, range(1, 2)),
        ("largest count of a hidden neuron", chip.hidden.max_count, range(31, 32)),
        ("largest count of an output neuron", chip.outputs.max_count, range(1, 2)),
        ("bits of a weight", chip.bits.weight, range(2, 9)),
        ("bits of a threshold", chip.bits.threshold, range(2, 17)),
        ("bits of a bias", chip.bits.bias, range(2, 17)),
        ("bits of a state", chip.bits.state, range(16, 17)),
        ("steps from an input to a hidden neuron", chip.memory(MemoryKind.INPUT).delay_steps, range(1)),
        ("steps from a hidden to a hidden neuron", chip.memory(MemoryKind.RECURRENT).delay_steps, range(1, 2)),
        ("steps from a hidden to an output neuron", chip.memory(MemoryKind.OUTPUT).delay_steps, range(1, 2)),
    ):
        if measured not in limit:
            raise FrontendError(
                f"XyloSim computes otherwise than this chip: {what}",
                where=f"chip '{chip.name}'",
                measured=str(measured),
                limit=f"{limit.start}" if len(limit) == 1 else f"{limit.start} to {limit.stop - 1}",
                fix="build for a chip of the Xylo family",
            )

"""The one way to run an image, whatever the engine."""

from collections.abc import Collection
from typing import Literal

import numpy as np
import numpy.typing as npt

from snnmap.core import Allowance, IntArray
from snnmap.lif.program import Image, Program, unpack
from snnmap.lif.simulator.reference import run_reference
from snnmap.lif.simulator.run import prepare_run
from snnmap.network import Recording, read_raster

__all__ = ["Engine", "simulate_image"]

Engine = Literal["auto", "batch", "reference"]
_NEURON_WORK = 8
"""What updating a neuron costs in plain Python beside delivering a count."""


_plain_python = Allowance(1_200_000)
"""As much as takes the time of that loading."""


def simulate_image(
    image: Image,
    raster: npt.ArrayLike,
    *,
    counts_of: Collection[str] = ("outputs",),
    states_of: Collection[str] = (),
    engine: Engine = "batch",
) -> Recording:
    """Run a chip's memory content on input spike counts, bit for bit as the chip does.

    Args:
        image: as decoded from a bitstream.
        raster: ``(n_samples, n_steps, n_inputs)`` or ``(n_steps, n_inputs)`` spike counts; counts above what a channel
            carries are clamped, as on the chip.
        counts_of: areas whose spike counts are kept: ``hidden``, ``outputs``.
        states_of: areas whose potentials and currents are kept.
        engine: ``batch`` (compiled, all cores) or ``reference`` (plain Python); both give the same numbers. ``auto`` takes plain
            Python until that has worked as long in this process as compiled code takes to load.

    Returns:
        What was asked for, and the profile.

    Raises:
        InputError: wrong raster or unknown area.
        FormatError: the image is not one that packing could make.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.pipeline import compile_model
        >>> image = compile_model(network, "xylo-audio-3").image
        >>> simulate_image(image, [[1, 3], [0, 0], [0, 0]], counts_of=["hidden"]).counts["hidden"][0].tolist()
        [[0, 3], [1, 1], [0, 1]]
    """
    program = unpack(image)
    counts = np.minimum(read_raster(raster, program.n_inputs, where="input raster"), program.chip.inputs.max_count)
    run = prepare_run(program, counts.shape[0], counts.shape[1], counts_of, states_of)
    if engine == "reference" or (engine == "auto" and _plain_python.take(_bound_work(program, counts))):
        run_reference(program, counts, run)
    else:
        from snnmap.lif.simulator.batch import run_batch

        run_batch(program, counts, run)
    return run.to_recording()


def _bound_work(program: Program, counts: IntArray) -> int:
    """Return what a run costs in which every neuron spikes in every step."""
    n_weights = sum(matrix.nnz for _, _, matrices in program.memories for matrix in matrices)
    n_neurons = program.hidden.size + program.outputs.size
    return int(counts.shape[0] * counts.shape[1] * (n_weights + _NEURON_WORK * n_neurons))

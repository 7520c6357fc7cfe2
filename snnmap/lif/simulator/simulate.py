"""The one way to run an image, whatever the engine."""

from collections.abc import Callable, Collection
from typing import Literal

import numpy as np
import numpy.typing as npt

from snnmap.core import Allowance, IntArray
from snnmap.lif.program import Image, Program, unpack
from snnmap.lif.simulator.pieces import run_pieces
from snnmap.lif.simulator.reference import run_reference
from snnmap.lif.simulator.run import Kept, Run, prepare_run, read_neurons, require_counts
from snnmap.network import Recording, read_raster

__all__ = ["Engine", "batch_engine", "simulate_image"]

Engine = Literal["auto", "batch", "reference"] | Callable[[Program, IntArray, Run], None]
_NEURON_WORK = 8
"""What updating a neuron costs in plain Python beside delivering a count."""


def batch_engine(n_threads: int) -> Engine:
    """Return the fast engine on some threads, for callers that see to the others themselves."""

    def run_on_threads(program: Program, raster: IntArray, run: Run) -> None:
        from snnmap.lif.simulator.batch import run_batch

        run_batch(program, raster, run, n_threads)

    return run_on_threads


_plain_python = Allowance(1_200_000)
"""As much as takes the time of that loading."""


def simulate_image(
    image: Image,
    raster: npt.ArrayLike,
    *,
    counts_of: Collection[str] = ("outputs",),
    states_of: Collection[str] = (),
    neurons: Kept | None = None,
    engine: Engine = "batch",
    clamp: bool = False,
    count_saturation: bool = False,
) -> Recording:
    """Run a chip's memory content on input spike counts, bit for bit as the chip does.

    Args:
        image: as decoded from a bitstream.
        raster: ``(n_samples, n_steps, n_inputs)`` or ``(n_steps, n_inputs)`` spike counts.
        counts_of: areas whose spike counts are kept: ``hidden``, ``outputs``.
        states_of: areas whose potentials and currents are kept.
        neurons: slots of an area that are kept of it, such as ``{"hidden": [3, 5]}``; then memory grows with these alone, and the
            engine is ``batch``.
        engine: ``batch`` (compiled, all cores) or ``reference`` (plain Python); both give the same numbers. ``auto`` takes plain
            Python until that has worked as long in this process as compiled code takes to load. Or another engine:
            :func:`run_cores`, or what :func:`snnmap.nn.torch_engine` makes.
        clamp: take counts above what a channel carries for the most that it does, as the chip would.
        count_saturation: count what leaves its word on the way, which takes the fast engine some time.

    Returns:
        What was asked for, and the profile.

    Raises:
        InputError: wrong raster, counts beyond those of a channel, or unknown area.
        FormatError: the image is not one that packing could make.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.pipeline import compile_model
        >>> image = compile_model(network, "xylo-audio-3").image
        >>> simulate_image(image, [[1, 3], [0, 0], [0, 0]], counts_of=["hidden"]).counts["hidden"][0].tolist()
        [[0, 3], [1, 1], [0, 1]]
    """
    program = unpack(image)
    given, most = read_raster(raster, program.n_inputs, where="input raster"), program.chip.inputs.max_count
    if not clamp:
        require_counts(given, program.chip)
    counts = np.minimum(given, most)
    n_samples, n_steps, _ = counts.shape
    kept = None if neurons is None else read_neurons(program, counts_of, states_of, neurons)
    run = prepare_run(program, n_samples, n_steps, counts_of, states_of, is_counted=count_saturation, neurons=kept)
    if kept is not None:
        run_pieces(program, counts, run, kept)
    elif callable(engine):
        engine(program, counts, run)
    elif engine == "reference" or (engine == "auto" and _plain_python.take(_bound_work(program, counts))):
        run_reference(program, counts, run)
    else:
        from snnmap.lif.simulator.batch import run_batch

        run_batch(program, counts, run)
    return run.to_recording((given > most).sum(axis=(1, 2)))


def _bound_work(program: Program, counts: IntArray) -> int:
    """Return what a run costs in which every neuron spikes in every step."""
    n_weights = sum(matrix.nnz for _, _, matrices in program.memories for matrix in matrices)
    n_neurons = program.hidden.size + program.outputs.size
    return int(counts.shape[0] * counts.shape[1] * (n_weights + _NEURON_WORK * n_neurons))

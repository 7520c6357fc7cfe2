"""The one way to run an image, whatever the engine."""

from collections.abc import Collection
from typing import Literal

import numpy as np
import numpy.typing as npt

from snnmap.lif.program import Image, unpack
from snnmap.lif.simulator.reference import run_reference
from snnmap.lif.simulator.run import prepare_run
from snnmap.network import Recording, read_raster

__all__ = ["Engine", "simulate_image"]

Engine = Literal["batch", "reference"]


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
        engine: ``batch`` (compiled, all cores) or ``reference`` (plain Python); both give the same numbers.

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
    if engine == "reference":
        run_reference(program, counts, run)
    else:
        from snnmap.lif.simulator.batch import run_batch

        run_batch(program, counts, run)
    return run.to_recording()

"""A chip that runs on: what arrives live, or in pieces."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import Image, Program, unpack
from snnmap.lif.simulator.run import prepare_run, require_counts
from snnmap.network import Recording, read_raster

if TYPE_CHECKING:
    from snnmap.lif.simulator.batch import Batch
    from snnmap.lif.simulator.cores import Cores

__all__ = ["Stream"]


class Stream:
    """A configured chip whose states stay from call to call.

    Args:
        image: as decoded from a bitstream.
        n_samples: inputs that run beside each other, each on a chip of its own.
        engine: ``batch``, or ``rtl``: the open core in Verilator, with the errors of :func:`~snnmap.lif.simulator.run_cores`.

    Raises:
        FormatError: the image is not one that packing could make.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.pipeline import compile_model
        >>> stream = Stream(compile_model(network, "xylo-audio-3").image)
        >>> [stream.step([1, 3]).tolist(), stream.step([0, 0]).tolist()]
        [[0, 0], [0, 1]]
    """

    def __init__(self, image: Image, n_samples: int = 1, *, engine: Literal["batch", "rtl"] = "batch") -> None:
        self.program, self.n_samples, self.engine = unpack(image), n_samples, engine
        self.reset()

    def step(self, counts: npt.ArrayLike) -> IntArray:
        """Run one step.

        Args:
            counts: ``(n_inputs,)`` spike counts, or ``(n_samples, n_inputs)``.

        Returns:
            ``(n_outputs,)`` spike counts, or ``(n_samples, n_outputs)``.

        Raises:
            InputError: wrong shape, or counts beyond those of a channel.
        """
        given = np.asarray(counts)
        found = self.run(given[..., np.newaxis, :]).counts["outputs"][:, 0]
        return found if given.ndim > 1 else found[0]

    def run(
        self, raster: npt.ArrayLike, *, counts_of: Collection[str] = ("outputs",), states_of: Collection[str] = ()
    ) -> Recording:
        """Run the steps of a piece; pieces give what the whole would.

        Args:
            raster: ``(n_samples, n_steps, n_inputs)`` or, of one sample, ``(n_steps, n_inputs)`` spike counts.
            counts_of: areas whose spike counts are kept: ``hidden``, ``outputs``.
            states_of: areas whose potentials and currents are kept.

        Raises:
            InputError: wrong raster, counts beyond those of a channel, another number of samples, or unknown area.
        """
        counts = read_raster(raster, self.program.n_inputs, where="input raster")
        require_counts(counts, self.program.chip)
        if counts.shape[0] != self.n_samples:
            raise InputError(
                f"{counts.shape[0]} samples arrive",
                limit=f"{self.n_samples} run in this stream",
                fix="make a Stream(image, n_samples)",
            )
        run = prepare_run(self.program, counts.shape[0], counts.shape[1], counts_of, states_of)
        self._chips.run(counts, run)
        return run.to_recording()

    def reset(self) -> None:
        """Put all states back to rest."""
        self._chips = _make_chips(self.program, self.n_samples, self.engine)


def _make_chips(program: Program, n_samples: int, engine: str) -> "Batch | Cores":
    if engine == "rtl":
        from snnmap.lif.simulator.cores import Cores

        return Cores(program, n_samples)
    from snnmap.lif.simulator.batch import Batch

    return Batch(program, n_samples)

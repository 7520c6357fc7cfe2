"""Runs in pieces of some steps: memory for what is kept alone, and samples that stop once they are decided."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import BoolArray, IntArray
from snnmap.core.errors import InputError
from snnmap.core.record import record
from snnmap.lif.program import Image, Program, unpack
from snnmap.lif.simulator.run import Run, prepare_run, require_counts
from snnmap.network import read_raster

__all__ = ["EarlyRun", "StopRule", "make_lead_rule", "run_pieces", "simulate_sums", "simulate_until"]

StopRule = Callable[[IntArray, int], npt.ArrayLike]
"""From the spikes of the outputs so far, ``(n_running, n_outputs)``, and the steps left, to whether each sample stops."""
_STEPS = 64
"""Steps of a piece, whose states are all recorded before what is kept is cut out of them."""


def run_pieces(program: Program, raster: IntArray, run: Run, neurons: Mapping[str, IntArray]) -> None:
    """Run all samples from rest, and keep some neurons of each area.

    Args:
        program: what the chip is told.
        raster: ``(n_samples, n_steps, n_inputs)``, clamped to what a channel can carry.
        run: arrays to record into, of as many neurons as are kept.
        neurons: slots kept, of each area that is recorded.
    """
    from snnmap.lif.simulator.batch import Batch

    batch, n_samples = Batch(program, raster.shape[0]), raster.shape[0]
    for start in range(0, raster.shape[1], _STEPS):
        piece = raster[:, start : start + _STEPS]
        part = prepare_run(program, n_samples, piece.shape[1], run.counts, run.potentials, is_counted=run.left is not None)
        batch.run(piece, part)
        run.totals[:] += part.totals
        if run.left is not None and part.left is not None:
            run.left[:] += part.left
        for kept, whole in ((run.counts, part.counts), (run.potentials, part.potentials), (run.currents, part.currents)):
            for area, values in kept.items():
                values[:, start : start + _STEPS] = whole[area][..., neurons[area]]


def simulate_sums(
    image: Image, pieces: npt.ArrayLike | Iterable[npt.ArrayLike], *, sums_of: Collection[str] = ("outputs",)
) -> dict[str, IntArray]:
    """Run samples, and keep how often each neuron spiked in all; memory does not grow with steps.

    Args:
        image: as decoded from a bitstream.
        pieces: ``(n_samples, n_steps, n_inputs)`` spike counts, or an iterator of such arrays, each of which goes on where the
            one before ended.
        sums_of: areas whose spikes are summed: ``hidden``, ``outputs``.

    Returns:
        ``(n_samples, n) int64`` of each area.

    Raises:
        InputError: wrong rasters, counts beyond those of a channel, pieces of other samples, or an unknown area.
        FormatError: the image is not one that packing could make.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.pipeline import compile_model
        >>> image = compile_model(network, "xylo-audio-3").image
        >>> simulate_sums(image, ([[[1, 3]] * 20] for _ in range(3)), sums_of=["hidden"])["hidden"].tolist()
        [[114, 353]]
    """
    from snnmap.lif.simulator.batch import Batch

    program, batch = unpack(image), None
    for number, piece in enumerate(pieces if isinstance(pieces, Iterator) else [pieces]):
        raster = _read_piece(program, piece, f"piece {number} of the input raster", None if batch is None else len(batch.waiting))
        if batch is None:
            batch = Batch(program, len(raster))
            sums = {area: part[:, 0] for area, part in prepare_run(program, len(raster), 1, sums_of, ()).counts.items()}
        for start in range(0, raster.shape[1], _STEPS):
            steps = raster[:, start : start + _STEPS]
            part = prepare_run(program, len(raster), steps.shape[1], sums_of, ())
            batch.run(steps, part)
            for area, counts in part.counts.items():
                sums[area] += counts.sum(axis=1)
    if batch is None:
        raise InputError("there is no raster to run", where="pieces", measured="none", limit="1 or more", fix="give one")
    return sums


def _read_piece(program: Program, piece: npt.ArrayLike, where: str, n_samples: int | None) -> IntArray:
    raster = read_raster(piece, program.n_inputs, where=where)
    try:
        require_counts(raster, program.chip)
    except InputError as error:
        raise error.within(where) from error
    if n_samples not in (None, len(raster)):
        raise InputError(
            "a piece is of other samples than the first",
            where=where,
            measured=f"{len(raster)} samples",
            limit=str(n_samples),
            fix="give all samples in every piece",
        )
    return raster


@record
class EarlyRun:
    """What samples gave until they stopped.

    Attributes:
        counts: ``(n_samples, n_steps, n_outputs) int64`` spike counts of the outputs; 0 once a sample has stopped.
        n_steps: ``(n_samples,) int64``, steps that each sample ran.
    """

    counts: IntArray
    n_steps: IntArray


def simulate_until(image: Image, raster: npt.ArrayLike, rule: StopRule, *, every: int = 1) -> EarlyRun:
    """Run samples until a rule says that each is decided; those that stop leave room in the lanes of the engine.

    After every ``every`` steps, and never before, the rule is asked of the samples that still run. What a sample gave until it
    stopped is what it gives in a run to the end, bit for bit, and does not depend on the others.

    Args:
        image: as decoded from a bitstream.
        raster: ``(n_samples, n_steps, n_inputs)`` spike counts.
        rule: says who stops, such as :func:`make_lead_rule` makes.
        every: steps from one question to the next.

    Raises:
        InputError: wrong raster, counts beyond those of a channel, ``every`` below 1, or a rule that gives something
            else than a bool a sample.
        FormatError: the image is not one that packing could make.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.pipeline import compile_model
        >>> image = compile_model(network, "xylo-audio-3").image
        >>> simulate_until(image, [[[1, 3]] * 20], make_lead_rule(image.chip)).n_steps.tolist()
        [20]
    """
    from snnmap.lif.simulator.batch import Batch

    program = unpack(image)
    given = read_raster(raster, program.n_inputs, where="input raster")
    require_counts(given, program.chip)
    if every < 1:
        raise InputError("the rule is asked after no step", where="every", measured=str(every), limit=">= 1", fix="give every=1")
    (n_samples, n_steps, _), running = given.shape, np.arange(len(given))
    counts, ran = np.zeros((n_samples, n_steps, program.outputs.size), np.int64), np.zeros(n_samples, np.int64)
    batch = Batch(program, n_samples)
    for start in range(0, n_steps, every):
        stop = min(n_steps, start + every)
        part = prepare_run(program, running.size, stop - start, ("outputs",), ())
        batch.run(given[running, start:stop], part)
        counts[running, start:stop] = part.counts["outputs"]
        ran[running] = stop
        goes_on = ~_ask(rule, counts[running, :stop].sum(axis=1), n_steps - stop)
        if not goes_on.all():
            running = running[goes_on]
            batch.keep(goes_on)
        if not running.size:
            break
    return EarlyRun(counts=counts, n_steps=ran)


def make_lead_rule(chip: Chip) -> StopRule:
    """Return the rule by which a sample stops once no output can catch up with the one that leads.

    The class by the most spikes, over all steps of the raster, is then that of a run to the end: in the steps that are left an
    output sends at most the chip's most spikes a step, and the lead is larger. With one output a sample never stops.
    """
    most = chip.outputs.max_count

    def leads_for_good(totals: IntArray, n_left: int) -> BoolArray:
        if totals.shape[1] < 2:
            return np.zeros(len(totals), np.bool_)
        second, first = np.partition(totals, -2, axis=1)[:, -2:].T
        return np.asarray(first - second > most * n_left, np.bool_)

    return leads_for_good


def _ask(rule: StopRule, totals: IntArray, n_left: int) -> BoolArray:
    given = np.asarray(rule(totals, n_left))
    if given.dtype != np.bool_ or given.shape != (len(totals),):
        raise InputError(
            "the rule says something else than whether each sample stops",
            where="rule",
            measured=f"{given.dtype} of shape {given.shape}",
            limit=f"bool of shape ({len(totals)},)",
            fix="give a bool for each row of the totals",
        )
    return given

"""The weights onto a row of neurons, rounded: in plain Python where they are few, else compiled, on all cores."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from snnmap.chip import Bits
from snnmap.core import Allowance, FloatArray, IntArray, order_alike
from snnmap.core.threads import count_cores, run_side_by_side
from snnmap.lif.quantise.response import RowResponses, to_arrays
from snnmap.lif.quantise.rounding import Entries, Limits, Rounded, compile_rounding, round_targets
from snnmap.lif.quantise.windows import SourceCounts

__all__ = ["round_lines"]

_plain_python = Allowance(60_000)
"""Products of two weights onto one neuron and synapse, as many as take the time in which compiled code is loaded."""
_PARTS = 8
"""Parts of the work for each core, so that none waits long for another."""


def round_lines(
    entries: Entries, counts: SourceCounts, responses: RowResponses, threshold: IntArray, bits: Bits
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Round all weights; of neurons with few sources, at a scale that suits them if that is better.

    Args:
        entries: values at the largest scales that fit.
        counts: of the sources.
        responses: of the neurons.
        threshold: ``(n,) int64`` at these scales; 0 where the scale is not free.
        bits: widths.

    Returns:
        Integers, what each neuron's potential is expected to be off by, ``(n,)`` in state units, and the factor on each scale.
    """
    n = threshold.size
    rounded = Rounded(np.zeros(entries.value.shape, np.int64), np.zeros(n), np.ones(n))
    limits, shapes = Limits(*bits.weight_range, bits.threshold_max), to_arrays(responses.responses, responses.kind)
    work = (np.diff(entries.edges) * entries.value.shape[1]) ** 2
    round_some, n_threads = _choose_engine(int(work.sum()))
    order = order_alike(entries.edges, entries.source)
    lengths = np.array([counts.choose_length(response.length) for response in responses.responses])[responses.kind[order]]
    for length in np.unique(lengths).tolist():
        targets = order[lengths == length]
        rest = (entries, counts.add_up(length), shapes, threshold, limits, rounded)
        _share_out(partial(_run_part, round_some, rest), targets, work[targets], n_threads)
    return rounded.weight, rounded.off, rounded.factor


def _choose_engine(work: int) -> tuple[Callable[..., None], int]:
    """Return the loop and how many threads can run it at once."""
    return (round_targets, 1) if _plain_python.take(work) else (compile_rounding(), count_cores())


def _run_part(run: Callable[..., None], rest: tuple[Any, ...], targets: IntArray) -> None:
    run(targets, *rest)


def _share_out(run: Callable[[IntArray], None], targets: IntArray, work: IntArray, n_threads: int) -> None:
    """Run a loop over some neurons, on several threads in parts of about the same work."""
    n_parts = _PARTS * n_threads if n_threads > 1 else 1
    done = np.cumsum(work)
    edges = np.searchsorted(done, done[-1] * np.arange(1, n_parts) / n_parts)
    run_side_by_side(run, np.split(targets, edges), n_threads=n_threads)

"""Without the weights that contribute least."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.lif.fixes.trial import compare_networks
from snnmap.lif.fixes.words import Words, count_excess, count_room, gather_words, rank_within
from snnmap.lif.program import MappedNetwork
from snnmap.network import Network, Projection, separate_sources, simulate_network

__all__: list[str] = []

_RIDGE = 1e-3
"""Penalty on changes of weights, as a share of the mean power of the inputs; as in ``snnmap.train.prune_fan_in``."""
_MOST_ROWS = 4096
"""Steps of all samples that a refit takes in, evenly chosen."""


@fix("prune", "SNN204", "SNN205", "SNN206", exact=False)
def prune_weights(case: Case) -> Change | None:
    """Drop the weights that contribute least, until neurons and memories hold the others, and refit those to what was dropped.

    A weight contributes its square times the mean square of its source's counts, on calibration data or drawn inputs. Where a
    memory has too few words in all, or for a source, weights count as a share of what arrives at their neuron. Kept weights are
    fitted to what all gave, by ridge regression; where outputs are nearer without the refit they are left as they were.
    """
    if case.mapped is None:
        return None
    posts = _list_posts(case)
    network = separate_sources(case.network, posts)
    words = gather_words(case.mapped, network, posts)
    if words is None:
        return None
    counts = _record_sources(network, case)
    dropped = _choose(words, _score(words, counts), case, case.mapped)
    if not dropped.any():
        return None
    plain, fitted = (_drop(network, words, dropped, data) for data in (words.data, _refit(words, dropped, counts)))
    best = min(plain, fitted, key=lambda made: compare_networks(case.network, made, {}, case.trial.rasters).readout)
    refitted = " and the others refitted" if best is fitted else ""
    return Change(network=best, done=f"weights that contribute least are gone{refitted}: {_tell(words, dropped)}")


def _drop(network: Network, words: Words, dropped: BoolArray, data: FloatArray) -> Network:
    return words.put(network, lambda place, part: [replace(part, weights=words.matrix(place, ~dropped, data))])


def _list_posts(case: Case) -> set[str]:
    """Return populations of which neurons have too many weights; all, where a memory has too few words in all or for a source."""
    named = {finding.location.population for finding in case.findings if finding.rule == "SNN204"}
    every = {part.name for part in case.network.populations}
    return named & every if {finding.rule for finding in case.findings} == {"SNN204"} else every


def _record_sources(network: Network, case: Case) -> Mapping[str, FloatArray]:
    """Return spike counts of all sources, ``(n_samples, n_steps, size)``."""
    every = [part.name for part in network.populations]
    counts = simulate_network(network, case.trial.rasters, counts_of=every).counts
    return {name: values.astype(np.float64) for name, values in {**counts, **case.trial.rasters}.items()}


def _score(words: Words, counts: Mapping[str, FloatArray]) -> FloatArray:
    """Return what each weight contributes, ``(n,)``; of sources that are silent, a little for their size."""
    power = np.concatenate([(counts[part.pre] ** 2).mean(axis=(0, 1))[part.weights.rows] for part in words.projections])
    return words.data**2 * (power + 1e-12)


def _choose(words: Words, score: FloatArray, case: Case, mapped: MappedNetwork) -> BoolArray:
    """Choose the weights to drop, ``(n,) bool``: of a neuron, a source and a memory those beyond what there is room for."""
    named = {finding.rule for finding in case.findings}
    share = score / np.maximum(np.bincount(words.targets, score)[words.targets], np.finfo(np.float64).tiny)
    dropped = np.zeros(score.size, np.bool_)
    if "SNN204" in named:
        limits = [case.chip.memory(route.memory).max_fan_in or score.size for route in words.routes]
        dropped |= rank_within(words.targets, score) >= words.spread(limits)
    if "SNN205" in named:
        rooms = [count_room(mapped, part.pre, route) for part, route in zip(words.projections, words.routes, strict=True)]
        dropped |= rank_within(words.sources, np.where(dropped, -1.0, share)) >= words.spread(rooms)
    for finding in case.findings:
        if finding.rule == "SNN206":
            inside = np.flatnonzero(words.blocks == finding.location.block)
            left = max(0, count_excess(finding) - int(dropped[inside].sum()))
            dropped[inside[np.argsort(np.where(dropped, np.inf, share)[inside], kind="stable")[:left]]] = True
    return dropped


def _tell(words: Words, dropped: BoolArray) -> str:
    posts = words.spread(part.post for part in words.projections)
    named = dict.fromkeys(posts[dropped].tolist())
    return ", ".join(f"{int(dropped[posts == name].sum())} of {int((posts == name).sum())} onto '{name}'" for name in named)


def _refit(words: Words, dropped: BoolArray, counts: Mapping[str, FloatArray]) -> FloatArray:
    """Return all weights, with those refitted that neurons keep which lose some: on a synapse, those of all memories together."""
    data = words.data.copy()
    for synapse in dict.fromkeys((part.post, part.synapse) for part in words.projections):
        places = [place for place, part in enumerate(words.projections) if (part.post, part.synapse) == synapse]
        chosen = np.isin(words.projection, places)
        if dropped[chosen].any():
            arriving, starts = _join_sources([words.projections[place] for place in places], counts)
            source = starts[np.searchsorted(places, words.projection[chosen])] + words.row[chosen]
            data[chosen] = _refit_synapse(arriving, source, words.column[chosen], words.data[chosen], dropped[chosen])
    return data


def _join_sources(parts: list[Projection], counts: Mapping[str, FloatArray]) -> tuple[FloatArray, IntArray]:
    """Return what arrives through some projections side by side, ``(n_rows, n_sources)``, and the first column of each."""
    delayed = [_delay(counts[part.pre], part.delay_steps) for part in parts]
    chosen = np.unique(np.linspace(0, len(delayed[0]) - 1, min(_MOST_ROWS, len(delayed[0]))).astype(np.int64))
    starts = np.cumsum([0, *(part.weights.shape[0] for part in parts)])[:-1]
    return np.concatenate([values[chosen] for values in delayed], axis=1), starts


def _delay(counts: FloatArray, steps: int) -> FloatArray:
    """Return counts ``(n_samples, n_steps, size)`` so many steps later, samples one after the other."""
    n_steps = counts.shape[1]
    return np.pad(counts, ((0, 0), (steps, 0), (0, 0)))[:, :n_steps].reshape(-1, counts.shape[2])


def _refit_synapse(
    arriving: FloatArray, source: IntArray, target: IntArray, weights: FloatArray, dropped: BoolArray
) -> FloatArray:
    """Fit kept weights, neuron by neuron, to what all of them gave.

    With what arrives at the kept weights X and what the dropped ones gave r, the change d of the kept ones solves
    ``(X'X / n + ridge mean(diag(X'X / n))) d = X'r / n`` (Hoerl & Kennard 1970, equation 2.3).

    Args:
        arriving: ``(n_rows, n_sources)`` counts.
        source: ``(n,)`` column of ``arriving`` of each weight.
        target: ``(n,)`` neuron.
        weights: ``(n,)``.
        dropped: ``(n,) bool``.

    Returns:
        ``(n,)``; dropped ones as they were.
    """
    fitted = weights.copy()
    order = np.argsort(target, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(target[order])) + 1):
        kept, gone = places[~dropped[places]], places[dropped[places]]
        if kept.size and gone.size:
            x, lost = arriving[:, source[kept]], arriving[:, source[gone]] @ weights[gone]
            moments = x.T @ x / len(x)
            penalty = _RIDGE * max(float(moments.diagonal().mean()), 1e-12)
            fitted[kept] += np.linalg.solve(moments + penalty * np.eye(kept.size), x.T @ lost / len(x))
    return fitted

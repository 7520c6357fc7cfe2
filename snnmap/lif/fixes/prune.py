"""Without the weights that contribute least."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.lif.fixes.trial import compare_networks
from snnmap.lif.fixes.words import Words, count_excess, count_room, gather_words, rank_within, rank_words
from snnmap.lif.program import Route
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
    posts = _list_posts(case)
    network = separate_sources(case.network, posts)
    counts = _record_sources(network, case)
    groups = [(words, _choose(words, _score(words, counts), case)) for words in gather_words(case, network, posts)]
    groups = _fit_memories(_fit_sources(groups, counts, case), counts, case)
    n_dropped = {words.post: 0 for words, _ in groups}
    for words, dropped in groups:
        n_dropped[words.post] += int(dropped.sum())
    if not any(n_dropped.values()):
        return None
    found = [_apply(network, groups, changed) for changed in (None, counts)]
    best = min(found, key=lambda made: compare_networks(case.network, made, {}, case.trial.rasters).readout)
    of = {name: sum(words.data.size for words, _ in groups if words.post == name) for name in n_dropped}
    told = ", ".join(f"{n} of {of[name]} onto '{name}'" for name, n in n_dropped.items() if n)
    refitted = " and the others refitted" if best is found[1] else ""
    return Change(network=best, done=f"weights that contribute least are gone{refitted}: {told}")


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


def _choose(words: Words, score: FloatArray, case: Case) -> BoolArray:
    limit = case.chip.memory(words.kind).max_fan_in
    return rank_words(words, score) >= limit if limit else np.zeros(words.data.size, np.bool_)


def _fit_sources(
    groups: list[tuple[Words, BoolArray]], counts: Mapping[str, FloatArray], case: Case
) -> list[tuple[Words, BoolArray]]:
    """Drop more weights where a source, or a relay of it, has more than its memory stores."""
    if case.mapped is None or all(finding.rule != "SNN205" for finding in case.findings):
        return groups
    rows: defaultdict[tuple[str, Route], list[tuple[int, int]]] = defaultdict(list)
    for place, (words, _) in enumerate(groups):
        for number, part in enumerate(words.projections):
            rows[part.pre, case.mapped.route(part.pre, part.post, part.delay_steps)].append((place, number))
    longest = {pre: max(route.hop for name, route in rows if name == pre) for pre, _ in rows}
    shares = [np.where(dropped, -1.0, _share(words, _score(words, counts))) for words, dropped in groups]
    more = [dropped.copy() for _, dropped in groups]
    for (pre, route), parts in rows.items():
        chosen = [np.flatnonzero(groups[place][0].projection == number) for place, number in parts]
        row = np.concatenate([groups[place][0].row[found] for (place, _), found in zip(parts, chosen, strict=True)])
        share = np.concatenate([shares[place][found] for (place, _), found in zip(parts, chosen, strict=True)])
        beyond = rank_within(row, share) >= count_room(case.mapped, route, longest[pre])
        for (place, _), found, part in zip(parts, chosen, np.split(beyond, np.cumsum(list(map(len, chosen)))[:-1]), strict=True):
            more[place][found] |= part
    return [(words, dropped) for (words, _), dropped in zip(groups, more, strict=True)]


def _fit_memories(
    groups: list[tuple[Words, BoolArray]], counts: Mapping[str, FloatArray], case: Case
) -> list[tuple[Words, BoolArray]]:
    """Drop more weights where a memory holds fewer words than are left, those of the least share of their neuron's input."""
    over = {finding.location.block: count_excess(finding) for finding in case.findings if finding.rule == "SNN206"}
    for block, n_over in over.items():
        chosen = [(words, dropped) for words, dropped in groups if words.block == block]
        shares = [np.where(dropped, np.inf, _share(words, _score(words, counts))) for words, dropped in chosen]
        n_left = n_over - sum(int(dropped.sum()) for _, dropped in chosen)
        if n_left > 0:
            joined = np.concatenate(shares)
            least = np.zeros(joined.size, np.bool_)
            least[np.argsort(joined, kind="stable")[:n_left]] = True
            parts = np.split(least, np.cumsum([share.size for share in shares])[:-1])
            more = {id(words): part for (words, _), part in zip(chosen, parts, strict=True)}
            groups = [(words, dropped | more.get(id(words), dropped)) for words, dropped in groups]
    return groups


def _share(words: Words, score: FloatArray) -> FloatArray:
    """Return what each weight contributes as a share of all that arrives at its neuron, ``(n,)``."""
    whole = np.bincount(words.column, score)
    return score / np.maximum(whole[words.column], np.finfo(np.float64).tiny)


def _apply(network: Network, groups: list[tuple[Words, BoolArray]], counts: Mapping[str, FloatArray] | None) -> Network:
    """Return the network without the dropped weights, the others refitted where counts of sources are given."""
    data = [words.data for words, _ in groups]
    if counts is not None:
        data = _refit(groups, counts)
    changed: dict[str, Projection] = {}
    for (words, dropped), values in zip(groups, data, strict=True):
        for number, part in enumerate(words.projections):
            changed[part.name] = replace(part, weights=words.matrix(number, ~dropped, values))
    return replace(network, projections=tuple(changed.get(part.name, part) for part in network.projections))


def _refit(groups: list[tuple[Words, BoolArray]], counts: Mapping[str, FloatArray]) -> list[FloatArray]:
    """Return all weights, those refitted that are kept onto neurons that lose some; onto a synapse, those of all memories."""
    synapses: dict[tuple[str, int], list[int]] = {}
    for number, (words, _) in enumerate(groups):
        synapses.setdefault((words.post, words.synapse), []).append(number)
    data = [words.data for words, _ in groups]
    for numbers in synapses.values():
        parts = [groups[number] for number in numbers]
        dropped = np.concatenate([part for _, part in parts])
        if dropped.any():
            arriving, source = _join_sources([words for words, _ in parts], counts)
            target = np.concatenate([words.column for words, _ in parts])
            weights = np.concatenate([words.data for words, _ in parts])
            fitted = _refit_synapse(arriving, source, target, weights, dropped)
            for number, values in zip(numbers, np.split(fitted, np.cumsum([part.size for _, part in parts])[:-1]), strict=True):
                data[number] = values
    return data


def _join_sources(parts: list[Words], counts: Mapping[str, FloatArray]) -> tuple[FloatArray, IntArray]:
    """Return what arrives from each source, ``(n_rows, n_sources)``, and which of these each weight's source is."""
    arriving, source, start = [], [], 0
    for words in parts:
        starts = []
        for part in words.projections:
            delayed = _delay(counts[part.pre], part.delay_steps)
            chosen = np.unique(np.linspace(0, len(delayed) - 1, min(_MOST_ROWS, len(delayed))).astype(np.int64))
            arriving.append(delayed[chosen])
            starts.append(start)
            start += part.weights.shape[0]
        source.append(np.array(starts)[words.projection] + words.row)
    return np.concatenate(arriving, axis=1), np.concatenate(source)


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

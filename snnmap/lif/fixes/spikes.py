"""The chip's own reset and its most spikes a step, where a model has others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import Population, describe_reset, resets_as

__all__: list[str] = []


@fix("chip-reset", "SNN403", exact=False)
def take_reset(case: Case) -> Change | None:
    """Let a spike leave what it does on the chip: most subtract the threshold, some go to zero.

    A neuron that went to zero forgot what its potential had beyond the threshold; one that subtracts sends it later. Rates
    rise, or fall the other way round, by as much as potentials lie beyond.
    """
    family = case.chip.family

    def change(part: Population) -> Population:
        return part if resets_as(part, family) else replace(part, reset=family.reset, v_reset=np.zeros(part.size))

    return _change(case, change, f"neurons reset {describe_reset(family)}")


@fix("chip-counts", "SNN404", exact=False)
def take_counts(case: Case) -> Change | None:
    """Let neurons send no more spikes a step than those of the chip.

    Nothing changes where none ever sends that many, as where a framework sets no limit; where one does, it sends the rest later.
    """
    read, chip = case.network.output_populations, case.chip

    def change(part: Population) -> Population:
        most = chip.outputs.max_count if part.name in read else chip.hidden.max_count
        return replace(part, max_count=np.minimum(part.max_count, most)) if (part.max_count > most).any() else part

    return _change(case, change, "neurons send no more spikes a step than the chip's")


def _change(case: Case, change: Callable[[Population], Population], done: str) -> Change | None:
    named = {finding.location.population for finding in case.findings}
    populations = tuple(change(part) if part.name in named else part for part in case.network.populations)
    changed = [f"'{new.name}'" for old, new in zip(case.network.populations, populations, strict=True) if new is not old]
    if not changed:
        return None
    return Change(network=replace(case.network, populations=populations), done=f"{done}: {', '.join(changed)}")

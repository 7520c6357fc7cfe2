"""Without the neurons that do nothing."""

from collections import defaultdict

import numpy as np

from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import select_neurons

__all__: list[str] = []


@fix("drop-neurons", "SNN105", "SNN106", "SNN107", exact=True)
def drop_neurons(case: Case) -> Change | None:
    """Drop neurons that never fire, or that no output depends on.

    Neurons that an output port reads stay: without them the outputs would be others.
    """
    network = case.network
    dropped: defaultdict[str, set[int]] = defaultdict(set)
    for finding in case.findings:
        if finding.location.population not in network.output_populations:
            dropped[finding.location.population].update(i for run in finding.location.runs for i in range(*run))
    kept = {name: np.setdiff1d(np.arange(network.population(name).size), list(gone)) for name, gone in dropped.items() if gone}
    if not kept:
        return None
    told = ", ".join(f"{len(dropped[name])} of {network.population(name).size} of '{name}'" for name in kept)
    origins = {name: (name, neurons) for name, neurons in kept.items()}
    return Change(network=select_neurons(network, kept), done=f"neurons that change nothing are gone: {told}", origins=origins)

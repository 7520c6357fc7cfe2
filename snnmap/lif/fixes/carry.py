"""A memory that is taken back, for synapses that have none."""

from collections.abc import Collection
from dataclasses import replace

from snnmap.lif.fixes.clone import clone_outputs
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import carry_instant_synapses, expand_terms

__all__: list[str] = []


@fix("carry-instant", "SNN502", exact=True)
def carry_instant(case: Case) -> Change | None:
    """Give synapses without a memory (alpha 0) the chip's fastest, and take back a step later what it kept.

    It doubles the weights onto these neurons and takes a relay for each of their sources. Outputs that feed back are cloned
    first, since what takes their memory back would come from them as well. Inputs that send more spikes than a relay repeats
    are left to `smooth-inputs`.
    """
    return _carry(case, ()) if not _find_loud_inputs(case) else None


@fix("smooth-inputs", "SNN502", exact=False)
def smooth_inputs(case: Case) -> Change | None:
    """Do as `carry-instant`, but let inputs that send more spikes than a relay repeats reach these neurons over several steps.

    Of such an input half of the weight arrives at once, a quarter a step later, and so on: its sum stays, and what changes
    little from step to step arrives as it was.
    """
    loud = _find_loud_inputs(case)
    return _carry(case, loud) if loud else None


def _find_loud_inputs(case: Case) -> list[str]:
    """List input ports of synapses without a memory whose spikes of the calibration data would not all come through a relay."""
    network, chip, rasters = case.network, case.chip, case.trial.given
    instant = [part for part in network.projections if (network.population(part.post).alpha[part.synapse] == 0.0).any()]
    reached = {leaf for part in instant for leaf in expand_terms(network, part.pre)}
    return [
        name
        for name, raster in rasters.items()
        if name in reached and min(raster.max(initial=0), chip.inputs.max_count) > chip.hidden.max_count
    ]


def _carry(case: Case, smoothed: Collection[str]) -> Change | None:
    cloned = clone_outputs(case)
    before = case.network if cloned is None else cloned.network
    network = carry_instant_synapses(before, smoothed=smoothed)
    if network is before:
        return None
    named = ", ".join(f"'{old.name}'" for old, new in zip(before.populations, network.populations, strict=True) if old != new)
    kept = f", but for what inputs send: {', '.join(map(repr, smoothed))}" if smoothed else ""
    done = f"synapses without a memory have one of alpha 0.5, taken back a step later{kept}: {named}"
    if cloned is None:
        return Change(network=network, done=done)
    return replace(cloned, network=network, done=f"{cloned.done}; {done}")

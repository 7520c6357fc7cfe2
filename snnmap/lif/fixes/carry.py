"""A memory that is taken back, for synapses that have none."""

from dataclasses import replace

from snnmap.lif.fixes.clone import clone_outputs
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import carry_instant_synapses

__all__: list[str] = []


@fix("carry-instant", "SNN502", exact=True)
def carry_instant(case: Case) -> Change | None:
    """Give synapses without a memory (alpha 0) the chip's fastest, and take back a step later what it kept.

    It doubles the weights onto these neurons and takes a relay for each of their sources. Outputs that feed back are cloned
    first, since what takes their memory back would come from them as well.
    """
    cloned = clone_outputs(case)
    before = case.network if cloned is None else cloned.network
    network = carry_instant_synapses(before)
    if network is before:
        return None
    named = ", ".join(f"'{old.name}'" for old, new in zip(before.populations, network.populations, strict=True) if old != new)
    done = f"synapses without a memory have one of alpha 0.5, taken back a step later: {named}"
    if cloned is None:
        return Change(network=network, done=done)
    return replace(cloned, network=network, done=f"{cloned.done}; {done}")

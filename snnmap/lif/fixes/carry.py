"""A memory that is taken back, for synapses that have none."""

from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import carry_instant_synapses

__all__: list[str] = []


@fix("carry-instant", "SNN502", exact=True)
def carry_instant(case: Case) -> Change | None:
    """Give synapses without a memory (alpha 0) the chip's fastest, and take back a step later what it kept.

    It doubles the weights onto these neurons and takes a relay for each of their sources.
    """
    network = carry_instant_synapses(case.network)
    if network is case.network:
        return None
    named = ", ".join(
        f"'{old.name}'" for old, new in zip(case.network.populations, network.populations, strict=True) if old != new
    )
    return Change(network=network, done=f"synapses without a memory have one of alpha 0.5, taken back a step later: {named}")

"""Constants that come in time for inputs that need not wait then."""

from dataclasses import replace

from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import expand_terms

__all__: list[str] = []


@fix("late-constants", "SNN302", exact=False)
def delay_constants(case: Case) -> Change | None:
    """Let what neurons that nothing drives send arrive a step late, so that no input waits for it in relays.

    Frontends make such neurons for biases that pass a synapse. On the chip their spikes take a step, for which inputs would have
    to wait; without, the first step lacks the constant.
    """
    network, waiting = case.network, {finding.location.port for finding in case.findings}
    constant = {population.name for population in network.populations} - {part.post for part in network.projections}
    posts = {part.post for part in network.projections if not waiting.isdisjoint(expand_terms(network, part.pre))}
    late = [part for part in network.projections if part.pre in constant and part.post in posts and not part.delay_steps]
    if not late:
        return None
    projections = tuple(replace(part, delay_steps=1) if part in late else part for part in network.projections)
    told = ", ".join(dict.fromkeys(f"'{part.pre}'" for part in late))
    return Change(network=replace(network, projections=projections), done=f"constants come a step late: {told}")

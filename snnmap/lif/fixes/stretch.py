"""Longer delays for loops that come round faster than the chip can."""

from dataclasses import replace

from snnmap.core.nouns import count_nouns
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.lif.mapping import lower_network, stretch_short_loops
from snnmap.lif.program import projection_name
from snnmap.network import Projection, separate_sources

__all__: list[str] = []


@fix("stretch-loops", "SNN301", exact=False)
def stretch_loops(case: Case) -> Change | None:
    """Lengthen delays around loops that are too short to fold, by the fewest steps in all.

    What comes round then comes later, as with ``--stretch-loops``, which leaves the network as it is written.
    """
    lowered = lower_network(case.network)
    extra = stretch_short_loops(lowered, case.chip)
    if not extra:
        return None
    network = separate_sources(case.network, {part.post for part in lowered.projections if part.name in extra})

    def stretch(part: Projection) -> Projection:
        steps = extra.get(projection_name(part.pre, part.post, part.synapse, part.delay_steps), 0)
        return replace(part, delay_steps=part.delay_steps + steps)

    stretched = tuple(map(stretch, network.projections))
    changed = [(old, new) for old, new in zip(network.projections, stretched, strict=True) if old is not new and old != new]
    told = ", ".join(f"'{new.name}' takes {count_nouns(new.delay_steps, 'step')}, not {old.delay_steps}" for old, new in changed)
    return Change(network=replace(network, projections=stretched), done=f"loops are longer: {told}")

"""A memory that is taken back, for synapses that have none."""

from collections.abc import Collection
from dataclasses import replace

from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.lif.fixes.outputs import clone_outputs, repeat_instant_outputs
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
    before = _take_from_outputs(case)
    network = carry_instant_synapses(before.network, smoothed=smoothed)
    if network is before.network:
        return None
    pairs = zip(before.network.populations, network.populations, strict=True)
    named = ", ".join(f"'{old.name}'" for old, new in pairs if old != new)
    kept = f", but for what inputs send: {', '.join(map(repr, smoothed))}" if smoothed else ""
    done = f"synapses without a memory have one of alpha 0.5, taken back a step later{kept}: {named}"
    return replace(before, network=network, done="; ".join(filter(None, [before.done, done])))


def _take_from_outputs(case: Case) -> Change:
    """Leave to hidden neurons what outputs would have to send, and those outputs whose decays are not coded."""
    made = Change(network=case.network, done="")
    for fixed in (repeat_instant_outputs, clone_outputs):
        more = fixed(replace(case, network=made.network))
        if more is not None:
            done = "; ".join(filter(None, [made.done, more.done]))
            made = replace(more, done=done, origins={**made.origins, **more.origins})
    return made

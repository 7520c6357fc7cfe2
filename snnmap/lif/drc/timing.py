"""Family 3: can the network's delays be kept?"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from snnmap.chip import Chip, MemoryKind, find_relay_cells
from snnmap.core import IntArray, Report
from snnmap.core.diagnostics import Diagnostic, Least, Location
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.program import MappedNetwork, unfold_network
from snnmap.network import MADE_BESIDE, Network, Projection, find_short_loops, is_sound

__all__ = ["ease_relays"]

_MOST_NAMED = 3
"""Connections that are named in a finding."""


@rule("SNN301", "loop-too-short", Network, stops_folding=True, mended_by="stretch_loops")
def check_loops(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that the delays around each loop of populations add up to what the chip needs around it. Of populations
    that feed each other one loop is told; once it is mended, another may be.

    Why it matters: on the chip every hop between hidden neurons takes one step. Relays can add steps, nothing can take any away.

    Bad: feedback with delay 1 over two layers, which takes two steps on the chip.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "a": 3, "b": 2, "out": 2}, weights={"b->a": -0.2}, delay_steps={"b->a": 1})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "a": 3, "b": 2, "out": 2}, weights={"b->a": -0.2}, delay_steps={"b->a": 2})
        check_model(network, "xylo-audio-3")

    How to fix: give a projection of the loop a longer delay and train with it, or ask for stretching (`--stretch-loops`), which
    changes the network.
    """
    if not is_sound(subject.of):
        return
    for loop in find_short_loops(subject.of, subject.chip.memory(MemoryKind.RECURRENT).delay_steps):
        names = [*loop.populations, loop.populations[0]]
        yield Finding(
            location=Location(population=loop.populations[0]),
            message=f"the loop {' -> '.join(names)} comes round faster than the chip can",
            measured=Amount(loop.delay_steps),
            limit=Amount(loop.needed_steps),
            unit="steps around the loop",
            least=Least(do="lengthen it by", n=loop.needed_steps - loop.delay_steps, what="steps"),
            fix=f"{_tell_made(subject.of, loop.populations)}give a projection of the loop a longer delay (`snnmap check --fix`),"
            " or ask for stretching (`--stretch-loops`)",
        )


@rule("SNN302", "relay-missing", MappedNetwork)
def check_relays(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: that the chip has a neuron that repeats spike counts, where paths must be aligned, and that it repeats as
    many spikes as arrive.

    Why it matters: a skip connection arrives earlier than the path around it; without relays the sums are of different steps. So
    does an input beside a neuron that holds a constant, as of a bias in front of a synapse, whose spikes take a step. A relay
    sends no more spikes a step than the chip's neurons do, an input channel may: a warning where the calibration data of a build
    never do.

    Bad: a skip from an input of up to 15 spikes a step on a chip whose neurons send one.

        from snnmap import check_model, sketch_network

        one = {"a": 1, "b": 1}
        network = sketch_network({"in": 2, "a": 3, "b": 2, "out": 2}, weights={"in->b": 0.1}, max_count=one)
        check_model(network, "generic-4096-single")

    Good:

        network = sketch_network({"in": 2, "a": 3, "b": 2, "out": 2}, max_count=one)
        check_model(network, "generic-4096-single")

    How to fix: remove skip connections and delays, let constants come a step late (`late-constants`), choose another chip, or
    show by calibration data that inputs send no more.
    """
    mapped, chip = subject.of, subject.chip
    if mapped.n_relays and not find_relay_cells(chip):
        yield Finding(
            location=Location(),
            message="paths must be aligned, but the chip has no neuron that repeats a count",
            measured=Amount(mapped.n_relays),
            limit=Amount(0),
            unit="relays",
            least=Least(do="do without", n=mapped.n_relays, what="relays", instead=_leave_out(mapped)),
            fix="remove skip connections or choose another chip (`snnmap chips`)",
        )
    if mapped.max_input_count < chip.inputs.max_count:
        for name in mapped.waiting_inputs:
            yield Finding(
                location=Location(port=name),
                message="the input must wait in relays, which repeat fewer spikes a step than a channel carries",
                measured=Amount(chip.inputs.max_count),
                limit=Amount(chip.hidden.max_count),
                unit="spikes a step",
                fix=f"{_tell_waiting(mapped, name)}, choose another chip (`snnmap chips`), or give calibration data that send no"
                " more (`--calibration`)",
            )


def ease_relays(report: Report, chip: Chip, rasters: Mapping[str, IntArray]) -> Report:
    """Turn into warnings what SNN302 finds of inputs that never send more than relays repeat.

    Args:
        report: of a folded network.
        chip: that it is folded onto.
        rasters: ``(n_samples, n_steps, size) int64`` of use, by input port.
    """

    def comes_through(found: Diagnostic) -> bool:
        raster = rasters.get(found.location.port)
        return found.rule == "SNN302" and raster is not None and raster.max(initial=0) <= chip.hidden.max_count

    return report.ease(comes_through)


def _tell_made(network: Network, loop: Sequence[str]) -> str:
    """Say what to do about a loop through a population that a frontend made beside a module's own."""
    advice, modules = network.provenance.get(MADE_BESIDE, ""), {name: network.population(name).source for name in loop}
    return f"{advice}, or " if advice and _find_shared(modules) else ""


def _leave_out(mapped: MappedNetwork) -> str:
    """Name the connections that wait in relays."""
    return _name_some([part.name for part, waits in _list_waits(mapped) if waits])


def _tell_waiting(mapped: MappedNetwork, name: str) -> str:
    """Say what to do without an input's waiting: each thing by which it may come to wait, as far as the network has it."""
    parts = unfold_network(mapped).projections
    heard = [part for part in parts if part.pre == name]
    posts = {part.post for part in heard}
    constant = mapped.lags.keys() - {part.post for part in parts}
    tails = [part for part in heard if any(_takes_back(part, other) for other in heard)]
    told = {
        mapped.advice: bool(mapped.advice) and not posts.isdisjoint(_find_shared(mapped.modules)),
        "let constants come a step late (`snnmap check --fix`) or train layers in front of synapses without a bias": any(
            p.pre in constant and p.post in posts for p in parts
        ),
        f"give {', '.join(sorted({repr(part.post) for part in tails}))} synapses with a memory (alpha above 0)": bool(tails),
        "remove delays behind the input": any(part.delay_steps for part in heard if part not in tails),
        "remove skip connections from the input": len({mapped.modules[post] or post for post in posts}) > 1,
    }
    return ", ".join([text for text, holds in told.items() if holds] or ["remove skip connections"])


def _takes_back(part: Projection, other: Projection) -> bool:
    """Say whether weights take back, a step later, half of what another projection left in a synapse that was lent."""
    if (part.post, part.synapse, part.delay_steps) != (other.post, other.synapse, other.delay_steps + 1):
        return False
    left = (part.weights.to_scipy() + other.weights.to_scipy() / 2).multiply(part.weights.to_scipy() != 0)
    return not left.count_nonzero()


def _find_shared(modules: Mapping[str, str]) -> set[str]:
    """Return the populations whose module a frontend made several of."""
    n_made = Counter(modules.values())
    return {name for name, module in modules.items() if n_made[module] > 1}


def _list_waits(mapped: MappedNetwork) -> list[tuple[Projection, int]]:
    """List all connections and the relays in which each waits."""
    return [(part, mapped.route(part.pre, part.post, part.delay_steps).hop) for part in unfold_network(mapped).projections]


def _name_some(names: Sequence[str]) -> str:
    """Say to leave out connections, if they are few."""
    return f"leave out {', '.join(map(repr, names))}" if len(names) <= _MOST_NAMED else ""

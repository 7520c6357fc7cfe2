"""What counting alone can tell: channels and neurons against those of the chip, of a network or before there is one."""

from collections.abc import Iterator, Mapping

from snnmap.chip import Chip
from snnmap.core import Report, record
from snnmap.core.diagnostics import Least, Location
from snnmap.lif.drc.advice import advise_outputs
from snnmap.lif.drc.engine import RULES, Amount, Finding

__all__ = ["COUNTED", "LARGER", "Sizes", "check_sizes", "tell_hidden", "tell_inputs", "tell_outputs"]

COUNTED = ("SNN201", "SNN202", "SNN203")
"""The rules of :func:`check_sizes`."""
_SHOWN = 3
"""Layers that are named."""
LARGER = "take a chip with more (`snnmap chips`; `snnmap fit --smallest FILE --enlarge` writes the record of one)"
"""What does about any capacity."""


@record
class Sizes:
    """Channels and neurons of a network, or the fewest that it can have.

    Attributes:
        inputs: channels by input port.
        hidden: neurons by layer.
        n_outputs: neurons that are read.
    """

    inputs: Mapping[str, int]
    hidden: Mapping[str, int]
    n_outputs: int


def check_sizes(sizes: Sizes, chip: Chip) -> Report:
    """Run the rules that need counts alone, on the fewest channels and neurons that a network can have."""
    largest = sorted(sizes.hidden.items(), key=lambda item: -item[1])[:_SHOWN]
    told = f"counted before anything is converted; largest: {', '.join(f'{name} {size}' for name, size in largest)}"
    findings = (
        tell_inputs(", ".join(sizes.inputs), sum(sizes.inputs.values()), chip),
        tell_hidden(sum(sizes.hidden.values()), chip, told),
        tell_outputs("output", sizes.n_outputs, chip),
    )
    signed = (diagnostic for key, found in zip(COUNTED, findings, strict=True) for diagnostic in RULES[key].sign(found))
    return Report(diagnostics=tuple(sorted(signed, key=lambda diagnostic: diagnostic.sort_key)), rules_run=COUNTED)


def tell_inputs(ports: str, used: int, chip: Chip) -> Iterator[Finding]:
    """Yield what SNN201 finds of so many channels of the named input ports."""
    message, fix = "there are more input channels than the chip has", "feed the data over more steps, reduce the channels"
    yield from _tell(Location(port=ports), message, used, chip.inputs.count, "channels", "channels", fix)


def tell_hidden(used: int, chip: Chip, told: str, *, instead: str = "") -> Iterator[Finding]:
    """Yield what SNN202 finds of so many hidden neurons, with what is told of them and another change that would do."""
    message, fix = (
        f"there are more hidden neurons than the chip has ({told})",
        "make populations smaller or skip connections shorter",
    )
    yield from _tell(Location(), message, used, chip.hidden.count, "neurons", "neurons", fix, instead)


def tell_outputs(populations: str, used: int, chip: Chip, framework: str = "") -> Iterator[Finding]:
    """Yield what SNN203 finds of so many neurons of the named populations, which are read."""
    message, fix = "there are more output neurons than the chip has", advise_outputs(framework)
    yield from _tell(Location(population=populations), message, used, chip.outputs.count, "neurons", "outputs", fix)


def _tell(
    location: Location, message: str, used: int, limit: int, unit: str, what: str, fix: str, instead: str = ""
) -> Iterator[Finding]:
    """Yield a finding where more are used than the chip has; a larger chip does too."""
    if used > limit:
        yield Finding(
            location=location,
            message=message,
            measured=Amount(used),
            limit=Amount(limit),
            unit=unit,
            least=Least(do="drop", n=used - limit, what=what, of=used, instead=instead),
            fix=f"{fix}, or {LARGER}",
        )

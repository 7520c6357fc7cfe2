"""Family 4: do the bytes compute the layers? Found by following the instructions, without mapper and scheduler."""

from collections.abc import Iterator

from snnmap.core.rules import Finding, rule
from snnmap.crossbar.drc.engine import Held, OnArchitecture

__all__: list[str] = []


@rule("CIM401", "weights-not-once", Held)
def check_weights_once(subject: OnArchitecture[Held]) -> Iterator[Finding]:
    """What it checks: that each output of each layer is made of each of its weights exactly once, with the model's value.

    Why it matters: a weight that is missing, wrong or counted twice is a wrong result without a word.

    Bad: one byte of the weights was changed, and its checksum with it.

    How to fix: build the file anew from the model.
    """
    return _select(subject, "CIM401")


@rule("CIM402", "elements-misused", Held)
def check_elements(subject: OnArchitecture[Held]) -> Iterator[Finding]:
    """What it checks: that no element is used twice in a computation cycle, that all are in the grid, and that chains are
    within the switches.

    Why it matters: the second weights would overwrite the first.

    Bad: a field of an instruction that names an element was changed.

    How to fix: build the file anew from the model.
    """
    return _select(subject, "CIM402")


@rule("CIM403", "constants-differ", Held)
def check_constants(subject: OnArchitecture[Held]) -> Iterator[Finding]:
    """What it checks: that biases and factors are the model's, and that the constant memory has no others.

    Why it matters: they scale every output.

    Bad: a byte of the constants was changed.

    How to fix: build the file anew from the model.
    """
    return _select(subject, "CIM403")


@rule("CIM404", "parameters-differ", Held)
def check_parameters(subject: OnArchitecture[Held]) -> Iterator[Finding]:
    """What it checks: that tensors, windows and factors of all instructions are those of the model's layers.

    Why it matters: a window that slides otherwise reads other values.

    Bad: a stride, a pad or an address was changed.

    How to fix: build the file anew from the model.
    """
    return _select(subject, "CIM404")


@rule("CIM405", "transfers-differ", Held)
def check_transfers(subject: OnArchitecture[Held]) -> Iterator[Finding]:
    """What it checks: that every transfer is received, every sum taken once, and that cores never wait for each other for
    ever.

    Why it matters: a core that waits for ever stops all others at the next barrier.

    Bad: a transfer was sent to another core.

    How to fix: build the file anew from the model.
    """
    return _select(subject, "CIM405")


def _select(subject: OnArchitecture[Held], rule_id: str) -> Iterator[Finding]:
    return (fault.finding for fault in subject.of.faults if fault.rule == rule_id)

"""Family 1: can every node of the model be computed, in its integers?"""

from collections.abc import Iterator

from snnmap.core.diagnostics import Location, Severity
from snnmap.core.rules import Finding, rule
from snnmap.crossbar.drc.engine import OnArchitecture
from snnmap.crossbar.lower import Lowered

__all__: list[str] = []


@rule("CIM101", "operation-not-computed", Lowered)
def check_operations(subject: OnArchitecture[Lowered]) -> Iterator[Finding]:
    """What it checks: that a core computes the operation of each node.

    Why it matters: cores multiply with weights, add and multiply values, take greatest values and means, look up in tables.

    Bad: an LRN or a Softmax between layers; a convolution over three sides.

    How to fix: replace the node, or cut the model before it and compute the rest on the host.
    """
    yield from _select(subject, "operation")


@rule("CIM102", "not-quantised", Lowered)
def check_quantisation(subject: OnArchitecture[Lowered]) -> Iterator[Finding]:
    """What it checks: that no node computes with floats.

    Why it matters: cells hold integers, and DACs drive integers.

    Bad: a model as it was trained; a branch whose last quantiser is missing.

    How to fix: quantise the model with typical inputs: `snnmap crossbar build --calibration inputs.npy`, or onnxruntime's
    `quantize_static` with unsigned activations.
    """
    yield from _select(subject, "quantisation")


@rule("CIM103", "weights-beyond-cells", Lowered)
def check_weights(subject: OnArchitecture[Lowered]) -> Iterator[Finding]:
    """What it checks: that the weights of every layer, less their zero point, fit the cells of a weight.

    Why it matters: a cell holds as many bits as it has.

    Bad: 8-bit weights on cells of 4 bits; unsigned weights whose zero point is 0.

    How to fix: quantise weights to fewer bits, symmetric around 0, or choose an architecture with wider weights.
    """
    yield from _select(subject, "weights")


@rule("CIM104", "activations-not-unsigned", Lowered)
def check_activations(subject: OnArchitecture[Lowered]) -> Iterator[Finding]:
    """What it checks: that activations have 8 bits, with one scale a tensor, and are read with the scale they are written with.

    Why it matters: DACs drive 256 levels from 0; int8 is taken as uint8, 128 higher.

    Bad: a model that was quantised with `activation_type=QuantType.QInt16`.

    How to fix: quantise with `activation_type=QuantType.QUInt8`.
    """
    yield from _select(subject, "activations")


@rule("CIM105", "left-to-the-host", Lowered, Severity.ADVICE)
def check_host(subject: OnArchitecture[Lowered]) -> Iterator[Finding]:
    """What it checks: which nodes behind the last layer are left out of the file.

    Why it matters: a Softmax needs exponentials of floats, and the greatest score is the same before it and behind.

    Bad: none; a classifier whose last node is a Softmax gives scores in its place.

    How to fix: compute the nodes that are named of the file's outputs, where their values are needed.
    """
    for node in subject.of.left:
        if node.operation.role == "Act":
            yield Finding(
                location=Location(population=node.name, source=node.source if node.source != node.name else ""),
                message=f"{node.kind}: it is left to the host, and outputs are what it takes",
                fix="compute it of the outputs, where its values are needed",
            )


def _select(subject: OnArchitecture[Lowered], kind: str) -> Iterator[Finding]:
    return (refused.finding for refused in subject.of.refused if refused.kind == kind)

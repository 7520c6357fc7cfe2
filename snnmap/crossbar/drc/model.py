"""Family 1: can every node of the model be computed, in its integers?"""

from collections.abc import Iterator

from snnmap.core.rules import Finding, rule
from snnmap.crossbar.drc.engine import OnArchitecture
from snnmap.crossbar.lower import Lowered

__all__: list[str] = []


@rule("CIM101", "operation-not-computed", Lowered)
def check_operations(subject: OnArchitecture[Lowered]) -> Iterator[Finding]:
    """What it checks: that a core computes the operation of each node.

    Why it matters: cores multiply with weights, add, take greatest values and means; nothing else.

    Bad: a Softmax or an LSTM; a convolution over three sides.

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
    """What it checks: that activations are uint8, with one scale a tensor.

    Why it matters: DACs drive levels from 0; onnxruntime's signed operators round some values otherwise.

    Bad: a model that was quantised with `activation_type=QuantType.QInt8`.

    How to fix: quantise with `activation_type=QuantType.QUInt8`.
    """
    yield from _select(subject, "activations")


def _select(subject: OnArchitecture[Lowered], kind: str) -> Iterator[Finding]:
    return (refused.finding for refused in subject.of.refused if refused.kind == kind)

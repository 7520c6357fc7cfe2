"""Family 3: do sums keep their value?"""

from collections.abc import Iterator

import numpy as np

from snnmap.core.diagnostics import Location, Severity
from snnmap.core.rules import Amount, Finding, rule
from snnmap.crossbar.drc.engine import OnArchitecture
from snnmap.crossbar.lower import LayerProgram

__all__: list[str] = []

_MOST = 2**31 - 1


@rule("CIM301", "sum-beyond-accumulator", LayerProgram)
def check_sums(subject: OnArchitecture[LayerProgram]) -> Iterator[Finding]:
    """What it checks: that no sum of a layer can leave 32 bits: each filter's weights of one sign times the greatest level,
    and the bias.

    Why it matters: an accumulator that overflows changes its sign.

    Bad: a linear layer of 70,000 inputs with weights near 127.

    How to fix: quantise the layer's weights with a larger scale, or split the layer.
    """
    greatest = (1 << subject.architecture.converters.dac_bits) - 1
    for _, layer in subject.of.matrices:
        bias = np.abs(layer.bias)
        most = layer.n_rows * 128 * greatest + int(bias.max(initial=0))
        if most > _MOST:
            most = int((np.abs(layer.weights.astype(np.int16)).sum(axis=1, dtype=np.int64).reshape(-1) * greatest + bias).max())
        if most > _MOST:
            yield Finding(
                location=Location(population=layer.name, source=layer.module),
                message="a sum can leave the accumulator",
                measured=Amount(most),
                limit=Amount(_MOST),
                fix="quantise the layer's weights with a larger scale, or split the layer",
            )


@rule("CIM302", "levels-beyond-dac", LayerProgram)
def check_levels(subject: OnArchitecture[LayerProgram]) -> Iterator[Finding]:
    """What it checks: that DACs drive as many levels as activations have.

    Why it matters: a DAC of fewer bits drives other levels than the model was quantised with.

    Bad: DACs of 6 bits, and a model of 8-bit activations.

    How to fix: choose an architecture with `converters.dac_bits = 8`.
    """
    bits = subject.architecture.converters.dac_bits
    if bits < 8:
        yield Finding(
            location=Location(block="converters"),
            message="activations have more levels than a DAC drives",
            measured=Amount(8),
            limit=Amount(bits),
            unit="bits",
            fix="choose an architecture with converters.dac_bits = 8",
        )


@rule("CIM303", "adc-rounds", LayerProgram, Severity.WARNING)
def check_converters(subject: OnArchitecture[LayerProgram]) -> Iterator[Finding]:
    """What it checks: that an ADC has as many bits as a chain's sums.

    Why it matters: bytes are exact, and so is their run with ideal numbers; the analog parts round.

    Bad: 128 rows of 8-bit weights and levels have sums of 23 bits, an ADC 16.

    How to fix: measure what it costs: `snnmap crossbar run --numerics analog`.
    """
    needed, limit = subject.architecture.largest_sum.bit_length() + 1, subject.architecture.converters.adc_bits
    if needed > limit:
        yield Finding(
            location=Location(block="converters"),
            message="sums of a chain have more bits than an ADC",
            measured=Amount(needed),
            limit=Amount(limit),
            unit="bits",
            fix="measure what it costs with snnmap crossbar run --numerics analog",
        )

"""The chip's integer rules, once: every engine and the quantiser use these functions.

They take and give plain integers, so that they read like section 4 of the design and a compiler can
take them as they are (the batch engine does). Their source is XyloSim 0.1.3, generation 2
(``XyloIAFNeuron.cpp``), against which the tests run them.
"""

__all__ = ["decay", "deliver", "fire", "integrate", "saturate", "wrap"]


def saturate(value: int, bits: int) -> int:
    """Clamp to the range of a signed word of ``bits`` bits.

    Example:
        >>> saturate(40_000, 16), saturate(-40_000, 16)
        (32767, -32768)
    """
    highest = (1 << (bits - 1)) - 1
    return max(-highest - 1, min(highest, value))


def wrap(value: int, bits: int) -> int:
    """Keep the low ``bits`` bits and read them as a signed word (two's complement).

    Example:
        >>> wrap(40_000, 16)
        -25536
    """
    half = 1 << (bits - 1)
    return ((value + half) & (2 * half - 1)) - half


def decay(value: int, dash: int) -> int:
    """Give what a state loses in one step: ``value >> dash``, but at least 1 towards zero.

    The shift is arithmetic (rounds to minus infinity), so a negative state never stalls above zero.

    Example:
        >>> decay(100, 3), decay(5, 3), decay(-5, 3)
        (12, 1, -1)
    """
    lost = value >> dash
    if lost == 0 and value != 0:
        return 1 if value > 0 else -1
    return lost


def deliver(current: int, weight: int, shift: int, count: int, bits: int) -> int:
    """Add ``count`` spikes through one synapse to a synaptic current.

    The chip saturates after each spike; spikes of one synapse all push the same way, so one clamp after the last
    gives the same current.

    Args:
        current: synaptic current before.
        weight: stored weight.
        shift: the memory block's weight shift.
        count: spikes of the source in this step, not negative.
        bits: width of the state.
    """
    return saturate(current + count * wrap(weight << shift, bits), bits)


def integrate(potential: int, dash_mem: int, current: int, bias: int, bits: int) -> int:
    """Advance a membrane potential by one step, before the spike test.

    ``dv = -decay(v) + sum of currents``, saturated, then ``+ bias``, saturated; ``v = v + dv``, saturated. The
    negated decay is itself a word of ``bits`` bits: the lowest state with a dash of 0 wraps.
    """
    change = saturate(wrap(-decay(potential, dash_mem), bits) + current, bits)
    change = saturate(change + bias, bits)
    return saturate(potential + change, bits)


def fire(potential: int, threshold: int, count: int, max_count: int, bits: int) -> tuple[int, int]:
    """Subtract the threshold once a spike while the potential reaches it.

    Args:
        potential: membrane potential after :func:`integrate`.
        threshold: spike threshold.
        count: spikes already counted in this step (from an alias), 0 otherwise.
        max_count: the most spikes a neuron sends a step.
        bits: width of the state.

    Returns:
        Spike count and potential after the reset.

    Example:
        >>> fire(700, 256, 0, 31, 16)
        (2, 188)
    """
    while potential >= threshold and count < max_count:
        count += 1
        potential = wrap(potential - threshold, bits)
    return count, potential

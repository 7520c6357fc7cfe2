"""Chips of the catalog with room for networks that they do not hold."""

from dataclasses import replace

from snnmap.chip import Chip


def enlarge(chip: Chip, *, n_neurons: int | None = None) -> Chip:
    """Take the limits on fan-in and words away, and give more neurons where that is asked for."""
    n_neurons = n_neurons or chip.hidden.count
    memories = {
        name: replace(getattr(chip, name), max_fan_in=n_neurons, max_words=2**30)
        for name in ("input_weights", "recurrent_weights", "output_weights")
    }
    reaches = {
        area: replace(getattr(chip, area), reach=replace(getattr(chip, area).reach, count=n_neurons))
        for area in ("inputs", "outputs")
    }
    return replace(chip, hidden=replace(chip.hidden, count=n_neurons), **memories, **reaches)

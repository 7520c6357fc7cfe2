"""Builds that benchmarks share: on chips with more room, and in spite of what the comparison finds."""

from collections.abc import Callable
from dataclasses import replace

from snnmap import Artifacts, CompileOptions, compile_model
from snnmap.chip import Chip, MemoryKind
from snnmap.core import IntArray
from snnmap.core.errors import DesignRuleError


def enlarge(chip: Chip, *, n_neurons: int | None = None, n_inputs: int | None = None) -> Chip:
    """Take the limits on fan-in and words away, and give more neurons and input channels where that is asked for."""
    n_neurons = n_neurons or chip.hidden.count
    memories = {kind.weights_name: replace(chip.memory(kind), max_fan_in=n_neurons, max_words=2**30) for kind in MemoryKind}
    reaches = {
        area: replace(getattr(chip, area), reach=replace(getattr(chip, area).reach, count=n_neurons))
        for area in ("inputs", "outputs")
    }
    bits = replace(chip.bits, neuron_id=max(chip.bits.neuron_id, n_neurons.bit_length()))
    inputs = replace(reaches.pop("inputs"), count=n_inputs or chip.inputs.count)
    return replace(chip, hidden=replace(chip.hidden, count=n_neurons), inputs=inputs, bits=bits, **memories, **reaches)


def build_anyway(
    model: object,
    chip: Chip | str,
    *,
    options: CompileOptions | None = None,
    calibration: IntArray | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> tuple[Artifacts, tuple[str, ...]]:
    """Return the build, whatever the bitstream does beside the model, and the rules that refuse it unless that is allowed."""
    options = options or CompileOptions()
    try:
        return compile_model(model, chip, options=options, calibration=calibration, on_stage=on_stage), ()
    except DesignRuleError as refusal:
        rules = tuple(sorted({diagnostic.rule for diagnostic in refusal.diagnostics}))
    options = replace(options, allow=("SNN6",))
    return compile_model(model, chip, options=options, calibration=calibration, on_stage=on_stage), rules

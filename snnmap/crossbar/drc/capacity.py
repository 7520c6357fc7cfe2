"""Family 2: do weights, values and instructions fit the memories and the state machines?"""

from collections.abc import Iterator

from snnmap.core.diagnostics import Location
from snnmap.core.rules import Amount, Finding, rule
from snnmap.crossbar.container import Image
from snnmap.crossbar.drc.engine import OnArchitecture
from snnmap.crossbar.isa import encode_program
from snnmap.crossbar.lower import LayerProgram
from snnmap.crossbar.mapping import Mapped
from snnmap.crossbar.schedule import place_tensors

__all__: list[str] = []


@rule("CIM201", "activation-memory-full", LayerProgram)
def check_activation_memory(subject: OnArchitecture[LayerProgram]) -> Iterator[Finding]:
    """What it checks: that all values that are needed at one time fit the activation memory.

    Why it matters: there is no other memory to put them in.

    Bad: a residual network on large images, whose skip connections keep values over many layers.

    How to fix: give the model smaller inputs, or choose an architecture with a larger `memories.activation_bytes`.
    """
    _, high_water = place_tensors(subject.of)
    limit = subject.architecture.memories.activation_bytes
    if high_water > limit:
        yield Finding(
            location=Location(block="activation memory"),
            message="values between layers need more than there is",
            measured=Amount(high_water),
            limit=Amount(limit),
            unit="bytes",
            fix="give the model smaller inputs, or choose an architecture with a larger memories.activation_bytes",
        )


@rule("CIM202", "filters-beyond-accumulators", LayerProgram)
def check_accumulators(subject: OnArchitecture[LayerProgram]) -> Iterator[Finding]:
    """What it checks: that a core has accumulators for one window of each layer's filters that are computed together.

    Why it matters: sums of a window wait in accumulators until all rows were added.

    Bad: 64 accumulators, and a crossbar of 128 columns.

    How to fix: choose an architecture with more `memories.accumulator_words`.
    """
    architecture = subject.architecture
    limit = architecture.memories.accumulator_words
    grid = architecture.elements.grid_columns * architecture.elements.columns // len(architecture.cell_scales)
    stacked = grid * max(1, architecture.elements.grid_rows)
    for _, layer in subject.of.matrices:
        together = min(layer.n_blocks * layer.n_filters, stacked if layer.n_blocks > 1 else grid)
        if together > limit:
            yield Finding(
                location=Location(population=layer.name, source=layer.module),
                message="a window's sums need more accumulators than a core has",
                measured=Amount(together),
                limit=Amount(limit),
                unit="accumulators",
                fix="choose an architecture with more memories.accumulator_words",
            )


@rule("CIM203", "sums-wait-too-long", Mapped)
def check_waiting_sums(subject: OnArchitecture[Mapped]) -> Iterator[Finding]:
    """What it checks: that sums whose rows are spread over several computation cycles fit the accumulators meanwhile.

    Why it matters: weights are programmed once a sample, so that all windows are computed before the next cycle.

    Bad: a layer of more rows than all cores have, on a large image.

    How to fix: choose an architecture with more cores or more `memories.accumulator_words`, or give the model smaller inputs.
    """
    limit = subject.architecture.memories.accumulator_words
    cycles: dict[int, set[int]] = {}
    for tile in subject.of.tiles:
        cycles.setdefault(tile.strip, set()).add(tile.cycle)
    for number, strip in enumerate(subject.of.strips):
        layer = next(layer for place, layer in subject.of.program.matrices if place == strip.layer)
        needed = strip.n_outputs * strip.n_windows
        if len(cycles[number]) > 1 and needed > limit:
            yield Finding(
                location=Location(population=layer.name, source=layer.module),
                message="sums of all windows wait for the next computation cycle, and need more accumulators than a core has",
                measured=Amount(needed),
                limit=Amount(limit),
                unit="accumulators",
                fix="choose an architecture with more cores or accumulators, or give the model smaller inputs",
            )


@rule("CIM204", "program-memory-full", Image)
def check_program_memory(subject: OnArchitecture[Image]) -> Iterator[Finding]:
    """What it checks: that each core's instructions fit its program memory.

    Why it matters: what does not fit is not carried out.

    Bad: a deep network on a core with 4 KiB of program.

    How to fix: choose an architecture with a larger `memories.program_bytes`, or with more cores.
    """
    limit = subject.architecture.memories.program_bytes
    for core, program in enumerate(subject.of.programs):
        size = len(encode_program(program))
        if size > limit:
            yield _overflow(f"program of core {core}", "instructions", size, limit, "program_bytes")


@rule("CIM205", "constant-memory-full", Image)
def check_constant_memory(subject: OnArchitecture[Image]) -> Iterator[Finding]:
    """What it checks: that biases and factors of all layers fit the constant memory.

    Why it matters: each output has 8 bytes of them.

    Bad: a network of 20,000 filters and 64 KiB of constants.

    How to fix: choose an architecture with a larger `memories.constant_bytes`.
    """
    size, limit = len(subject.of.constants), subject.architecture.memories.constant_bytes
    if size > limit:
        yield _overflow("constant memory", "biases and factors", size, limit, "constant_bytes")


@rule("CIM206", "beyond-the-state-machines", Image)
def check_state_machines(subject: OnArchitecture[Image]) -> Iterator[Finding]:
    """What it checks: that loops and addresses of all instructions fit the state machines.

    Why it matters: a longer loop would end early, a larger address wrap round.

    Bad: 2**17 windows on state machines whose loops have 16 bits.

    How to fix: give the model smaller inputs, or choose an architecture with larger `fsm.loop_bits` and `fsm.address_bits`.
    """
    bits = {"loop": subject.architecture.fsm.loop_bits, "address": subject.architecture.fsm.address_bits}
    for core, program in enumerate(subject.of.programs):
        for number, instruction in enumerate(program):
            for field, value in zip(instruction.kind.fields, instruction.values, strict=True):
                if field.role in bits and value >= 1 << bits[field.role]:
                    yield Finding(
                        location=Location(block=f"core {core}, instruction {number} ({instruction.kind.name})"),
                        message=f"{field.name} is beyond the state machine",
                        measured=Amount(value),
                        limit=Amount((1 << bits[field.role]) - 1),
                        fix=f"give the model smaller inputs, or choose an architecture with larger fsm.{field.role}_bits",
                    )


def _overflow(block: str, what: str, size: int, limit: int, name: str) -> Finding:
    return Finding(
        location=Location(block=block),
        message=f"{what} need more than there is",
        measured=Amount(size),
        limit=Amount(limit),
        unit="bytes",
        fix=f"choose an architecture with a larger memories.{name}",
    )

"""The machine: cores that step through their instructions, and the network between them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.container import Image
from snnmap.crossbar.executor.crossbar import Accumulators, Crossbar, Rectangle, multiply
from snnmap.crossbar.executor.digital import DIGITAL_ACTIONS, scale_sums
from snnmap.crossbar.executor.memory import ActivationMemory
from snnmap.crossbar.executor.numerics import Numerics
from snnmap.crossbar.executor.windows import count_places, view_windows
from snnmap.crossbar.isa import Instruction, format_instruction

__all__ = ["Core", "Machine"]

Fields = dict[str, int]
_WAITING = ("barrier", "send", "receive", "end")


class Core:
    """State of a core: crossbar, accumulators, what its input is set to, and where it is in its program.

    Args:
        number: of the core.
        image: with its program and weights.
        n_samples: of the batch.
    """

    def __init__(self, number: int, image: Image, n_samples: int) -> None:
        self.number = number
        self.program = image.programs[number]
        self.weights = image.weights[number]
        self.crossbar = Crossbar(image.architecture)
        self.accumulators = Accumulators(image.architecture.memories.accumulator_words, n_samples)
        self.setting: Fields = {}
        self.at = 0
        self.cycle = -1

    @property
    def current(self) -> Instruction:
        """The instruction that comes next.

        Raises:
            FormatError: the program ends without ``end``.
        """
        if self.at >= len(self.program):
            raise FormatError("a program ends without 'end'", where=f"core {self.number}", fix="build the file anew")
        return self.program[self.at]

    @property
    def where(self) -> str:
        """What errors call the place."""
        return f"core {self.number}, instruction {self.at} ({format_instruction(self.current)})"


class Machine:
    """Runs an image on a batch.

    Args:
        image: as decoded from bytes.
        n_samples: of the batch.
        numerics: of the crossbars.
        on_barrier: is called with the tensors that were written since the barrier before.
    """

    def __init__(self, image: Image, n_samples: int, numerics: Numerics, on_barrier: Callable[[set[int]], None]) -> None:
        self.image, self.numerics, self.on_barrier = image, numerics, on_barrier
        self.memory = ActivationMemory(image, n_samples)
        self.cores = [Core(number, image, n_samples) for number in range(image.architecture.cores)]
        self.written: set[int] = set()
        self.n_barriers = 0

    def run(self) -> None:
        """Run all cores to their ends.

        Raises:
            FormatError: an instruction cannot be carried out, cores wait for each other for ever, or weights are left over.
        """
        while not all(core.current.kind.name == "end" for core in self.cores):
            moved = [self._run_until_waiting(core) for core in self.cores]
            moved += [self._transfer(core) for core in self.cores if core.current.kind.name == "send"]
            if not self._pass_barrier() and not any(moved):
                self._refuse_deadlock()
        for core in self.cores:
            core.accumulators.require_taken(core.where)
            if core.at != len(core.program) - 1:
                raise FormatError("instructions follow 'end'", where=core.where, fix="build the file anew")
        self.on_barrier(self.written)

    def _run_until_waiting(self, core: Core) -> bool:
        start = core.at
        while core.current.kind.name not in _WAITING:
            where, instruction = core.where, core.current
            _ACTIONS[instruction.kind.name](self, core, instruction.as_dict(), where)
            core.at += 1
        return core.at > start

    def _transfer(self, sender: Core) -> bool:
        """Carry out a transfer whose receiver waits for it."""
        sent = sender.current.as_dict()
        if sent["core"] >= len(self.cores):
            raise FormatError("there is no such core", where=sender.where, measured=str(sent["core"]))
        receiver = self.cores[sent["core"]]
        if receiver.current.kind.name != "receive" or receiver.current["core"] != sender.number:
            return False
        taken = receiver.current.as_dict()
        if (sent["filters"], sent["windows"]) != (taken["filters"], taken["windows"]):
            raise FormatError("a transfer of other sizes than are received", where=sender.where, limit=receiver.where)
        sums = sender.accumulators.take(sent["accumulator"], sent["pitch"], sent["windows"], sent["filters"], sender.where)
        receiver.accumulators.add(taken["accumulator"], taken["pitch"], sums, receiver.where)
        sender.at, receiver.at = sender.at + 1, receiver.at + 1
        return True

    def _pass_barrier(self) -> bool:
        if any(core.current.kind.name != "barrier" for core in self.cores):
            return False
        numbers = [core.current["number"] for core in self.cores]
        if set(numbers) != {self.n_barriers}:
            raise FormatError(
                "cores wait at other barriers", where="barrier", measured=str(sorted(set(numbers))), limit=str(self.n_barriers)
            )
        self.on_barrier(self.written)
        self.written, self.n_barriers = set(), self.n_barriers + 1
        for core in self.cores:
            core.at += 1
        return True

    def _refuse_deadlock(self) -> None:
        waiting = "; ".join(core.where for core in self.cores if core.current.kind.name != "end")
        raise FormatError("the cores wait for each other for ever", where=waiting, fix="build the file anew")


def _begin_cycle(machine: Machine, core: Core, fields: Fields, where: str) -> None:
    if fields["number"] != core.cycle + 1:
        raise FormatError("computation cycles do not ascend", where=where, limit=str(core.cycle + 1), fix="build the file anew")
    core.cycle += 1
    core.crossbar.clear()


def _store(machine: Machine, core: Core, fields: Fields, where: str) -> None:
    place = Rectangle.from_fields(fields)
    size = place.blocks * place.rows * place.filters * len(machine.image.architecture.cell_scales)
    data = core.weights[fields["address"] : fields["address"] + size]
    if len(data) < size:
        raise FormatError("weights beyond those of the core", where=where, limit=f"{len(core.weights)} bytes")
    core.crossbar.store(place, data, where)


def _set_input(machine: Machine, core: Core, fields: Fields, where: str) -> None:
    machine.memory.tensor(fields["tensor"], where)
    core.setting = fields


def _multiply(machine: Machine, core: Core, fields: Fields, where: str) -> None:
    place = Rectangle.from_fields(fields)
    if fields["bias_row"] > 1 or fields["bias_row"] > place.rows or not core.setting:
        raise FormatError("a bias row that is none, or no input", where=where, fix="build the file anew")
    driven = _drive(machine, core, fields, place, where)
    sums = multiply(core.crossbar, place, driven, machine.numerics, where)
    core.accumulators.add(fields["accumulator"], fields["pitch"], sums, where)


def _drive(machine: Machine, core: Core, fields: Fields, place: Rectangle, where: str) -> Any:
    """Return the levels of all rows ``(n_samples, blocks, rows, windows)``."""
    n_inputs, n_windows = place.rows - fields["bias_row"], fields["windows"]
    first, step = fields["first_input"], fields["block_inputs"]
    span = (place.blocks - 1) * step + n_inputs
    windows = range(fields["window"], fields["window"] + n_windows)
    seen = _see(machine, core, range(first, first + span), windows, where)
    if place.blocks > 1 and step != n_inputs:
        seen = seen[:, np.arange(place.blocks)[:, np.newaxis] * step + np.arange(n_inputs)]
    driven = seen.reshape(len(seen), place.blocks, n_inputs, n_windows)
    if fields["bias_row"]:
        greatest = (1 << machine.image.architecture.converters.dac_bits) - 1
        driven = np.pad(driven, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=greatest)
    return driven


def _see(machine: Machine, core: Core, inputs: range, windows: range, where: str) -> Any:
    """Return the levels of inputs ``(n_samples, inputs, windows)``."""
    setting = core.setting
    places, width = count_places(setting), setting["windows_width"]
    tensor = machine.memory.tensor(setting["tensor"], where)
    last_channel, n_windows = -(-inputs.stop // max(places, 1)), width * setting["windows_height"]
    if last_channel > tensor.channels or windows.stop > n_windows or not windows or not places:
        raise FormatError(
            "inputs or windows beyond those of the tensor",
            where=where,
            measured=f"channel {last_channel - 1}, window {windows.stop - 1}",
            limit=f"{tensor.channels} channels, {n_windows} windows",
            fix="build the file anew",
        )
    channels = range(inputs.start // places, last_channel) if inputs else range(0)
    rows = range(windows.start // width, -(-windows.stop // width))
    if not inputs:
        return np.zeros((len(machine.memory.read(setting["tensor"], 0, 0, where)), 0, len(windows)), np.uint8)
    seen = view_windows(machine.memory, setting, channels, rows, where)
    flat = seen.reshape(len(seen), len(channels) * places, len(rows) * width)
    skip, ahead = windows.start - rows.start * width, inputs.start - channels.start * places
    return flat[:, ahead : ahead + len(inputs), skip : skip + len(windows)]


def _clear(machine: Machine, core: Core, fields: Fields, where: str) -> None:
    core.accumulators.clear(fields["accumulator"], fields["words"], where)


def _output(machine: Machine, core: Core, fields: Fields, where: str) -> None:
    count, first = fields["filters"], fields["constants"]
    data = machine.image.constants[first : first + 8 * count]
    if len(data) < 8 * count:
        raise FormatError("constants beyond the memory", where=where, limit=f"{len(machine.image.constants)} bytes")
    bias, factor = np.frombuffer(data, "<i4", count), np.frombuffer(data, "<f4", count, 4 * count)
    sums = core.accumulators.take(fields["accumulator"], fields["pitch"], fields["windows"], count, where) + bias
    levels = scale_sums(machine, fields["tensor"], sums, factor, where)
    machine.memory.write_channels(fields["tensor"], fields["channel"], fields["window"], levels.transpose(0, 2, 1), where)
    machine.written.add(fields["tensor"])


_ACTIONS: Mapping[str, Callable[[Machine, Core, Fields, str], None]] = {
    **DIGITAL_ACTIONS,
    "clear": _clear,
    "cycle": _begin_cycle,
    "input": _set_input,
    "multiply": _multiply,
    "output": _output,
    "weights": _store,
}

"""Cycles, energy and traffic of a run, counted from the instructions and the record's costs of each action."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from snnmap.crossbar.container import Image
from snnmap.crossbar.record import Architecture

__all__ = ["Costs", "measure_costs"]

Fields = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one sample costs. Cores that wait at a barrier wait for the slowest; nothing overlaps within a core.

    Attributes:
        compute_cycles: clock cycles from input to output, without programming weights.
        program_cycles: clock cycles in which weights are programmed, of the slowest core of each computation cycle.
        clock_mhz: of the cores.
        energy_pj: by action.
        traffic_bytes: over the network of cores, by what is sent.
        traffic_hop_bytes: the same, each byte as often as it goes over a link.
        activation_bytes: of the activation memory in use at most.
        accumulator_words: of a core in use at most.
        program_bytes: of the longest program.
    """

    compute_cycles: int
    program_cycles: int
    clock_mhz: float
    energy_pj: Mapping[str, float]
    traffic_bytes: Mapping[str, int]
    traffic_hop_bytes: int
    activation_bytes: int
    accumulator_words: int
    program_bytes: int

    @property
    def latency_ms(self) -> float:
        """Milliseconds from input to output, weights being there."""
        return self.compute_cycles / self.clock_mhz / 1e3

    @property
    def samples_per_second(self) -> float:
        """Samples a second where weights need not be programmed again: with one computation cycle, or as many chips."""
        return self.clock_mhz * 1e6 / max(1, self.compute_cycles)

    @property
    def samples_per_second_programmed(self) -> float:
        """Samples a second where all weights are programmed for each sample."""
        return self.clock_mhz * 1e6 / max(1, self.compute_cycles + self.program_cycles)


def measure_costs(image: Image) -> Costs:
    """Count what a sample costs."""
    meter = _Meter(image=image)
    for core, program in enumerate(image.programs):
        meter.core, meter.barrier, meter.cycle = core, 0, 0
        for instruction in program:
            _METERS.get(instruction.kind.name, _ignore)(meter, instruction.as_dict())
    return Costs(
        compute_cycles=sum(max(cycles.values()) for cycles in meter.compute.values()),
        program_cycles=sum(max(cycles.values()) for cycles in meter.programming.values()),
        clock_mhz=image.architecture.clock_mhz,
        energy_pj=dict(meter.energy),
        traffic_bytes=dict(meter.traffic),
        traffic_hop_bytes=meter.hop_bytes,
        activation_bytes=max(tensor.address + tensor.size for tensor in image.tensors),
        accumulator_words=meter.accumulators,
        program_bytes=max(sum(one.kind.n_bytes for one in program) for program in image.programs),
    )


@dataclass(kw_only=True)
class _Meter:
    image: Image
    core: int = 0
    barrier: int = 0
    cycle: int = 0
    compute: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    """Clock cycles between barriers, by core."""
    programming: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    """Clock cycles of programming in each computation cycle, by core."""
    energy: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    traffic: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    hop_bytes: int = 0
    accumulators: int = 0
    n_window_places: int = 1
    """Of the core's input."""

    @property
    def architecture(self) -> Architecture:
        return self.image.architecture

    def spend(self, cycles: int) -> None:
        self.compute[self.barrier][self.core] += cycles

    def move(self, what: str, n_bytes: int, hops: int) -> None:
        """Count bytes over the network, and over links."""
        costs = self.architecture.costs
        self.traffic[what] += n_bytes
        self.hop_bytes += n_bytes * hops
        self.energy["transfers"] += n_bytes * hops * costs.hop_pj
        self.energy["memory"] += n_bytes * costs.memory_pj
        self.spend(hops * costs.hop_cycles + -(-n_bytes // self.architecture.noc.bytes_per_cycle))

    def hops(self, one: int, other: int) -> int:
        """Links between two cores of the mesh."""
        width = self.architecture.noc.columns
        return abs(one % width - other % width) + abs(one // width - other // width)

    def compute_digital(self, values: int) -> None:
        self.energy["digital"] += values * self.architecture.costs.digital_pj
        self.spend(values * self.architecture.costs.digital_cycles)


def _ignore(meter: _Meter, fields: Fields) -> None:
    """Count nothing: the instruction sets what others use."""


def _pass_barrier(meter: _Meter, fields: Fields) -> None:
    meter.barrier += 1


def _begin_cycle(meter: _Meter, fields: Fields) -> None:
    meter.cycle = fields["number"]


def _program(meter: _Meter, fields: Fields) -> None:
    costs, rows = meter.architecture.costs, fields["rows"] * fields["blocks"]
    meter.programming[meter.cycle][meter.core] += rows * costs.program_cycles
    meter.energy["programming"] += rows * fields["filters"] * len(meter.architecture.cell_scales) * costs.program_pj


def _multiply(meter: _Meter, fields: Fields) -> None:
    """Blocks have inputs of their own and are driven one by one; columns are read as many at once as there are ADCs."""
    costs, converters, elements = meter.architecture.costs, meter.architecture.converters, meter.architecture.elements
    windows, rows = fields["windows"], fields["rows"] * fields["blocks"]
    columns = fields["filters"] * fields["blocks"] * len(meter.architecture.cell_scales)
    adcs = elements.grid_columns * elements.columns // converters.columns_per_adc
    meter.spend(windows * (fields["blocks"] * costs.drive_cycles + -(-columns // adcs) * costs.convert_cycles))
    meter.energy["drive"] += windows * rows * costs.drive_pj
    meter.energy["convert"] += windows * columns * costs.convert_pj
    meter.move("inputs", windows * rows, meter.hops(0, meter.core))


def _clear(meter: _Meter, fields: Fields) -> None:
    meter.accumulators = max(meter.accumulators, fields["accumulator"] + fields["words"])


def _output(meter: _Meter, fields: Fields) -> None:
    values = fields["filters"] * fields["windows"]
    meter.compute_digital(values)
    meter.move("outputs", values, meter.hops(0, meter.core))


def _send(meter: _Meter, fields: Fields) -> None:
    meter.move("sums", 4 * fields["filters"] * fields["windows"], meter.hops(meter.core, fields["core"]))


def _receive(meter: _Meter, fields: Fields) -> None:
    meter.compute_digital(fields["filters"] * fields["windows"])


def _set_input(meter: _Meter, fields: Fields) -> None:
    meter.n_window_places = fields["kernel_height"] * fields["kernel_width"]


def _pool(meter: _Meter, fields: Fields) -> None:
    tensor = meter.image.tensors[fields["tensor"]]
    _compute_values(meter, fields["channels"] * tensor.n_places, meter.n_window_places)


def _mean(meter: _Meter, fields: Fields) -> None:
    _compute_values(meter, fields["channels"], meter.image.tensors[fields["source"]].n_places)


def _add(meter: _Meter, fields: Fields) -> None:
    _compute_values(meter, fields["values"], 2)


def _look_up(meter: _Meter, fields: Fields) -> None:
    _compute_values(meter, fields["values"], 1)


def _compute_values(meter: _Meter, values: int, operands: int) -> None:
    meter.compute_digital(values * operands)
    meter.move("digital", values * (operands + 1), meter.hops(0, meter.core))


_METERS: Mapping[str, Callable[[_Meter, Fields], None]] = {
    "add": _add,
    "average": _pool,
    "barrier": _pass_barrier,
    "clear": _clear,
    "cycle": _begin_cycle,
    "input": _set_input,
    "maximum": _pool,
    "mean": _mean,
    "multiply": _multiply,
    "output": _output,
    "pair": _add,
    "receive": _receive,
    "send": _send,
    "table": _look_up,
    "weights": _program,
}

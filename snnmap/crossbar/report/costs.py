"""Cycles, energy and traffic of a run, counted from the instructions and the record's costs of each action."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from snnmap.crossbar.container import Image
from snnmap.crossbar.record import Architecture

__all__ = ["Costs", "measure_costs"]

Fields = dict[str, int]
_COMPUTE_PRICES = {"drive_cycles", "convert_cycles", "digital_cycles", "hop_cycles"}
_PROGRAM_PRICES = {"program_cycles"}
_ENERGY_PRICES = {
    "programming": "program_pj",
    "drive": "drive_pj",
    "convert": "convert_pj",
    "digital": "digital_pj",
    "transfers": "hop_pj",
    "memory": "memory_pj",
}
"""The price of each action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one sample costs. Cores that wait at a barrier wait for the slowest; nothing overlaps within a core.

    What rests on a price that the record does not tell is None.

    Attributes:
        compute_cycles: clock cycles from input to output, without programming weights.
        program_cycles: clock cycles in which weights are programmed, of the slowest core of each computation cycle.
        clock_mhz: of the cores.
        energy_pj: by action.
        unknown: prices that the sample needs and the record does not tell.
        traffic_bytes: over the network of cores, by what is sent.
        traffic_hop_bytes: the same, each byte as often as it goes over a link.
        activation_bytes: of the activation memory in use at most.
        accumulator_words: of a core in use at most.
        program_bytes: of the longest program.
    """

    compute_cycles: int | None
    program_cycles: int | None
    clock_mhz: float
    energy_pj: Mapping[str, float | None]
    unknown: tuple[str, ...]
    traffic_bytes: Mapping[str, int]
    traffic_hop_bytes: int
    activation_bytes: int
    accumulator_words: int
    program_bytes: int

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds from input to output, weights being there."""
        return None if self.compute_cycles is None else self.compute_cycles / self.clock_mhz / 1e3

    @property
    def samples_per_second(self) -> float | None:
        """Samples a second where weights need not be programmed again: with one computation cycle, or as many chips."""
        return self._count_samples(self.compute_cycles)

    @property
    def samples_per_second_programmed(self) -> float | None:
        """Samples a second where all weights are programmed for each sample."""
        if self.compute_cycles is None or self.program_cycles is None:
            return None
        return self._count_samples(self.compute_cycles + self.program_cycles)

    @property
    def known_energy_pj(self) -> float:
        """Energy of all actions whose prices are known."""
        return sum(value for value in self.energy_pj.values() if value is not None)

    def _count_samples(self, cycles: int | None) -> float | None:
        return None if cycles is None else self.clock_mhz * 1e6 / max(1, cycles)


def measure_costs(image: Image) -> Costs:
    """Count what a sample costs."""
    meter = _Meter(image=image)
    for core, program in enumerate(image.programs):
        meter.core, meter.barrier, meter.cycle = core, 0, 0
        for instruction in program:
            _METERS.get(instruction.kind.name, _ignore)(meter, instruction.as_dict())
    compute, programming = (
        None if meter.unknown & prices else sum(max(cycles.values()) for cycles in counted.values())
        for prices, counted in ((_COMPUTE_PRICES, meter.compute), (_PROGRAM_PRICES, meter.programming))
    )
    return Costs(
        compute_cycles=compute,
        program_cycles=programming,
        clock_mhz=image.architecture.clock_mhz,
        energy_pj={name: None if _ENERGY_PRICES[name] in meter.unknown else value for name, value in meter.energy.items()},
        unknown=tuple(sorted(meter.unknown)),
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
    unknown: set[str] = field(default_factory=set)
    """Prices that were needed and are not told."""
    n_window_places: int = 1
    """Of the core's input."""

    @property
    def architecture(self) -> Architecture:
        return self.image.architecture

    def count_cycles(self, price: str, count: int) -> int:
        """Return the clock cycles of so many actions, or 0 where their price is unknown."""
        value: int | None = getattr(self.architecture.costs, price)
        if value is None and count:
            self.unknown.add(price)
        return count * (value or 0)

    def use_energy(self, action: str, count: int) -> None:
        """Add the energy of so many actions."""
        price = _ENERGY_PRICES[action]
        value: float | None = getattr(self.architecture.costs, price)
        if value is None and count:
            self.unknown.add(price)
        self.energy[action] += count * (value or 0.0)

    def spend(self, cycles: int) -> None:
        self.compute[self.barrier][self.core] += cycles

    def move(self, what: str, n_bytes: int, hops: int) -> None:
        """Count bytes over the network, and over links."""
        self.traffic[what] += n_bytes
        self.hop_bytes += n_bytes * hops
        self.use_energy("transfers", n_bytes * hops)
        self.use_energy("memory", n_bytes)
        self.spend(self.count_cycles("hop_cycles", hops) + -(-n_bytes // self.architecture.noc.bytes_per_cycle))

    def compute_digital(self, values: int) -> None:
        self.use_energy("digital", values)
        self.spend(self.count_cycles("digital_cycles", values))


def _ignore(meter: _Meter, fields: Fields) -> None:
    """Count nothing: the instruction sets what others use."""


def _pass_barrier(meter: _Meter, fields: Fields) -> None:
    meter.barrier += 1


def _begin_cycle(meter: _Meter, fields: Fields) -> None:
    meter.cycle = fields["number"]


def _program(meter: _Meter, fields: Fields) -> None:
    rows = fields["rows"] * fields["blocks"]
    meter.programming[meter.cycle][meter.core] += meter.count_cycles("program_cycles", rows)
    meter.use_energy("programming", rows * fields["filters"] * len(meter.architecture.cell_scales))


def _multiply(meter: _Meter, fields: Fields) -> None:
    """Blocks have inputs of their own and are driven one by one; columns are read as many at once as there are ADCs."""
    converters, elements = meter.architecture.converters, meter.architecture.elements
    windows, rows = fields["windows"], fields["rows"] * fields["blocks"]
    columns = fields["filters"] * fields["blocks"] * len(meter.architecture.cell_scales)
    adcs = elements.grid_columns * elements.columns // converters.columns_per_adc
    meter.spend(meter.count_cycles("drive_cycles", windows * fields["blocks"]))
    meter.spend(meter.count_cycles("convert_cycles", windows * -(-columns // adcs)))
    meter.use_energy("drive", windows * rows)
    meter.use_energy("convert", windows * columns)
    meter.move("inputs", windows * rows, meter.architecture.count_links(0, meter.core))


def _clear(meter: _Meter, fields: Fields) -> None:
    meter.accumulators = max(meter.accumulators, fields["accumulator"] + fields["words"])


def _output(meter: _Meter, fields: Fields) -> None:
    values = fields["filters"] * fields["windows"]
    meter.compute_digital(values)
    meter.move("outputs", values, meter.architecture.count_links(0, meter.core))


def _send(meter: _Meter, fields: Fields) -> None:
    meter.move("sums", 4 * fields["filters"] * fields["windows"], meter.architecture.count_links(meter.core, fields["core"]))


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
    meter.move("digital", values * (operands + 1), meter.architecture.count_links(0, meter.core))


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

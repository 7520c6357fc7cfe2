"""A pipeline: layers with their hardware, and the buffers between them."""

from dataclasses import dataclass

from snnmap.core.record import record
from snnmap.dataflow.allocate import Stage, Unit
from snnmap.dataflow.device import Device
from snnmap.dataflow.lower import StreamGraph

__all__ = ["Buffer", "Pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Words between a stream and a layer that reads it: its line buffer, and what waits in front of it.

    Attributes:
        stream: that is kept.
        reader: name of the layer.
        place: of the stream among the layer's inputs.
        depth: words.
        word_bytes: of a word.
    """

    stream: str
    reader: str
    place: int
    depth: int
    word_bytes: int

    @property
    def name(self) -> str:
        """What it is called: stream, reader."""
        return f"{self.stream} -> {self.reader}" + (f" (input {self.place})" if self.place else "")

    @property
    def n_bytes(self) -> int:
        """Bytes."""
        return self.depth * self.word_bytes


@record
class Pipeline:
    """A network in hardware.

    Attributes:
        network: streams and layers.
        device: that it is for.
        stages: a layer's hardware each, in the network's order; of the layers that do not share a unit.
        interval: cycles from a sample to the next, as the slowest stage, the link or the inputs set it.
        buffers: between streams and layers.
        unit: that the last layers share, if any do.
    """

    network: StreamGraph
    device: Device
    stages: tuple[Stage, ...]
    interval: int
    buffers: tuple[Buffer, ...]
    unit: Unit | None = None

    @property
    def front(self) -> StreamGraph:
        """The layers that have hardware of their own."""
        return self.network.take_first(len(self.stages))

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Those of the unit, too."""
        return self.stages + (self.unit.stages if self.unit is not None else ())

    @property
    def multipliers(self) -> int:
        """Of all stages, and of the unit."""
        return sum(stage.multipliers for stage in self.stages) + (self.unit.multipliers if self.unit is not None else 0)

    @property
    def weight_blocks(self) -> int:
        """Memory blocks of weights and parameters."""
        return sum(stage.weight_blocks for stage in self.stages)

    @property
    def buffer_blocks(self) -> int:
        """Memory blocks of buffers, and of the unit."""
        unit = self.device.count_blocks(self.unit.memory_bytes) if self.unit is not None else 0
        return sum(self.device.count_blocks(buffer.n_bytes) for buffer in self.buffers) + unit

    @property
    def samples_per_second(self) -> float:
        """Samples (frames) a second."""
        return self.device.clock_mhz * 1e6 / self.interval

    @property
    def bound(self) -> float:
        """Cycles that all multiply-accumulates take if every multiplier of the device works in each."""
        return self.network.n_macs / self.device.multipliers

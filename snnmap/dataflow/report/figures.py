"""What each layer of a pipeline costs: multipliers and their use, memory, cycles, accesses, energy."""

from dataclasses import asdict, dataclass
from typing import Any

from snnmap.core.record import record
from snnmap.dataflow.allocate import Stage, Unit
from snnmap.dataflow.device import Device
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.simulate import Simulation

__all__ = ["Accesses", "Figures", "LayerFigures", "measure_pipeline"]

_PRICED = {
    "multiplies": "multiply_pj", "scales": "scale_pj", "memory_bytes": "memory_pj", "external_bytes": "external_pj",
}  # fmt: skip
"""The price of each access."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accesses:
    """What a sample does.

    Attributes:
        multiplies: multiply-accumulates, those with pads too.
        scales: values that are scaled, added, compared or looked up.
        memory_bytes: read and written on the device: weights a word a cycle, activations into buffers and out of them.
        external_bytes: over the link.
    """

    multiplies: int = 0
    scales: int = 0
    memory_bytes: int = 0
    external_bytes: int = 0

    def __add__(self, other: "Accesses") -> "Accesses":
        return Accesses(**{name: count + getattr(other, name) for name, count in asdict(self).items()})


@record
class LayerFigures:
    """A stage in figures.

    Attributes:
        stage: of the pipeline.
        use: share of its multipliers' cycles in which they do what the layer needs; None without multipliers.
        buffer_bytes: in front of it.
        first_word: cycles from the first input word to its first word; None without a simulation.
        busy: share of the cycles in which it computes.
        accesses: of a sample.
        is_shared: whether it is a layer of the unit.
    """

    stage: Stage
    use: float | None
    buffer_bytes: int
    first_word: int | None
    busy: float
    accesses: Accesses
    is_shared: bool = False


@record
class Figures:
    """A pipeline in figures.

    Attributes:
        layers: in order.
        accesses: of a sample.
        energy_pj: of each access, None where the device tells no price of it.
    """

    layers: tuple[LayerFigures, ...]
    accesses: Accesses
    energy_pj: dict[str, float | None]

    @property
    def known_energy_pj(self) -> float:
        """Of all accesses with a price."""
        return sum(value for value in self.energy_pj.values() if value is not None)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Prices that a sample needs and the device does not tell."""
        return tuple(f"prices.{_PRICED[name]}" for name, value in self.energy_pj.items() if value is None)


def measure_pipeline(pipeline: Pipeline, simulation: Simulation | None = None) -> Figures:
    """Return what a pipeline costs; latencies where it was simulated."""
    unit = pipeline.unit
    shared = () if unit is None else tuple(_measure_shared(pipeline, unit, stage) for stage in unit.stages)
    layers = tuple(_measure_stage(pipeline, stage, simulation) for stage in pipeline.stages) + shared
    total = sum((layer.accesses for layer in layers), _count_ends(pipeline))
    return Figures(layers=layers, accesses=total, energy_pj=_find_energy(total, pipeline.device))


def _measure_stage(pipeline: Pipeline, stage: Stage, simulation: Simulation | None) -> LayerFigures:
    layer, work = stage.layer, stage.multipliers * pipeline.interval
    return LayerFigures(
        stage=stage,
        use=layer.n_macs / work if work else None,
        buffer_bytes=sum(buffer.n_bytes for buffer in pipeline.buffers if buffer.reader == layer.name),
        first_word=None if simulation is None else simulation.stages[layer.name].first_word,
        busy=stage.cycles / pipeline.interval,
        accesses=_count_accesses(pipeline, stage),
    )


def _measure_shared(pipeline: Pipeline, unit: Unit, stage: Stage) -> LayerFigures:
    """Return the figures of a layer that has the unit for a while; its weights come over the link once a sample."""
    counted = _count_accesses(pipeline, stage)
    return LayerFigures(
        stage=stage,
        use=stage.layer.n_macs / (unit.multipliers * stage.cycles) if stage.layer.n_macs else None,
        buffer_bytes=0,
        first_word=None,
        busy=stage.cycles / pipeline.interval,
        accesses=counted + Accesses(external_bytes=stage.layer.n_weights),
        is_shared=True,
    )


def _count_accesses(pipeline: Pipeline, stage: Stage) -> Accesses:
    layer, factors, streams = stage.layer, stage.parallelism, pipeline.network.streams
    weights = stage.cycles * factors.word_weights if layer.matrix is not None else 0
    by_lane = factors.outputs if layer.kind not in ("convolution", "pointwise", "dense") else factors.channels
    read = stage.cycles * by_lane * factors.kernel * factors.places
    written = sum(streams[name].n_words * streams[name].channels for name in layer.sources)
    return Accesses(
        multiplies=layer.n_macs,
        scales=layer.target.n_words * layer.target.channels if layer.kind not in ("move", "resize") else 0,
        memory_bytes=read + written + (0 if stage.is_streamed else weights),
        external_bytes=weights if stage.is_streamed else 0,
    )


def _count_ends(pipeline: Pipeline) -> Accesses:
    """Count the bytes of inputs and outputs."""
    streams = pipeline.network.streams
    names = [*(stream.name for stream in pipeline.network.inputs), *pipeline.network.outputs]
    return Accesses(external_bytes=sum(streams[name].n_words * streams[name].channels for name in names))


def _find_energy(accesses: Accesses, device: Device) -> dict[str, float | None]:
    counts: dict[str, Any] = asdict(accesses)
    prices = {name: getattr(device.prices, _PRICED[name]) for name, count in counts.items() if count}
    return {name: None if price is None else counts[name] * price for name, price in prices.items()}

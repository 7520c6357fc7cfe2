"""What a build left, in memory or in its folder: the bitstream, who stands where, how outputs are read, what was found."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnmap.chip import Chip, Readout, load_chip
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FormatError, InputError
from snnmap.core.record import record
from snnmap.lif.bitstream import decode
from snnmap.lif.mapping import Placement, format_slot_table, parse_slot_table
from snnmap.lif.program import Decision, Image, SlotTable, unpack
from snnmap.network import InputPort, Network, Recording, draw_inputs, join_rasters, load_network, require_steps
from snnmap.pipeline import Artifacts
from snnmap.pipeline.options import Rasters

__all__ = ["Built", "PortReading", "build_of", "read_built"]

_BUILD_KEYS = frozenset({"bitstream", "sha256", "network", "chip", "outputs", "comparison"})
_FOUND_KEYS = frozenset({"diagnostics", "rules_run", "verification", "stretched", "quantisation", "decays", "rates"})
_TOGETHER = "keep the files of `snnmap build` together, as they were written"


@record
class PortReading:
    """How an output port is read.

    Attributes:
        name: of the port.
        readout: what is read.
        neurons: output neurons of the chip.
        lag_steps: steps by which they run behind.
        units: ``(n,) float64`` states a unit of the model's; 1 for counts.
        decision: how a class is read from their course; None where there is one output.
    """

    name: str
    readout: Readout
    neurons: IntArray
    lag_steps: int
    units: FloatArray
    decision: Decision | None

    def read(self, run: Recording, n_steps: int) -> FloatArray:
        """Return ``(n_samples, n_steps, n)`` values of a run of the image, the lag taken away."""
        kept = {"spikes": run.counts, "potential": run.potentials, "current": run.currents}[self.readout]["outputs"]
        values = kept.sum(axis=2) if self.readout == "current" else kept
        return np.asarray(values[:, self.lag_steps : self.lag_steps + n_steps, self.neurons] / self.units, np.float64)


@record
class Built:
    """A bitstream and what is known of it.

    Attributes:
        bitstream: the bytes.
        image: decoded from them.
        placement: who stands where; without the build's table, a population a row.
        ports: how outputs are read; without the build's word, as spike counts.
        network: the model; None where it is not there.
        build: what ``build.json`` says; empty where it is not there.
        found: what ``report.json`` says, likewise.
    """

    bitstream: bytes
    image: Image
    placement: Placement
    ports: tuple[PortReading, ...]
    network: Network | None
    build: Mapping[str, Any]
    found: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the network."""
        return str(self.build.get("network", "bitstream"))

    @property
    def latency_steps(self) -> int:
        """Largest lag of an output."""
        return max((port.lag_steps for port in self.ports), default=0)

    @property
    def lags(self) -> dict[str, int]:
        """Steps by which each source runs behind, by name."""
        return {name: lag for (name, hop), lag in self.placement.lags.items() if not hop}

    def relay_lag(self, name: str, hop: int) -> int:
        """Return the steps by which a source, or its relay at one hop, runs behind; 0 where that is unknown."""
        return self.placement.lags.get((name, hop), 0)

    def read_inputs(self, inputs: Rasters | None) -> IntArray:
        """Return ``(n_samples, n_steps, n_inputs)`` counts of all channels; drawn where none are given.

        Raises:
            InputError: wrong raster.
        """
        n_inputs = self.placement.table.channel_source.size
        ports = self.network.inputs if self.network else (InputPort(name="inputs", size=n_inputs),)
        given = draw_inputs(ports, max_count=self.image.chip.inputs.max_count) if inputs is None else inputs
        raster = join_rasters(ports, given)
        require_steps(raster, where="inputs", fix="give the spike counts of a sample, or none, to have them drawn")
        return raster

    def pad(self, raster: IntArray) -> IntArray:
        """Return the counts with silence behind them, for as long as outputs lag."""
        return np.pad(raster, ((0, 0), (0, self.latency_steps), (0, 0)))


def build_of(artifacts: Artifacts) -> Built:
    """Return what a build in memory left, as :func:`read_built` returns it of the files."""
    build = artifacts.describe_build()
    return Built(
        bitstream=artifacts.bitstream,
        image=artifacts.image,
        placement=parse_slot_table(format_slot_table(artifacts.mapped)),
        ports=_list_ports(build),
        network=artifacts.network,
        build=_as_read(build),
        found=_as_read(artifacts.to_plain()),
    )


def _as_read(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return JSON values as they are read back: lists for tuples."""
    read: dict[str, Any] = json.loads(json.dumps(values))
    return read


def read_built(path: Path | str, chip: Chip | str | None = None) -> Built:
    """Read what a build wrote.

    Args:
        path: the build's folder, or its bitstream; what lies beside a bitstream is read if it is of the same build.
        chip: record, name or TOML file of its chip; None for a built-in one.

    Raises:
        InputError: a file that cannot be read, or is of another build than the others.
        FormatError: not a bitstream, or damaged; a slot table that is none.
        NetworkError: ``network.json`` cannot be read.
        ChipError: unknown or malformed chip.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    is_told = path.is_dir() or (folder / "build.json").exists()
    build = _read_json(folder / "build.json", _BUILD_KEYS) if is_told else {}
    file = folder / str(build.get("bitstream", "")) if path.is_dir() else path
    data, record = _read(file), None if chip is None else load_chip(chip)
    try:
        image = decode(data, chip=record)
    except FormatError as error:
        raise error.within(str(file)) from error
    if build.get("sha256") != hashlib.sha256(data).hexdigest():
        if path.is_dir():
            raise InputError("build.json is of another bitstream", where=str(folder), measured=file.name, fix=_TOGETHER)
        return _without_build(data, image)
    placement = parse_slot_table(_read(folder / "slots.csv").decode(errors="replace"), where=str(folder / "slots.csv"))
    _require_fit(placement, image, folder)
    return Built(
        bitstream=data,
        image=image,
        placement=placement,
        ports=_list_ports(build),
        network=load_network(folder / "network.json"),
        build=build,
        found=_read_json(folder / "report.json", _FOUND_KEYS),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}",
            where=str(path),
            fix="give a folder that `snnmap build` wrote, or a .bin",
        ) from error


def _read_json(path: Path, keys: Collection[str]) -> dict[str, Any]:
    try:
        read = json.loads(_read(path))
    except ValueError as error:
        raise InputError(f"the file is no JSON: {error}", where=str(path), fix=_TOGETHER) from error
    missing = sorted(set(keys) - set(read)) if isinstance(read, dict) else sorted(keys)
    if missing:
        raise InputError("no build wrote this file", where=str(path), measured=f"no {', '.join(missing)}", fix=_TOGETHER)
    return dict(read)


def _without_build(data: bytes, image: Image) -> Built:
    """Return what a bitstream alone says: rows of neurons, without names."""
    program = unpack(image)
    sizes = {"inputs": program.n_inputs, "hidden": program.hidden.size, "outputs": program.outputs.size}
    rows = {name: np.full(size, number) for number, (name, size) in enumerate(sizes.items())}
    neurons = {name: np.arange(size) for name, size in sizes.items()}
    table = SlotTable(
        sources=tuple(sizes),
        channel_source=rows["inputs"],
        channel_neuron=neurons["inputs"],
        hidden_source=rows["hidden"],
        hidden_neuron=neurons["hidden"],
        hidden_hop=np.zeros_like(rows["hidden"]),
        output_source=rows["outputs"],
        output_neuron=neurons["outputs"],
    )
    port = {"port": "outputs", "readout": "spikes", "neurons": neurons["outputs"], "lag_steps": 0, "units": []}
    return Built(
        bitstream=data,
        image=image,
        placement=Placement(table=table, lags={}, modules={}),
        ports=_list_ports({"outputs": [port]}),
        network=None,
        build={},
        found={},
    )


def _require_fit(placement: Placement, image: Image, folder: Path) -> None:
    program, table = unpack(image), placement.table
    told = (table.channel_source.size, table.hidden_source.size, table.output_source.size)
    held = (program.n_inputs, program.hidden.size, program.outputs.size)
    if told != held:
        raise InputError(
            "the slot table is of another bitstream",
            where=str(folder / "slots.csv"),
            measured=" + ".join(map(str, told)),
            limit=" + ".join(map(str, held)),
            fix=_TOGETHER,
        )


def _list_ports(build: Mapping[str, Any]) -> tuple[PortReading, ...]:
    compared = {port["name"]: port["agreements"] for port in build.get("comparison", {}).get("ports", ())}
    return tuple(
        PortReading(
            name=port["port"],
            readout=port["readout"],
            neurons=np.array(port["neurons"], np.int64),
            lag_steps=port["lag_steps"],
            units=np.array(port["units"] or [1.0] * len(port["neurons"])),
            decision=_choose_decision(port, compared.get(port["port"], ())),
        )
        for port in build["outputs"]
    )


def _choose_decision(port: Mapping[str, Any], agreements: Any) -> Decision | None:
    """Return the way of reading classes in which most samples were decided as the model does; the usual one without a word."""
    if len(port["neurons"]) < 2:
        return None
    best: Mapping[str, Any] = max(agreements, key=lambda a: a["agreeing"], default={})
    usual: Decision = "count" if port["readout"] == "spikes" else "last"
    chosen: Decision = best.get("decision", usual)
    return chosen

"""What a build makes, and what a check leaves."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from snnmap.core import FloatArray, IntArray, Report
from snnmap.core.brief import brief_repr
from snnmap.core.errors import InputError
from snnmap.lif.bitstream import disassemble, export_readmemh
from snnmap.lif.compare import read_port
from snnmap.lif.mapping import Verification, format_slot_table
from snnmap.lif.profile import ChipProfile, list_slots, profile_image
from snnmap.lif.program import Comparison, Image, MappedNetwork, QuantisedNetwork
from snnmap.lif.quantise import DecayMatch, RateTuning
from snnmap.lif.simulator import Stream, require_counts, require_unsaturated, simulate_image
from snnmap.network import Network, OutputPort, Saturation, format_network, join_rasters, read_raster
from snnmap.pipeline.folder import digest_files, write_folder
from snnmap.pipeline.options import Rasters

__all__ = ["Artifacts", "CheckResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What the design rules found, and the stages that could be reached.

    Attributes:
        report: findings of the design rules.
        matched: the network from decays that the chip codes; the network itself where all are.
        matches: what that changed, a line a population.
        mapped: ``matched``, folded.
        quantised: in integers.
        tunings: populations whose rate was brought back.
        bitstream: the bytes for the chip.
        image: decoded from them.
        comparison: of the image with the model.
        verification: of the folding, where a build asks for it.
    """

    report: Report
    matched: Network | None = None
    matches: tuple[DecayMatch, ...] = ()
    mapped: MappedNetwork | None = None
    quantised: QuantisedNetwork | None = None
    tunings: tuple[RateTuning, ...] = ()
    bitstream: bytes = b""
    image: Image | None = None
    comparison: Comparison | None = None
    verification: Verification | None = None

    __repr__ = brief_repr

    def _repr_html_(self) -> str:
        from snnmap.pipeline.show import show_check

        return show_check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Everything that a build makes.

    Attributes:
        network: the model as a network.
        matches: populations that were rebuilt from decays that the chip codes, and how well.
        mapped: folded.
        quantised: in integers.
        tunings: populations whose rate was brought back.
        image: decoded from the bitstream's bytes.
        bitstream: the bytes for the chip.
        report: findings of the design rules; no errors.
        comparison: of the image with the model.
        verification: what running source and folded network showed; None where it was not asked for.
    """

    network: Network
    matches: tuple[DecayMatch, ...]
    mapped: MappedNetwork
    quantised: QuantisedNetwork
    tunings: tuple[RateTuning, ...]
    image: Image
    bitstream: bytes
    report: Report
    comparison: Comparison
    verification: Verification | None

    __repr__ = brief_repr

    def _repr_html_(self) -> str:
        from snnmap.pipeline.show import show_artifacts

        return show_artifacts(self)

    def write(self, directory: Path | str, *, name: str = "", more: Mapping[str, bytes] | None = None) -> None:
        """Put all files in the place of an older build's at once, whole or not at all; files that no build wrote stay.

        ``NAME.bin`` (bitstream), ``NAME.txt`` (its text twin), ``slots.csv`` (chip neuron to model neuron),
        ``network.json`` (the model), ``build.json`` (digests of all files, how outputs are read, and the comparison with the
        model), ``report.json`` (findings, quantisation errors, verification) and ``readmemh/*.mem`` (one file a memory, for test
        benches).

        Args:
            directory: made if absent.
            name: of the bitstream and its text twin; by default the network's.
            more: further files that belong to the build, by name.

        Raises:
            InputError: the directory is a file or a mount point, or holds the working directory, or the name is none of a file.
            OSError: the directory cannot be written or the disk is full; nothing is left half-written.
        """
        stem = self.file_stem if not name else _require_stem(name)
        files = {**self._make_files(stem), **(more or {})}
        files["build.json"] = _to_json(self._describe_build(stem, files))
        write_folder(Path(directory), files)

    def _make_files(self, stem: str) -> dict[str, bytes]:
        return {
            f"{stem}.bin": self.bitstream,
            f"{stem}.txt": disassemble(self.image).encode(),
            "slots.csv": format_slot_table(self.mapped).encode(),
            "network.json": format_network(self.network).encode(),
            "report.json": _to_json(self.to_plain()),
            **{f"readmemh/{name}": data for name, data in export_readmemh(self.image).items()},
        }

    def run(self, inputs: Rasters, *, strict: bool = False) -> dict[str, FloatArray]:
        """Run the bitstream on the chip's simulator; each output port's lag is taken away, so that its steps are the input's.

        Args:
            inputs: ``(n_samples, n_steps, n_inputs)`` spike counts, or such arrays by input port.
            strict: refuse inputs on which values leave their words, which :meth:`count_saturation` counts.

        Returns:
            ``(n_samples, n_steps, n)`` by output port: spike counts, or potentials in the model's units (a model in the
            chip's integers: in units of the state).

        Raises:
            InputError: wrong raster, or counts beyond those of a channel of the chip, or of the relays in which an input waits.
        """
        padded, both = self._pad(inputs), ("hidden", "outputs")
        self._require_relayed(padded)
        found = simulate_image(self.image, padded, counts_of=both, states_of=("outputs",), count_saturation=strict)
        require_unsaturated(found.saturation)
        n_steps = padded.shape[1] - self.mapped.latency_steps
        return {port.name: read_port(self.quantised, found, port)[:, :n_steps] for port in self.mapped.output_ports}

    def count_saturation(self, inputs: Rasters) -> Saturation:
        """Run the bitstream on the chip's simulator and count the values that leave their words on the way.

        Args:
            inputs: ``(n_samples, n_steps, n_inputs)`` spike counts, or such arrays by input port; silence follows.

        Raises:
            InputError: wrong raster, or counts beyond those of a channel of the chip.
        """
        return cast(Saturation, simulate_image(self.image, self._pad(inputs), count_saturation=True).saturation)

    def profile(self, inputs: Rasters) -> ChipProfile:
        """Run the bitstream on the chip's simulator and count what that costs, population by population.

        Args:
            inputs: ``(n_samples, n_steps, n_inputs)`` spike counts, or such arrays by input port; silence follows.

        Raises:
            InputError: wrong raster, or counts beyond those of a channel of the chip.
        """
        slots = list_slots(self.mapped.table)
        return profile_image(self.image, self._pad(inputs), populations=slots, dt_s=self.mapped.dt_s)

    def _pad(self, inputs: Rasters) -> IntArray:
        """Return the counts of all channels, and silence for as long as outputs lag."""
        if isinstance(inputs, Mapping):
            raster = join_rasters(self.mapped.inputs, inputs)
        else:
            raster = read_raster(inputs, self.mapped.table.channel_source.size, where="inputs")
        require_counts(raster, self.mapped.chip)
        return np.pad(raster, ((0, 0), (0, self.mapped.latency_steps), (0, 0)))

    def _require_relayed(self, raster: IntArray) -> None:
        """Refuse inputs that relays would cut off, unless that was waived: the build was judged on inputs that come through."""
        mapped, most = self.mapped, self.mapped.max_input_count
        if any(found.rule == "SNN302" and found.waived for found in self.report.diagnostics):
            return
        for port in mapped.waiting_inputs:
            counts = raster[:, :, mapped.table.channel_source == mapped.table.sources.index(port)]
            if counts.max(initial=0) > most:
                raise InputError(
                    "inputs send more spikes a step than the relays repeat in which they wait",
                    where=f"input port '{port}'",
                    measured=str(counts.max()),
                    limit=str(most),
                    fix="spread them over more steps, or calibrate with such inputs: `snnmap check --fix` then smooths them",
                )

    def stream(self, n_samples: int = 1) -> Stream:
        """Return the configured chip at rest, for inputs that arrive live; its output counts lag by ``mapped.latency_steps``."""
        return Stream(self.image, n_samples)

    @property
    def file_stem(self) -> str:
        """The network's name as a file name."""
        return _to_stem(self.network.name) or "network"

    def describe_build(self) -> dict[str, Any]:
        """Return as JSON values what a reader of the bitstream must know: its digest, how outputs are read, how well."""
        return self._describe_build(self.file_stem, self._make_files(self.file_stem))

    def _describe_build(self, stem: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        mapped = self.mapped
        return {
            "bitstream": f"{stem}.bin",
            "sha256": hashlib.sha256(self.bitstream).hexdigest(),
            "files": digest_files(files),
            "network": self.network.name,
            "chip": mapped.chip.name,
            "latency_steps": mapped.latency_steps,
            "inputs": [{"port": port.name, "channels": mapped.table.channels(port.name).tolist()} for port in mapped.inputs],
            "outputs": [self._describe_port(port) for port in mapped.output_ports],
            "comparison": self.comparison.to_plain(),
        }

    def _describe_port(self, port: OutputPort) -> dict[str, Any]:
        slots = np.concatenate([self.mapped.table.output_slots(name) for name in port.populations])
        return {
            "port": port.name,
            "readout": port.readout,
            "neurons": slots.tolist(),
            "lag_steps": max(self.mapped.lags[name] for name in port.populations),
            "units": self.quantised.readout_scale(port.readout)[slots].tolist() if port.readout != "spikes" else [],
        }

    def to_plain(self) -> dict[str, Any]:
        """Return the report of the build as JSON values."""
        mapped, verification = self.mapped, self.verification
        return {
            "network": self.network.name,
            "provenance": dict(self.network.provenance),
            "chip": mapped.chip.name,
            "lags": dict(mapped.lags),
            "latency_steps": mapped.latency_steps,
            "relays": mapped.n_relays,
            "stretched": dict(mapped.stretched),
            "verification": None
            if verification is None
            else {
                "compared": verification.n_compared,
                "mismatches": verification.n_mismatches,
                "silent": list(verification.silent),
            },
            "rates": [asdict(tuning) for tuning in self.tunings],
            "decays": [asdict(match) for match in self.matches],
            "quantisation": [error.to_plain() for error in self.quantised.errors],
            **self.report.to_plain(),
        }


def _to_stem(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def _require_stem(name: str) -> str:
    if name != _to_stem(name) or name.startswith("."):
        fix = f"give letters, digits, -, _ and ., such as {_to_stem(name).lstrip('.') or 'network'}"
        raise InputError("this is no name of a bitstream", where="name", measured=repr(name), fix=fix)
    return name


def _to_json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()

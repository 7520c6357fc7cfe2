"""The order of the stages: from a model to a bitstream, with everything in between to look at."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap import fsio
from snnmap.bitstream import decode, disassemble, encode, export_readmemh
from snnmap.chip import Chip, load_chip
from snnmap.convert.convert import Conversion
from snnmap.diagnostics import Diagnostic
from snnmap.drc import check_mapped, check_network, check_quantised
from snnmap.errors import DesignRuleError, FormatError, InputError, NetworkError
from snnmap.ir import (
    FloatArray,
    Image,
    MappedNetwork,
    Network,
    OutputPort,
    QuantisedNetwork,
    Recording,
    Report,
    format_network,
    join_rasters,
    pack,
    read_raster,
    read_rasters,
)
from snnmap.loading import load
from snnmap.mapping import (
    FoldOptions,
    Verification,
    fold_network,
    folded_counts,
    folded_potentials,
    format_slot_table,
    verify_fold,
)
from snnmap.quantise import DecayMatch, QuantiseOptions, SecondSynapse, match_decays, quantise_network
from snnmap.simulator import simulate_image

__all__ = ["Artifacts", "CheckResult", "CompileOptions", "Rasters", "check_model", "compile_model", "require_counts"]

Rasters: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOptions:
    """Choices of a build.

    Attributes:
        fold: choices of the mapping stage.
        quantise: choices of the quantisation.
        verify: run source and folded network against each other and refuse any difference.
    """

    fold: FoldOptions = field(default_factory=FoldOptions)
    quantise: QuantiseOptions = field(default_factory=QuantiseOptions)
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What the design rules found, and the stages that could be reached.

    Attributes:
        report: findings of the design rules.
        matched: the network from decays that the chip codes; the network itself where all are.
        matches: what that changed, a line a population.
        mapped: ``matched``, folded.
        quantised: in integers.
    """

    report: Report
    matched: Network | None = None
    matches: tuple[DecayMatch, ...] = ()
    mapped: MappedNetwork | None = None
    quantised: QuantisedNetwork | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Everything that a build makes.

    Attributes:
        network: the model as a network.
        matches: populations that were rebuilt from decays that the chip codes, and how well.
        mapped: folded.
        quantised: in integers.
        image: decoded from the bitstream's bytes.
        bitstream: the bytes for the chip.
        report: findings of the design rules; no errors.
        verification: what running source and folded network showed; None where it was not asked for.
    """

    network: Network
    matches: tuple[DecayMatch, ...]
    mapped: MappedNetwork
    quantised: QuantisedNetwork
    image: Image
    bitstream: bytes
    report: Report
    verification: Verification | None

    def write(self, directory: Path | str) -> None:
        """Write all files, whole or not at all.

        ``NAME.bin`` (bitstream), ``NAME.txt`` (its text twin), ``slots.csv`` (chip neuron to model neuron),
        ``network.json`` (the model), ``report.json`` (findings, quantisation errors, verification) and
        ``readmemh/*.mem`` (one file a block, for test benches).

        Raises:
            OSError: the directory cannot be written or the disk is full; nothing is left half-written.
        """
        files = {
            f"{self.file_stem}.bin": self.bitstream,
            f"{self.file_stem}.txt": disassemble(self.image).encode(),
            "slots.csv": format_slot_table(self.mapped).encode(),
            "network.json": format_network(self.network).encode(),
            "report.json": (json.dumps(self.to_plain(), indent=2) + "\n").encode(),
            **{f"readmemh/{name}": data for name, data in export_readmemh(self.image).items()},
        }
        fsio.write_files(Path(directory), files)

    def run(self, inputs: Rasters) -> dict[str, FloatArray]:
        """Run the bitstream on the chip's simulator; each output port's lag is taken away, so that its steps are the input's.

        Args:
            inputs: ``(n_samples, n_steps, n_inputs)`` spike counts, or such arrays by input port.

        Returns:
            ``(n_samples, n_steps, n)`` by output port: spike counts, or potentials in the model's units (a model in the
            chip's integers: in units of the state).

        Raises:
            InputError: wrong raster, or counts beyond those of a channel of the chip.
        """
        if isinstance(inputs, Mapping):
            raster = join_rasters(self.mapped.inputs, inputs)
        else:
            raster = read_raster(inputs, self.mapped.table.channel_source.size, where="inputs")
        require_counts(raster, self.mapped.chip)
        padded = np.pad(raster, ((0, 0), (0, self.mapped.latency_steps), (0, 0)))
        found = simulate_image(self.image, padded, counts_of=("hidden", "outputs"), states_of=("outputs",))
        return {port.name: self._read_port(port, found, raster.shape[1]) for port in self.mapped.output_ports}

    def _read_port(self, port: OutputPort, found: Recording, n_steps: int) -> FloatArray:
        parts = []
        for name in port.populations:
            if port.readout == "spikes":
                parts.append(folded_counts(found, self.mapped, name)[:, :n_steps].astype(np.float64))
                continue
            scale = self.quantised.output_scale[self.mapped.table.output_slots(name)]
            parts.append(folded_potentials(found, self.mapped, name)[:, :n_steps] / scale)
        return np.concatenate(parts, axis=2)

    @property
    def file_stem(self) -> str:
        """The network's name as a file name."""
        return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.network.name) or "network"

    def to_plain(self) -> dict[str, Any]:
        """Give the report of the build as JSON values."""
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
            "decays": [asdict(match) for match in self.matches],
            "quantisation": [error.to_plain() for error in self.quantised.errors],
            **self.report.to_plain(),
        }


def require_counts(raster: npt.NDArray[Any], chip: Chip) -> None:
    """Refuse input counts that the chip would clamp, so that no model is compared on other inputs than the chip's.

    Raises:
        InputError: a count above the most that a channel carries in a step.
    """
    if raster.size and raster.max() > chip.inputs.max_count:
        raise InputError(
            "input counts are more than a channel carries in a step",
            where=f"chip '{chip.name}'",
            measured=f"{np.count_nonzero(raster > chip.inputs.max_count)} counts, largest {raster.max()}",
            limit=str(chip.inputs.max_count),
            fix="clamp them (np.minimum) where the model is trained, or spread them over more steps",
        )


def check_model(
    model: object, chip: Chip | str, *, options: CompileOptions | None = None, on_stage: Callable[[str], None] = lambda _: None
) -> CheckResult:
    """Run all design rules: on the network, on the folded network and on the quantised one.

    Args:
        model: whatever :func:`snnmap.load` takes.
        chip: a chip record, catalog name or TOML path.
        options: choices of the build.
        on_stage: called with a line of text as each stage starts.

    Raises:
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.
    """
    return _check(load(model), _read_chip(chip), options or CompileOptions(), None, on_stage)


def compile_model(
    model: object,
    chip: Chip | str,
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Artifacts:
    """Take a model to a bitstream: rules, folding, verification, quantisation, packing, encoding.

    Args:
        model: whatever :func:`snnmap.load` takes; or a :class:`snnmap.convert.Conversion`, which brings its calibration data.
        chip: a chip record, catalog name or TOML path.
        options: choices of the build.
        calibration: input rasters for the quantiser, ``(n_samples, n_steps, n_channels)``; by name where the network has several
            input ports.
        on_stage: called with a line of text as each stage starts.

    Raises:
        DesignRuleError: the network breaks rules; all violations are listed.
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.
    """
    options = options or CompileOptions()
    if isinstance(model, Conversion):
        calibration = model.calibration if calibration is None else calibration
        depth = min(options.quantise.depth, model.depth)
        model, options = model.network, replace(options, quantise=replace(options.quantise, depth=depth))
    network, record = load(model), _read_chip(chip)
    checked = _check(network, record, options, calibration, on_stage)
    if checked.report.errors or checked.matched is None or checked.mapped is None or checked.quantised is None:
        raise DesignRuleError(checked.report.errors)
    verification = None
    if options.verify:
        on_stage("verifying the folded network against its source")
        verification = verify_fold(checked.matched, checked.mapped)
        _require_match(verification)
    on_stage("writing the bitstream")
    image = pack(checked.quantised.program)
    bitstream = encode(image)
    read_back = decode(bitstream, chip=record)
    if read_back != image:
        raise FormatError("the bitstream does not decode to the image that was encoded")
    return Artifacts(
        network=network,
        matches=checked.matches,
        mapped=checked.mapped,
        quantised=checked.quantised,
        image=read_back,
        bitstream=bitstream,
        report=checked.report,
        verification=verification,
    )


def _check(
    network: Network, chip: Chip, options: CompileOptions, calibration: Rasters | None, on_stage: Callable[[str], None]
) -> CheckResult:
    on_stage("checking the design rules")
    report = check_network(network, chip)
    if any(_forbids_folding(diagnostic, options) for diagnostic in report.errors):
        return CheckResult(report=report)
    report = _without_stretched_loops(report, options)
    on_stage("folding into the hidden population")
    if report.errors:
        mapped = fold_network(network, chip, options=options.fold)
        return CheckResult(report=report.merge(check_mapped(mapped)), mapped=mapped)
    _require_samples(network, calibration)
    matched, matches, mapped, found = _fold(network, chip, options, calibration)
    report = report.merge(found)
    if report.errors:
        return CheckResult(report=report, matched=matched, matches=matches, mapped=mapped)
    on_stage("quantising")
    quantised = quantise_network(mapped, calibration=calibration, options=options.quantise)
    report = report.merge(check_quantised(quantised))
    return CheckResult(report=report, matched=matched, matches=matches, mapped=mapped, quantised=quantised)


def _fold(
    network: Network, chip: Chip, options: CompileOptions, calibration: Rasters | None
) -> tuple[Network, tuple[DecayMatch, ...], MappedNetwork, Report]:
    """Match decays and fold; synapses that this adds and that do not fit the chip are done without."""
    wanted: SecondSynapse = "unmatched" if network.integers else options.quantise.second_synapse
    choices: tuple[SecondSynapse, ...] = ("always", "decays", "never", "unmatched")
    for choice in choices[choices.index(wanted) :]:
        matched, matches = match_decays(network, chip, second_synapse=choice, calibration=calibration)
        mapped = fold_network(matched, chip, options=options.fold)
        report = check_mapped(mapped)
        if not report.errors:
            break
    return matched, matches, mapped, report


def _require_samples(network: Network, calibration: Rasters | None) -> None:
    """Refuse a calibration of which nothing can be measured."""
    for name, raster in read_rasters(network.inputs, calibration).items() if calibration is not None else ():
        if not raster.shape[0] or not raster.shape[1]:
            raise InputError(
                "the calibration holds no steps",
                where=f"input port '{name}'",
                measured=f"{raster.shape[0]} samples of {raster.shape[1]} steps",
                limit="at least 1 sample of 1 step",
                fix="give spike counts of typical inputs, or build without a calibration",
            )


def _forbids_folding(diagnostic: Diagnostic, options: CompileOptions) -> bool:
    """Say whether a finding leaves nothing to fold; all others still let the later rules measure."""
    if diagnostic.rule == "SNN301":
        return not options.fold.stretch_loops
    return diagnostic.rule.startswith("SNN1") or diagnostic.rule in ("SNN403", "SNN001")


def _without_stretched_loops(report: Report, options: CompileOptions) -> Report:
    if not options.fold.stretch_loops:
        return report
    kept = tuple(diagnostic for diagnostic in report.diagnostics if diagnostic.rule != "SNN301")
    return Report(diagnostics=kept, rules_run=report.rules_run)


def _require_match(verification: Verification) -> None:
    if verification.n_mismatches:
        worst = {name: count for name, count in verification.mismatches.items() if count}
        raise NetworkError(
            "the folded network differs from its source", measured=str(worst), limit="0", fix="report this as a defect"
        )


def _read_chip(chip: Chip | str) -> Chip:
    return load_chip(chip) if isinstance(chip, str) else chip

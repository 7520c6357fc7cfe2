"""Ways to quantise a network, and the choice between them by what the bitstream does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import IntArray, Report
from snnmap.core.cached import cached, let_give
from snnmap.core.errors import FormatError, InputError
from snnmap.core.places import Places
from snnmap.core.threads import begin
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.compare import SourceReference, choose_samples, compare_image, count_spikes, read_labels
from snnmap.lif.drc import check_comparison, check_mapped, check_quantised, ease_relays, find_rule
from snnmap.lif.mapping import Verification, fold_network, lower_network, stretch_network, verify_fold
from snnmap.lif.program import Image, MappedNetwork, Program, QuantisedNetwork, pack, unpack
from snnmap.lif.quantise import (
    DecayMatch,
    RateTuning,
    SecondSynapse,
    find_silent_inputs,
    match_decays,
    quantise_network,
    tune_rates,
)
from snnmap.network import (
    PRESENTATION,
    Network,
    digest_network,
    draw_inputs,
    join_rasters,
    read_rasters,
    require_steps,
    simulate_network,
)
from snnmap.pipeline.artifacts import CheckResult
from snnmap.pipeline.options import CompileOptions, Rasters

if TYPE_CHECKING:
    from snnmap.convert.convert import Conversion

__all__ = ["Task", "find_way", "hold_back"]

_MUCH_WORK = 1_000_000
"""Weights of a network above which what can be is found out beside what else is done."""
_TUNING_WORK = 1e8
"""As the bound on the comparison's work, for the float run to which rates are tuned."""
_DRAWN_STEPS = (24, 96)
_MOST_STATES = 24_000_000
"""Neurons times steps of a drawn sample; larger networks get shorter ones."""
_FEWEST_HELD_BACK = 16
"""Samples that tell something; where fewer would be held back, none are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be built, and on which data.

    Attributes:
        network: as the frontend read it.
        options: of the build.
        calibration: as the user gave it.
        labels: likewise.
        conversion: that the network and the calibration are of; None where they are the user's own.
        places: where in the user's files the model is made.
        proves: whether the folding is verified.
    """

    network: Network
    options: CompileOptions
    calibration: Rasters | None
    labels: npt.ArrayLike | None
    conversion: "Conversion | None"
    places: Places
    proves: bool = False

    def read_rasters(self, chip: Chip) -> Mapping[str, IntArray]:
        """Return the calibration data by input port, or what is drawn for a chip where there are none."""
        inputs = self.network.inputs
        if self.calibration is None:
            n_neurons = sum(population.size for population in self.network.populations)
            n_steps = int(np.clip(_MOST_STATES // max(1, n_neurons), *_DRAWN_STEPS))
            return draw_inputs(inputs, max_count=chip.inputs.max_count, n_steps=n_steps)
        return read_rasters(inputs, self.calibration)

    def read_labels(self, n_samples: int) -> IntArray | None:
        """Return the classes of calibration data of so many samples, where there are labels."""
        if self.labels is None:
            return None
        if self.calibration is None:
            raise InputError(
                "labels belong to calibration data", where="labels", fix="give calibration data too (calibration=, --calibration)"
            )
        sizes = (sum(self.network.population(name).size for name in port.populations) for port in self.network.outputs)
        return read_labels(self.labels, n_samples, max(sizes, default=0))

    def require_data(self) -> None:
        """Refuse data that do not suit the network, whatever else is found of it.

        Raises:
            InputError: calibration data or labels that do not suit it.
        """
        rasters = {} if self.calibration is None else read_rasters(self.network.inputs, self.calibration)
        _require_samples(rasters)
        self.read_labels(next((raster.shape[0] for raster in rasters.values()), 0))

    def read_channels(self, chip: Chip) -> IntArray:
        """Return the same as a chip's channels carry it, ``(n_samples, n_steps, n_channels)``."""
        return np.minimum(join_rasters(self.network.inputs, self.read_rasters(chip)), chip.inputs.max_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """The inputs that a build is measured on.

    Attributes:
        rasters: all, by input port.
        labels: of all, where given.
        drawn: whether they were drawn.
        fitted: samples that the quantiser sees.
        tuned: those of them on which rates are tuned.
        compared: samples on which the bitstream is compared.
        held_back: whether the quantiser does not see these.
    """

    rasters: Mapping[str, IntArray]
    labels: IntArray | None
    drawn: bool
    fitted: IntArray
    tuned: IntArray
    compared: IntArray
    held_back: bool

    @property
    def n_steps(self) -> int | None:
        """Steps of a run in use; None where nothing is known of it."""
        return None if self.drawn else next(iter(self.rasters.values())).shape[1]

    def of(self, samples: IntArray) -> dict[str, IntArray]:
        return {name: raster[samples] for name, raster in self.rasters.items()}


def find_way(task: Task, chip: Chip, report: Report, on_stage: Callable[[str], None]) -> CheckResult:
    """Fold, quantise and compare, in one way after another until the bitstream does what the model does; give the best.

    Args:
        task: a network without violations so far.
        chip: chip record.
        report: of the rules that ran.
        on_stage: called with a line of text as each stage starts.

    Raises:
        InputError: calibration data or labels that do not suit the network.
    """
    data, rates, aside, tried = _read_data(task, chip), _Rates(), _Aside(task), list[tuple[bool, Network]]()
    best: tuple[tuple[float, ...], CheckResult] | None = None
    for way in _list_ways(task, data):
        matched, matches = match_decays(task.network, chip, second_synapse=way.second_synapse, n_steps=data.n_steps)
        if (way.tuned, matched) in tried:
            continue
        tried.append((way.tuned, matched))
        on_stage("folding into the hidden population")
        found = _try_way(task, chip, data, matched, matches, rates if way.tuned else None, aside, on_stage)
        if best is None or _score(found) < best[0]:
            best = _score(found), found
        if found.comparison is not None and not found.report.errors and not _may_gain(found.report):
            break
    if best is None:
        raise ValueError("there is no way")
    found = replace(best[1], report=report.merge(best[1].report))
    if found.comparison is not None and not found.report.errors:
        if task.proves:
            on_stage("verifying the folded network against its source")
        found = aside.finish(found)
    return found


def _read_data(task: Task, chip: Chip) -> _Data:
    network, drawn = task.network, task.calibration is None
    rasters = task.read_rasters(chip)
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    labels = task.read_labels(n_samples)
    held = np.zeros(0, np.int64) if drawn or network.integers else hold_back(n_samples, task.options.hold_back)
    seen = np.setdiff1d(np.arange(n_samples), held)
    compared = held if held.size else seen
    return _Data(
        rasters=rasters,
        labels=labels,
        drawn=drawn,
        fitted=choose_samples(network, seen, n_steps),
        tuned=choose_samples(network, seen, n_steps, most_work=_TUNING_WORK),
        compared=choose_samples(network, compared, n_steps),
        held_back=held.size > 0,
    )


def hold_back(n_samples: int, share: float) -> IntArray:
    """Choose the samples that the quantiser does not see, evenly; none where they would be too few to tell something."""
    rank = np.floor(share * np.arange(n_samples + 1))
    held = np.flatnonzero(np.diff(rank))
    return held if held.size >= _FEWEST_HELD_BACK else held[:0]


def _require_samples(rasters: Mapping[str, IntArray]) -> None:
    """Refuse a calibration of which nothing can be measured."""
    for name, raster in rasters.items():
        fix = "give spike counts of typical inputs, or build without a calibration"
        require_steps(raster, where=f"input port '{name}'", fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How to quantise: what second synapses are for, and whether rates are brought back."""

    second_synapse: SecondSynapse
    tuned: bool


def _list_ways(task: Task, data: _Data) -> Iterator[_Way]:
    """Yield ways: the second synapses asked for, those that need less of the chip, and then more.

    Rates are brought back at once on calibration data. Drawn inputs are of all rates, and what is right for some is wrong for
    others, so that there it comes last. Those of a conversion are left: its charges come with the input, and a bias that lasts
    adds to them what no activation had.
    """
    if task.network.integers:
        yield _Way(second_synapse="unmatched", tuned=False)
        return
    every: tuple[SecondSynapse, ...] = ("always", "decays", "never", "unmatched")
    first = every.index(task.options.quantise.second_synapse)
    for tuned in (False,) if PRESENTATION in task.network.provenance else (False, True) if data.drawn else (True,):
        for choice in (*every[first:], *every[:first]):
            yield _Way(second_synapse=choice, tuned=tuned)


class _Rates:
    """Counts of the model on the samples to which rates are tuned, run once for all ways that stretch the same loops."""

    def __init__(self) -> None:
        self._counts: dict[frozenset[tuple[str, int]], Mapping[str, IntArray]] = {}

    def of(
        self, source: Network, mapped: MappedNetwork, rasters: Mapping[str, IntArray], names: list[str]
    ) -> Mapping[str, IntArray]:
        key = frozenset(mapped.stretched.items())
        if key not in self._counts:
            self._counts[key] = simulate_network(source, rasters, counts_of=names).counts
        return self._counts[key]


class _Aside:
    """What is found out of a folded network on a core of its own while it is quantised and packed; where it is small, after."""

    def __init__(self, task: Task) -> None:
        n_weights = sum(projection.weights.nnz for projection in task.network.projections)
        self._task, self._is_large = task, n_weights > _MUCH_WORK
        self._digest = begin(partial(digest_network, task.network)) if self._is_large else None
        self._proofs: dict[int, Callable[[], Verification]] = {}

    def begin(self, matched: Network, mapped: MappedNetwork) -> None:
        """Begin with a network and its folding, in which the rules find no errors."""
        if self._task.proves:
            prove = partial(verify_fold, matched, mapped)
            self._proofs[id(mapped)] = begin(prove) if self._is_large else prove

    def finish(self, found: CheckResult) -> CheckResult:
        """Wait for what was begun; return the same with the verification, where that was asked for."""
        if self._digest is not None:
            self._digest()
        prove = self._proofs.get(id(found.mapped))
        return found if prove is None else replace(found, verification=prove())


def _try_way(
    task: Task,
    chip: Chip,
    data: _Data,
    matched: Network,
    matches: tuple[DecayMatch, ...],
    rates: _Rates | None,
    aside: _Aside,
    on_stage: Callable[[str], None],
) -> CheckResult:
    """Fold, quantise and compare a network with the chip's decays; where the model's rates are given, they are brought back."""
    options, network = task.options, task.network
    mapped = fold_network(matched, chip, options=options.fold)
    report = ease_relays(check_mapped(mapped), chip, {} if data.drawn else data.rasters)
    reached = CheckResult(report=report, matched=matched, matches=matches, mapped=mapped)
    if report.errors:
        return reached
    aside.begin(matched, mapped)
    on_stage("quantising")
    fitted = {name: np.minimum(raster, chip.inputs.max_count) for name, raster in data.of(data.fitted).items()}
    quantised = quantise_network(mapped, calibration=fitted, drawn=data.drawn, options=options.quantise)
    source = _stretch(network, mapped)
    tunings: tuple[RateTuning, ...] = ()
    if rates is not None:
        quantised, tunings = _tune(source, quantised, data, rates)
    report = report.merge(check_quantised(quantised))
    reached = replace(reached, report=report, quantised=quantised, tunings=tunings)
    if report.errors:
        return reached
    on_stage("packing and encoding the image")
    image = _pack(quantised.program)
    bitstream = encode(image)
    read_back = decode(bitstream, chip=chip)
    if read_back != image or unpack(read_back) != quantised.program:
        raise FormatError("the bitstream does not decode to the image that was encoded")
    on_stage("comparing the bitstream with the model")
    comparison = compare_image(
        source,
        quantised,
        read_back,
        data.of(data.compared),
        labels=None if data.labels is None else data.labels[data.compared],
        decision=options.decision or ("last" if task.conversion is not None else None),
        classifies=options.decision is not None,
        converted=_refer(task, data),
        limits=options.limits,
        drawn=data.drawn,
        n_given=next(iter(data.rasters.values())).shape[0],
        n_clamped=sum(int((raster > chip.inputs.max_count).sum()) for raster in data.rasters.values()),
        held_back=data.held_back,
    )
    if not data.drawn and not network.integers:
        comparison = replace(comparison, silent_inputs=find_silent_inputs(quantised, data.rasters))
    found = check_comparison(comparison, chip).ease(options.allows)
    return replace(reached, report=report.merge(found), bitstream=bitstream, image=read_back, comparison=comparison)


def _stretch(network: Network, mapped: MappedNetwork) -> Network:
    """Return the network that the chip stands for: the source, with loops stretched where that was asked for."""
    return stretch_network(lower_network(network), dict(mapped.stretched)) if mapped.stretched else network


def _tune(
    source: Network, quantised: QuantisedNetwork, data: _Data, rates: _Rates
) -> tuple[QuantisedNetwork, tuple[RateTuning, ...]]:
    """Bring the rates of populations back to the model's."""
    names = [p.name for p in source.populations if np.isfinite(p.threshold).any()]
    if not names:
        return quantised, ()
    rasters = data.of(data.tuned)
    counts = rates.of(source, quantised.mapped, rasters, names)
    joined = join_rasters(quantised.mapped.inputs, rasters)

    def measure(program: Program) -> Mapping[str, int]:
        return count_spikes(quantised.mapped, _pack(program), joined, names)

    wanted = {name: int(counts[name].sum()) for name in names}
    return tune_rates(quantised, wanted, {name: counts[name].size for name in names}, measure)


@cached
def _pack(program: Program) -> Image:
    """Pack a program, which the image is not read back to: that is done with the image that its bytes decode to."""
    return let_give(unpack, pack(program), program)


def _refer(task: Task, data: _Data) -> SourceReference | None:
    """Return the outputs of the network that was converted, on the samples that are compared."""
    conversion = task.conversion
    if conversion is None:
        return None
    return SourceReference(
        what=conversion.ann.framework, expected=conversion.expected[data.compared], read=conversion.read_logits
    )


def _may_gain(report: Report) -> bool:
    """Say whether a finding may go away when the network is quantised in another way."""
    return any((rule := find_rule(d)) is not None and d.severity in rule.requantised for d in report.diagnostics)


def _score(found: CheckResult) -> tuple[float, ...]:
    """Rank what was found, less is better: whether it fits, its errors, how far rates and outputs are off."""
    if found.comparison is None:
        return (1.0, float(len(found.report.errors)))
    comparison = found.comparison
    rates = [abs(np.log((p.chip_spikes + 0.5) / (p.model_spikes + 0.5))) for p in comparison.populations if p.fires]
    wrong = [
        1.0 - max(a.agreeing for a in port.agreements) / comparison.n_samples for port in comparison.ports if port.agreements
    ]
    errors = [min(port.error, 10.0) for port in comparison.ports]
    return (0.0, float(len(found.report.errors)), max(rates, default=0.0) + max(wrong, default=0.0) + max(errors, default=0.0))

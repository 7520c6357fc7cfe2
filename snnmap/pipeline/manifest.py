"""What a build lets its image say of itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from snnmap import __version__
from snnmap.core import IntArray, Report
from snnmap.core.threads import count_cores, run_parts
from snnmap.lif.bitstream import digest_image, encode
from snnmap.lif.compare import make_golden, usual_decision
from snnmap.lif.program import Comparison, Decision, Image, Manifest, MappedNetwork, OutputReadout, Place, WaivedRule
from snnmap.network import OutputPort, digest_network
from snnmap.pipeline.artifacts import CheckResult
from snnmap.pipeline.ways import Task

__all__ = ["add_manifest"]

_MOST_VALUES = 2048
"""Counts of a golden sample's inputs and outputs, which is cut short where it has more."""


def add_manifest(task: Task, found: CheckResult) -> CheckResult:
    """Let the image of a check say what it is; a check that did not get as far as an image stays as it is."""
    if found.image is None or found.quantised is None or found.comparison is None:
        return found
    image, mapped = found.image, found.quantised.mapped
    manifest, raster = _describe(task, found, image, mapped, found.comparison), _choose_golden(task, mapped)
    computed: list[Callable[[], Any]] = [lambda: digest_network(task.network), lambda: make_golden(image, manifest, raster)]
    digest, golden = run_parts(computed, n_threads=min(2, count_cores()))
    image = image.with_manifest(replace(manifest, model_digest=digest, golden=golden))
    return replace(found, image=image, bitstream=encode(image))


def _describe(task: Task, found: CheckResult, image: Image, mapped: MappedNetwork, comparison: Comparison) -> Manifest:
    """Return the manifest but for the model's digest and the golden samples."""
    return Manifest(
        model=task.network.name,
        model_digest="",
        chip=image.chip.plain_name,
        chip_digest=image.chip.digest.hex(),
        image_digest=digest_image(image),
        tool=f"snnmap {__version__}",
        edited=False,
        settle_steps=mapped.latency_steps,
        readouts=tuple(_describe_port(found, port, _find_decision(task, comparison, port)) for port in mapped.output_ports),
        places=_list_places(mapped),
        waivers=_list_waivers(found.report),
        golden=(),
    )


def _find_decision(task: Task, comparison: Comparison, port: OutputPort) -> Decision:
    """Say how classes are read: as the options say, else in the way in which the model is right most often, else as is usual."""
    if task.options.decision:
        return task.options.decision
    if task.conversion is not None:
        return "last"
    (compared,) = [one for one in comparison.ports if one.name == port.name]
    right = {one.decision: one.model_correct for one in compared.agreements if one.model_correct is not None}
    return max(right, key=lambda decision: right[decision]) if right else usual_decision(port.readout)


def _describe_port(found: CheckResult, port: OutputPort, decision: Decision) -> OutputReadout:
    quantised = found.quantised
    if quantised is None:
        raise ValueError("nothing was quantised")
    mapped, runs, scale = quantised.mapped, [], []
    for name in port.populations:
        slots = mapped.table.output_slots(name)
        runs += [(first, count, mapped.lags[name]) for first, _, count in _find_runs(slots, np.arange(slots.size))]
        scale += (
            [] if port.readout == "spikes" else [unit.hex() for unit in quantised.readout_scale(port.readout)[slots].tolist()]
        )
    return OutputReadout(port=port.name, readout=port.readout, decision=decision, neurons=tuple(runs), scale=tuple(scale))


def _list_places(mapped: MappedNetwork) -> tuple[Place, ...]:
    table, places = mapped.table, []
    areas = (
        ("input", table.channel_source, table.channel_neuron, np.zeros_like(table.channel_source)),
        ("hidden", table.hidden_source, table.hidden_neuron, table.hidden_hop),
        ("output", table.output_source, table.output_neuron, np.zeros_like(table.output_source)),
    )
    for row, sources, neurons, hops in areas:
        for index, hop in sorted(set(zip(sources.tolist(), hops.tolist(), strict=True))):
            name = table.sources[index]
            slots = np.flatnonzero((sources == index) & (hops == hop))
            places.append(
                Place(
                    row=row,
                    source=name,
                    module=mapped.modules.get(name, ""),
                    hop=hop,
                    lag_steps=mapped.relay_lag(name, hop),
                    runs=_find_runs(slots, neurons[slots]),
                )
            )
    return tuple(places)


def _find_runs(slots: IntArray, neurons: IntArray) -> tuple[tuple[int, int, int], ...]:
    """Return first slot, first neuron and number of those that stand in a row."""
    starts = np.flatnonzero(np.diff(slots, prepend=-2) != 1) if slots.size else np.zeros(0, np.int64)
    starts = np.union1d(starts, np.flatnonzero(np.diff(neurons, prepend=-2) != 1))
    counts = np.diff(starts, append=slots.size)
    return tuple(zip(slots[starts].tolist(), neurons[starts].tolist(), counts.tolist(), strict=True))


def _list_waivers(report: Report) -> tuple[WaivedRule, ...]:
    """Return what was accepted, without who said so, when and in which file, which would make the same builds differ."""
    return tuple(
        WaivedRule(rule=one.rule, place=str(replace(one.location, file="", line=0)), reason=one.waived.reason)
        for one in report.waived
        if one.waived is not None
    )


def _choose_golden(task: Task, mapped: MappedNetwork) -> IntArray:
    """Choose samples of the calibration, or of drawn inputs: one of usual size and the one with most spikes."""
    raster = task.read_channels(mapped.chip)
    busiest = np.argsort(raster.sum(axis=(1, 2)), kind="stable")[::-1]
    chosen = busiest[[0, busiest.size // 2][: task.options.golden]]
    n_steps = _MOST_VALUES // max(1, raster.shape[2] + mapped.outputs.size)
    return raster[np.unique(chosen), : max(1, n_steps)]

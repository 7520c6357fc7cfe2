"""One page that holds everything: of a build, of a profile, of a model on several chips. It fetches nothing."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import snnmap
from snnmap.chip import Chip
from snnmap.core import IntArray, Report, fsio
from snnmap.core.errors import InputError
from snnmap.core.html import Element, format_page, make_element, make_picture, make_section, make_table
from snnmap.core.nouns import count_nouns, count_samples
from snnmap.lif.compare import read_classes, read_labels
from snnmap.lif.profile import POPULATION_COLUMNS, ChipProfile, list_slots, profile_image
from snnmap.lif.program import measure_occupancy, unpack
from snnmap.lif.program.floor_plan import PLACES, draw_slots
from snnmap.lif.simulator import require_counts, simulate_image
from snnmap.network import digest_network
from snnmap.network.summary import COLUMNS, count_parts, list_parts
from snnmap.pipeline import Artifacts, Fit
from snnmap.pipeline.options import Rasters
from snnmap.profile import GraphProfile, format_html
from snnmap.report.agreement import draw_spikes, list_populations, list_ports
from snnmap.report.built import Built, build_of, read_built
from snnmap.report.costs import draw_costs, draw_fit, draw_pareto, list_words, tell_clock
from snnmap.report.diagram import draw_network
from snnmap.report.picture import draw_sample

__all__ = ["format_report", "write_report"]

_MOST_ROWS = 500
_DRAWN_SAMPLE = 4
"""Of the drawn samples the one that is shown: neither silence nor a burst."""

Subject: TypeAlias = Artifacts | Fit | ChipProfile | GraphProfile | Path | str


def write_report(
    subject: Subject,
    path: Path | str,
    *,
    inputs: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    sample: int | None = None,
    chip: Chip | str | None = None,
) -> None:
    """Write :func:`format_report` to a file, whole or not at all; arguments and errors as there.

    Raises:
        OSError: the file cannot be written.
    """
    page = format_report(subject, inputs=inputs, labels=labels, sample=sample, chip=chip)
    fsio.write_file(Path(path), page.encode())


def format_report(
    subject: Subject,
    *,
    inputs: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    sample: int | None = None,
    chip: Chip | str | None = None,
) -> str:
    """Return one self-contained HTML page: no script, and nothing that is fetched; equal subjects give equal text.

    Of a build: what it was made from, findings, the comparison of model and chip, the floor plan, a run, costs by population,
    rounding, where everything came from. A page made of the files of a build is the one made of its :class:`Artifacts`.

    Args:
        subject: a build; the folder that it wrote, or its bitstream; a profile (:meth:`Artifacts.profile`,
            :func:`snnmap.profile_model`); or a model on several chips or along a sweep (:func:`snnmap.fit_model`,
            :func:`snnmap.sweep_model`).
        inputs: of a build, spike counts that it is run on, as :meth:`Artifacts.run` takes them; without, inputs are drawn.
        labels: ``(n_samples,)`` classes of these.
        sample: number of the one that is drawn; the first where left out.
        chip: of a bitstream, where it is not a built-in one.

    Raises:
        SnnmapError: matplotlib is not installed.
        InputError: wrong inputs, labels or sample, or labels without inputs; files that are not of one build.
        FormatError, NetworkError, ChipError: as :func:`snnmap.decode`, :func:`snnmap.load_network`, :func:`snnmap.load_chip`.
    """
    if isinstance(subject, Fit):
        return format_page(f"'{subject.model}' on {len(subject.rows)} chips", _show_fit(subject))
    if isinstance(subject, GraphProfile):
        return format_html(subject)
    if isinstance(subject, ChipProfile):
        title = f"{count_nouns(subject.n_samples, 'sample')} on {subject.chip.name}"
        return format_page(title, [_show_profile(subject, "as given"), _show_versions()])
    built = build_of(subject) if isinstance(subject, Artifacts) else read_built(subject, chip)
    run = _choose_run(built, inputs, labels, sample)
    return format_page(f"'{built.name}' on {built.image.chip.name}", _show_build(built, *run))


def _choose_run(
    built: Built, inputs: Rasters | None, labels: npt.ArrayLike | None, sample: int | None
) -> tuple[IntArray, IntArray | None, int, str]:
    """Return counts, classes, the sample that is drawn, and where they came from."""
    if inputs is None and labels is not None:
        raise InputError("labels are of inputs", where="labels", measured="no inputs", fix="give the inputs, too")
    raster = built.read_inputs(inputs)
    require_counts(raster, built.image.chip)
    chosen = sample if sample is not None else 0 if inputs is not None else _DRAWN_SAMPLE
    if not 0 <= chosen < len(raster):
        limit = f"0..{len(raster) - 1}" if len(raster) else "no samples"
        raise InputError(
            "there is no such sample", where="sample", measured=str(chosen), limit=limit, fix="give one that there is"
        )
    n_classes = max((port.neurons.size for port in built.ports if port.decision), default=0)
    classes = None if labels is None else read_labels(np.asarray(labels), len(raster), n_classes)
    return raster, classes, chosen, "drawn inputs, for want of data" if inputs is None else "the inputs given"


def _show_build(built: Built, raster: IntArray, labels: IntArray | None, sample: int, source: str) -> list[Element]:
    padded = built.pad(raster)
    dt_s = built.network.dt_s if built.network else 0.0
    profile = profile_image(built.image, padded, populations=list_slots(built.placement.table), dt_s=dt_s)
    return [
        _show_model(built),
        _show_findings(built),
        _show_comparison(built),
        _show_floor_plan(built),
        _show_run(built, raster, labels, sample, source),
        _show_profile(profile, source),
        _show_rounding(built),
        _show_provenance(built),
        _show_versions(),
    ]


def _show_model(built: Built) -> Element:
    network, chip = built.network, built.image.chip
    size = f"A bitstream of {len(built.bitstream)} bytes for {chip.name}. {chip.description}"
    if network is None:
        return make_section("Built from", _say(f"{size} What it was built from is unknown: {_ALONE}"))
    made = [*network.provenance.items(), ("step", f"{network.dt_s:g} s" if network.dt_s else "of unknown length")]
    stretched = [
        (f"'{name}' stretched by", count_nouns(steps, "step")) for name, steps in built.found.get("stretched", {}).items()
    ]
    return make_section(
        "Built from",
        _say(size),
        _say(f"Network '{network.name}': {count_parts(network)}."),
        make_picture(draw_network(network).encode(), "svg+xml", "Ports, populations, sums and the projections between them"),
        make_table(("choice", "value"), [*made, *stretched], most=_MOST_ROWS),
        make_table(COLUMNS, [part.cells for part in list_parts(network)], most=_MOST_ROWS),
    )


_ALONE = "no build.json of this bitstream lies beside it (keep the files of `snnmap build` together)."


def _show_findings(built: Built) -> Element:
    if not built.found:
        return make_section("Findings and waivers", _say(f"Unknown: {_ALONE}"))
    return make_section("Findings and waivers", *Report.from_plain(built.found).to_elements())


def _show_comparison(built: Built) -> Element:
    compared, title = built.build.get("comparison"), "Model and chip"
    if compared is None:
        return make_section(title, _say(f"Unknown: {_ALONE}"))
    seen = "not seen by the quantiser" if compared["held_back"] else "seen by the quantiser, too"
    proof = built.found["verification"]
    told = [f"What was decoded from the bytes beside the model, on {compared['inputs']}, {'' if compared['drawn'] else seen}."]
    if proof is not None:
        told.append(f"Folded network against its source: {proof['mismatches']} of {proof['compared']} spike counts differ.")
    picture = make_picture(draw_spikes(compared), "svg+xml", "Spikes of each population on the chip and in the model")
    populations = make_table(*list_populations(compared), most=_MOST_ROWS)
    return make_section(title, _say(" ".join(told)), make_table(*list_ports(compared)), populations, picture)


def _show_floor_plan(built: Built) -> Element:
    table, occupancy = built.placement.table, measure_occupancy(unpack(built.image))
    latency, relays = count_nouns(built.latency_steps, "step"), int((table.hidden_hop > 0).sum())
    told = f"Outputs lag by {latency}; {relays} hidden neurons are relays, which repeat a count a step later (orange)."
    rows = [(o.block, o.used, o.capacity, f"{o.share:.1%}", o.largest_fan_in or "", o.largest_fan_out or "") for o in occupancy]
    columns = ("resource", "used#", "there are#", "share#", "largest fan-in#", "largest fan-out#")
    return make_section(
        "Floor plan",
        _say(told if built.build else f"Populations, relays and lags are unknown: {_ALONE}"),
        draw_slots(table, occupancy, built.relay_lag),
        make_table(PLACES, table.list_places(built.lags), most=_MOST_ROWS),
        make_table(columns, rows),
    )


def _show_run(built: Built, raster: IntArray, labels: IntArray | None, sample: int, source: str) -> Element:
    run = simulate_image(built.image, built.pad(raster), counts_of=("outputs",), states_of=("outputs",))
    lines = [f"Sample {sample} of {len(raster)}, {raster.shape[1]} steps ({source})."]
    for port in built.ports if labels is not None else ():
        if port.decision is not None:
            right = int((read_classes(port.read(run, raster.shape[1]), port.decision) == labels).sum())
            lines.append(f"Output '{port.name}' reads {right} of {len(raster)} samples right ({right / len(raster):.1%}).")
    picture = draw_sample(built, raster[sample], label=None if labels is None else int(labels[sample]))
    caption = f"Spikes of sample {sample}: input, hidden population and outputs over the chip's steps"
    return make_section("A run", _say(" ".join(lines)), make_picture(picture, "png", caption))


def _show_profile(profile: ChipProfile, source: str) -> Element:
    plain, n = profile.to_plain(), profile.n_samples
    unknown = f" Energy is unknown without {', '.join(profile.unknown_prices)}." if profile.unknown_prices else ""
    joules = (
        ""
        if profile.joules_a_sample is None
        else f" {1e9 * profile.joules_a_sample:.4g} nJ a sample, without what is drawn at rest."
    )
    told = f"{count_samples(n, profile.n_steps)}, latency included ({source}); figures are a sample's.{joules}{unknown}"
    prices = profile.chip.costs.prices
    populations = [[_round(value) for value in row.values()] for row in plain["populations"]]
    return make_section(
        "What a sample costs",
        _say(told),
        make_picture(draw_costs(profile), "svg+xml", "Costs of a sample by population"),
        make_table(POPULATION_COLUMNS, populations, most=_MOST_ROWS),
        make_table(
            ("memory", "words read#", "words written#"), [(name, *map(_round, words)) for name, *words in list_words(plain)]
        ),
        make_table(
            ("cycles a step", "least#", "mean#", "most#", "worst#", "clock for real time#", "source"), _list_cycles(plain)
        ),
        make_table(("action", "count#", "energy (nJ)#"), _list_actions(plain)),
        *([_say(f"Prices: {prices.source}; {prices.technology}.")] if prices else []),
    )


def _list_cycles(plain: Mapping[str, Any]) -> list[tuple[object, ...]]:
    return [
        (c["model"], *(_round(c[key]) for key in ("least", "mean", "most", "worst")), tell_clock(c), c["source"])
        for c in plain["cycles"]
    ]


def _list_actions(plain: Mapping[str, Any]) -> list[tuple[object, ...]]:
    energies = {action: "unknown" if pj is None else _round(pj / 1e3) for action, pj in plain["energy_pj"].items()}
    return [(action, _round(count), energies[action]) for action, count in plain["actions"].items()]


def _round(value: object) -> object:
    return f"{value:,.2f}".removesuffix(".00") if isinstance(value, int | float) else value


def _show_rounding(built: Built) -> Element:
    title, found = "Rounding", built.found
    if not found:
        return make_section(title, _say(f"Unknown: {_ALONE}"))
    errors = [
        (e["name"], e["n_values"], f"{e['relative_rms']:.2%}", f"{e['largest']:.2%}", e["n_lost"], e["n_clipped"])
        for e in found["quantisation"]
        if e["n_values"]
    ]
    decays = [(d["population"], d["n_synapses"], f"{d['input_error']:.2%}", f"{d['reset_error']:.2%}") for d in found["decays"]]
    rates = [(r["population"], r["knob"], f"{r['shift']:.3g}", f"{r['before']:.3f}", f"{r['after']:.3f}") for r in found["rates"]]
    return make_section(
        title,
        make_table(("weights and parameters", "values#", "relative rms#", "largest#", "lost#", "clipped#"), errors),
        make_table(("decays that are not coded", "synapses#", "error after an input#", "after a spike#"), decays)
        if decays
        else _say("The chip codes every decay of the network as it is."),
        make_table(("rates brought back", "by", "shift#", "chip over model before#", "after#"), rates)
        if rates
        else _say("No population's rate had to be brought back."),
    )


def _show_provenance(built: Built) -> Element:
    chip = built.image.chip
    digests = [("bitstream", hashlib.sha256(built.bitstream).hexdigest()), (f"record of chip {chip.name}", chip.digest.hex())]
    if built.network is not None:
        digests.append(("network", digest_network(built.network)))
    return make_section("Provenance", make_table(("of", "SHA-256"), digests))


def _show_versions() -> Element:
    versions = [("snnmap", snnmap.__version__), ("Python", platform.python_version()), ("numpy", np.__version__)]
    return make_section("This page was written by", make_table(("program", "version"), versions))


def _show_fit(fit: Fit) -> list[Element]:
    axis, labels = _find_axis([row.chip for row in fit.rows])
    front = draw_pareto(fit, labels)
    caption = "What fits, by what a sample costs and how many of the model's decisions are kept"
    pareto = (
        _say("Nothing fits that decides: there is no choice to draw.")
        if front is None
        else make_picture(front, "svg+xml", caption)
    )
    fixes = [(row.chip, told) for row in fit.rows for told in row.fixes]
    costs = make_picture(draw_fit(fit, labels, axis=axis), "svg+xml", "Costs of a sample, chip by chip")
    return [
        make_section("In a table", make_table(fit.columns, fit.to_cells(), most=_MOST_ROWS)),
        make_section("Costs", costs),
        make_section("Cost against decisions", pareto),
        *([make_section("Changed to fit", make_table(("chip", "change"), fixes, most=_MOST_ROWS))] if fixes else []),
        _show_versions(),
    ]


def _find_axis(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return what varies and its values: those of a sweep, else the chips."""
    parts = [name.rpartition(" = ") for name in names]
    heads = {head for head, _, _ in parts}
    return (heads.pop(), [value for _, _, value in parts]) if len(heads) == 1 and "" not in heads else ("chip", list(names))


def _say(text: str) -> Element:
    return make_element("p", text)

"""Cycles equal the vendor's model and the probe's; counts equal a slow count over recorded spikes."""

import importlib.util
import io
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from random_networks import random_network
from random_programs import random_program
from rich.console import Console

import snnmap
from snnmap.chip import Costs, MemoryKind, list_chips, load_chip
from snnmap.core.errors import ChipError, InputError
from snnmap.lif.profile import profile_image
from snnmap.lif.profile.cycles import Shares, average_cycles
from snnmap.lif.program import Program, pack
from snnmap.lif.simulator import simulate_image
from snnmap.report import chip_profile_csv, chip_profile_tables, chip_steps_csv

VENDOR = {"xylo-audio-2": "syns61201", "xylo-audio-3": "syns63300", "xylo-imu": "syns63300"}  # syns65302 imports syns63300's


def load_vendor_model(device: str) -> Any:
    """Load Rockpool's cycle model as a file, with a samna that holds the names of its type hints."""
    rockpool = pytest.importorskip("rockpool")
    path = Path(rockpool.__file__).parent / "devices" / "xylo" / device / "power_cycles_model.py"
    spec = importlib.util.spec_from_file_location(f"vendor_{device}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"samna": mock.MagicMock(spec=types.ModuleType("samna"), __name__="samna")}):
        sys.modules["samna"] = mock.MagicMock()
        spec.loader.exec_module(module)
    return module


def to_config(program: Program) -> SimpleNamespace:
    """Return what the vendor's model reads of a configuration."""
    into, between, out = (program.memory(kind).weights[0].to_dense() for kind in MemoryKind)
    neurons = [SimpleNamespace(alias_target=int(target) if target >= 0 else None) for target in program.alias]
    hidden = SimpleNamespace(weights=between, neurons=neurons)
    return SimpleNamespace(
        input=SimpleNamespace(weights=into), hidden=hidden, reservoir=hidden, readout=SimpleNamespace(weights=out),
        synapse2_enable=False,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", sorted(VENDOR))
def test_average_cycles_are_the_vendors(name: str, seed: int) -> None:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    program = random_program(
        chip, rng, n_inputs=12, n_hidden=60, n_outputs=7, density=rng.uniform(0.02, 0.3),
        with_alias=chip.hidden.alias and seed % 2 == 1,
    )  # fmt: skip
    figures = chip.costs.average
    assert figures is not None
    vendor = load_vendor_model(VENDOR[name])
    for inputs, hidden in [(1.0, 1.0), (0.0, 0.0), *rng.random((3, 2)).tolist()]:
        theirs = vendor.cycles_model(to_config(program), input_sp=inputs, hidden_sp=hidden)
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        assert average_cycles(program, figures, Shares(inputs, hidden)) == pytest.approx(theirs, rel=1e-12)


def walk(first: int, lengths: list[int], walked: list[bool]) -> int:
    """One walk, cycle by cycle: 16 rows are looked at, each that is walked takes two and its words, and the last word drains."""
    cycle, last_word = 1, -1
    for row, (length, is_walked) in enumerate(zip(lengths, walked, strict=True), start=first):
        cycle += row == first or row % 16 == 0
        if is_walked:
            cycle += 2 + length
            last_word = cycle if length else last_word
    return max(cycle, last_word + 3)


@pytest.mark.parametrize("name", list_chips())
def test_walked_cycles_and_counts_are_those_of_a_slow_count(name: str) -> None:
    chip, rng = load_chip(name), np.random.default_rng(3)
    program = random_program(
        chip, rng, n_inputs=min(5, chip.inputs.count), n_hidden=min(20, chip.hidden.count), n_outputs=min(4, chip.outputs.count),
        threshold=(10, 400),
    )  # fmt: skip
    raster = rng.integers(0, 3, (2, 12, program.n_inputs))
    found = simulate_image(pack(program), raster, counts_of=("hidden", "outputs"))
    cycles, words, operations = [], 0, 0
    for sample in range(2):
        for step in range(12):
            total = 1
            for kind in MemoryKind:
                sent = kind.source(inputs=raster, hidden=found.counts["hidden"])[sample]
                then = step - chip.memory(kind).delay_steps
                counts = sent[then] if then >= 0 else np.zeros_like(sent[0])
                sources, targets = chip.addresses(kind, program.n_inputs, program.hidden.size, program.outputs.size)
                walks = []
                for matrix in program.memory(kind).weights:
                    stored = matrix.to_dense() != 0
                    operations += int((counts @ stored).sum())
                    if chip.memory(kind).layout == "columns_by_target":
                        first = targets.start + (program.hidden.size if kind is MemoryKind.OUTPUT else 0)
                        lengths = stored.sum(axis=0)[targets.start : targets.stop].tolist()
                        walked = [True] * len(lengths)
                    else:
                        dense = chip.memory(kind).layout == "dense"
                        first = sources.start
                        lengths = [len(targets) if dense else int(stored[source].sum()) for source in sources]
                        walked = [bool(counts[source] > 0) for source in sources]
                    walks.append(walk(first, lengths, walked))
                    words += sum(n for n, is_walked in zip(lengths, walked, strict=True) if is_walked)
                total += 2 + max(walks)
            stages = max(chip.hidden.max_count, chip.outputs.max_count).bit_length()
            sizes = program.hidden.size, program.outputs.size
            total += sum(sizes) + 2 * (9 + stages) + (0 if chip.family.decays_after_input else 5 + sum(sizes))
            cycles.append(total)
    profile = profile_image(pack(program), raster, dt_s=0.01)
    walker = next(c for c in profile.cycles if c.model == "walker")
    assert (walker.least, walker.most, walker.mean) == (min(cycles), max(cycles), pytest.approx(np.mean(cycles)))
    assert walker.worst >= walker.most
    assert sum(profile.words_read.values()) == words == sum(p.words_read for p in profile.populations)
    assert sum(p.synaptic_operations for p in profile.populations) == operations
    assert found.profile is not None
    assert operations == found.profile.synaptic_operations
    assert profile.clock_for_real_time(walker) == pytest.approx(walker.worst / 0.01)


def test_unknown_prices_are_unknown() -> None:
    rng = np.random.default_rng(0)
    program = random_program(load_chip("toy-4"), rng, n_inputs=2, n_hidden=4, n_outputs=2)
    known = profile_image(pack(program), np.ones((2, 5, 2), int))
    assert known.unknown_prices == ()
    assert known.joules_a_sample == pytest.approx(1e-12 * sum(e for e in known.energy_pj().values() if e is not None) / 2)
    prices = replace(known.chip.costs.prices, add_pj=None)  # type: ignore[type-var]
    partly = replace(known, chip=replace(known.chip, costs=replace(known.chip.costs, prices=prices)))
    assert partly.unknown_prices == ("costs.prices.add_pj",)
    assert partly.joules_a_sample is None
    assert partly.energy_pj()["weight bits read"] == known.energy_pj()["weight bits read"]
    bare = replace(known, chip=replace(known.chip, costs=Costs()))
    assert len(bare.unknown_prices) == 4
    assert bare.clock_for_real_time(known.cycles[0]) is None
    with pytest.raises(InputError, match="more than a channel carries"):
        profile_image(pack(program), np.full((1, 5, 2), 99))
    with pytest.raises(InputError, match="hold no steps"):
        profile_image(pack(program), np.zeros((0, 5, 2), np.int64))


def test_a_profile_is_shown_in_tables_and_files() -> None:
    rng = np.random.default_rng(0)
    program = random_program(load_chip("xylo-imu"), rng, n_inputs=2, n_hidden=4, n_outputs=2)
    profile = profile_image(pack(program), np.ones((2, 5, 2), int))
    console = Console(width=200, file=io.StringIO(), record=True)
    for table in chip_profile_tables(profile):
        console.print(table)
    shown = console.export_text()
    assert "unknown" in shown
    assert "Rockpool" in shown
    assert chip_profile_csv(profile).startswith("population,neurons,")
    assert "cycles a step" in profile._repr_html_()
    assert json.loads(json.dumps(profile.to_plain()))["joules"] is None


def test_costs_leave_the_digest_alone() -> None:
    chip = load_chip("generic-4096")
    assert chip.costs.prices is not None
    assert replace(chip, costs=Costs()).digest == chip.digest


def test_populations_have_the_users_names() -> None:
    network = random_network(3)
    artifacts = snnmap.compile_model(network, "xylo-audio-3")
    rng = np.random.default_rng(0)
    profile = artifacts.profile(rng.integers(0, 3, (2, 10, artifacts.mapped.table.channel_source.size)))
    names = [p.name for p in profile.populations]
    assert {name for name in names if not name.endswith(" (relays)")} == {p.name for p in network.populations}
    assert profile.n_steps == 10 + artifacts.mapped.latency_steps
    assert sum(p.n_neurons for p in profile.populations) == artifacts.mapped.hidden.size + artifacts.mapped.outputs.size


@pytest.mark.parametrize("name", list_chips())
def test_a_weight_memory_is_priced_as_one_of_its_size(name: str) -> None:
    """By the source's two figures: 64 bits cost 10 pJ of 8 KB and 100 pJ of 1 MB, of which larger memories are banks."""
    chip, prices = load_chip(name), load_chip(name).costs.prices
    if prices is None or prices.weight_bit_read_pj is None:
        return
    largest_bytes = max(chip.memory(kind).max_words * chip.word_bits(kind) / 8 for kind in MemoryKind)
    assert not 2**14 < largest_bytes < 2**20
    assert prices.weight_bit_read_pj == pytest.approx(100 / 64 if largest_bytes >= 2**20 else 10 / 64, rel=0.01)


def test_an_image_that_knows_itself_is_profiled_like_its_build() -> None:
    artifacts = snnmap.compile_model(random_network(3), "xylo-audio-3")
    raster = np.random.default_rng(0).integers(0, 3, (2, 10, artifacts.mapped.table.channel_source.size))
    built = artifacts.profile(raster)
    manifest = artifacts.image.manifest
    assert manifest is not None
    alone = profile_image(artifacts.image, np.pad(raster, ((0, 0), (0, manifest.settle_steps), (0, 0))))
    assert {p.name: p for p in alone.populations} == {p.name: p for p in built.populations}
    assert alone.n_steps == built.n_steps


@pytest.mark.parametrize("name", ["generic-4096", "xylo-audio-3", "toy-4"])
def test_steps_add_up_to_the_run(name: str) -> None:
    rng = np.random.default_rng(0)
    program = random_program(load_chip(name), rng, n_inputs=2, n_hidden=4, n_outputs=2)
    profile = profile_image(pack(program), rng.integers(0, 3, (3, 7, 2)))
    rows, n = profile.to_steps(), 3

    def total(key: str) -> float:
        return n * sum(row[key] or 0.0 for row in rows)

    assert len(rows) == 7
    assert total("input_spikes") == pytest.approx(profile.input_spikes)
    assert total("hidden_spikes") + total("output_spikes") == pytest.approx(sum(p.spikes for p in profile.populations))
    assert total("synaptic_operations") == pytest.approx(sum(p.synaptic_operations for p in profile.populations))
    assert total("words_read") == pytest.approx(sum(profile.words_read.values()))
    walker = next(c for c in profile.cycles if c.model == "walker")
    assert total("cycles") / n / 7 == pytest.approx(walker.mean)
    if profile.joules_a_sample is None:
        assert all(row["energy_nj"] is None for row in rows)
    else:
        assert total("energy_nj") == pytest.approx(1e9 * n * profile.joules_a_sample)
    assert len({row["words_read"] for row in rows}) > 1 or name == "generic-4096"  # which reads all of it in each step
    assert chip_steps_csv(profile).splitlines()[0].startswith("step,input_spikes,")


def test_one_step_more_costs_its_line() -> None:
    rng = np.random.default_rng(1)
    program = random_program(load_chip("toy-4"), rng, n_inputs=2, n_hidden=4, n_outputs=2)
    raster = rng.integers(0, 3, (1, 6, 2))
    whole, part = profile_image(pack(program), raster), profile_image(pack(program), raster[:, :5])
    for left, right in zip(whole.to_steps(), part.to_steps(), strict=False):
        assert left == pytest.approx(right)
    assert whole.joules_a_sample is not None
    assert part.joules_a_sample is not None
    energy = whole.to_steps()[5]["energy_nj"]
    assert energy == pytest.approx(1e9 * (whole.joules_a_sample - part.joules_a_sample))


def test_a_memory_of_another_size_has_another_price() -> None:
    chip = load_chip("generic-4096")
    assert chip.find_price("weight_bit_read_pj") == chip.costs.prices.weight_bit_read_pj  # type: ignore[union-attr]
    prices = [
        replace(
            chip,
            hidden=replace(chip.hidden, count=256),
            inputs=replace(chip.inputs, reach=replace(chip.inputs.reach, count=256)),
            outputs=replace(chip.outputs, reach=replace(chip.outputs.reach, count=256)),
            input_weights=replace(chip.input_weights, max_words=n),
            recurrent_weights=replace(chip.recurrent_weights, max_words=n),
        ).find_price("weight_bit_read_pj")
        for n in (1024, 8192, 65536, 2**20)
    ]
    assert prices == sorted(prices)
    assert prices[0] == pytest.approx(10 / 64, rel=0.01)
    assert 20 / 64 < prices[2] < 100 / 64
    assert prices[3] == pytest.approx(100 / 64, rel=0.01)
    bad = replace(chip.costs.prices, weight_reads=((1.0, 1.0), (1.0, 2.0)))  # type: ignore[type-var]
    with pytest.raises(ChipError, match="weight_reads is no list"):
        replace(chip, costs=replace(chip.costs, prices=bad))

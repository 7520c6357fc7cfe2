"""Reference, batch engine and XyloSim agree in every state at every step."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network, random_population, random_weights
from random_programs import random_program, with_delays
from xylosim_bridge import XyloChip

from snnmap.chip import list_chips, list_families, load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import InputError
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import NeuronCodes, Program, pack
from snnmap.lif.quantise import quantise_network
from snnmap.lif.simulator import simulate_image
from snnmap.lif.simulator.kernel import find_kernel
from snnmap.network import InputPort, Network, OutputPort, Projection, Recording, SpikeSum

AREAS = ("hidden", "outputs")
XYLO_CHIPS = ("toy-4", "xylo-audio-2", "xylo-audio-3", "xylo-imu")


def draw_raster(rng: np.random.Generator, n_samples: int, n_steps: int, n_inputs: int, most: int = 15) -> np.ndarray:
    return rng.integers(0, most + 1, (n_samples, n_steps, n_inputs)) * (rng.random((n_samples, n_steps, n_inputs)) < 0.3)


def count_differences(program: Program, ours: Recording, raster: np.ndarray) -> int:
    """Run XyloSim on every sample; give the counts and states that differ."""
    chip, differences = XyloChip(program), 0
    for sample in range(raster.shape[0]):
        judge = chip.run(raster[sample])
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                differences += int((getattr(judge, kind)[area] != getattr(ours, kind)[area][sample]).sum())
    return differences


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", list_chips())
def test_both_engines_agree(name: str, seed: int) -> None:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    n_hidden = min(chip.hidden.count, 40)
    program = random_program(
        chip, rng, n_inputs=min(16, chip.inputs.count), n_hidden=n_hidden, n_outputs=min(6, chip.outputs.count),
        shifts=tuple(rng.integers(0, 8, 3).tolist()), with_alias=chip.hidden.alias, threshold=(-2, 300),
    )  # fmt: skip
    raster = draw_raster(rng, 3, 25, program.n_inputs, most=20)
    runs = [
        simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS, engine=engine, clamp=True)
        for engine in ("batch", "reference")
    ]
    assert runs[0] == runs[1]
    assert runs[0].profile is not None
    assert runs[0].profile.hidden_spikes == runs[0].counts["hidden"].sum()


@pytest.mark.parametrize("delay", [0, 1])
def test_a_chip_with_other_delays_shifts_inputs_and_outputs(delay: int) -> None:
    xylo, rng = load_chip("xylo-audio-3"), np.random.default_rng(5)
    program = random_program(with_delays(xylo, delay), rng, n_inputs=4, n_hidden=20, n_outputs=3)
    raster = draw_raster(rng, 1, 30, 4)
    base = simulate_image(pack(replace(program, chip=xylo)), raster, counts_of=AREAS)
    for engine in ("batch", "reference"):
        other = simulate_image(pack(program), raster, counts_of=AREAS, engine=engine)
        assert np.array_equal(other.counts["hidden"][:, delay:], base.counts["hidden"][:, : 30 - delay])
        shift = 2 * delay - 1  # against 0 for inputs and 1 for outputs
        ours, theirs = (
            (other.counts["outputs"], base.counts["outputs"]) if shift > 0 else (base.counts["outputs"], other.counts["outputs"])
        )
        assert np.array_equal(ours[:, 1:], theirs[:, :-1])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", XYLO_CHIPS)
def test_random_programs_equal_xylosim(name: str, seed: int) -> None:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    n_hidden = min(chip.hidden.count, 50)
    program = random_program(
        chip, rng, n_inputs=min(16, chip.inputs.count), n_hidden=n_hidden, n_outputs=min(8, chip.outputs.count),
        shifts=tuple(rng.integers(0, 8, 3).tolist()), with_alias=chip.hidden.alias and seed % 2 == 0, threshold=(-1, 400),
    )  # fmt: skip
    raster = draw_raster(rng, 4, 60, program.n_inputs)
    ours = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS)
    assert count_differences(program, ours, raster) == 0


def layered_program(seed: int, chip_name: str, width: int, n_layers: int) -> Program:
    """Fold and quantise random layers of this width: feed-forward, recurrent, residual, with relays."""
    rng = np.random.default_rng(seed)
    layers = [random_population(rng, f"h{k}", width, n_synapses=1) for k in range(n_layers)]
    output = random_population(rng, "o", 8, max_count=1)
    projections = [Projection(name="in", pre="x", post="h0", weights=random_weights(rng, 16, width, gain=0.4, density=0.5))]
    sums = []
    for k in range(1, n_layers):
        pre = f"h{k - 1}"
        if k >= 2:
            sums.append(SpikeSum(name=f"s{k}", terms=(pre, f"h{k - 2}")))
            pre = f"s{k}"
        weights = random_weights(rng, width, width, gain=0.5, density=0.1)
        projections.append(Projection(name=f"f{k}", pre=pre, post=f"h{k}", weights=weights))
        recurrent = random_weights(rng, width, width, gain=0.2, density=0.05)
        projections.append(Projection(name=f"r{k}", pre=f"h{k}", post=f"h{k}", delay_steps=1, weights=recurrent))
    projections.append(Projection(name="out", pre=layers[-1].name, post="o", weights=random_weights(rng, width, 8, density=0.3)))
    network = Network(
        name="layers", inputs=(InputPort(name="x", size=16),), populations=(*layers, output), projections=tuple(projections),
        outputs=(OutputPort(name="y", populations=("o",)),), sums=tuple(sums),
    )  # fmt: skip
    return quantise_network(fold_network(network, load_chip(chip_name))).program


def test_ten_million_updates_equal_xylosim() -> None:
    """Layers, recurrence, residuals, relays, saturation, multi-spikes: no differing count or state."""
    n_updates = differences = n_saturated = n_multi = n_full = n_relays = 0
    for seed, (chip_name, width, n_layers, n_samples) in enumerate(
        [("xylo-audio-3", 96, 4, 20), ("xylo-audio-2", 120, 5, 12), ("xylo-imu", 60, 4, 20), ("xylo-audio-3", 100, 3, 25)]
    ):
        program = layered_program(seed, chip_name, width, n_layers)
        rng = np.random.default_rng(seed)
        raster = draw_raster(rng, n_samples, 300, program.n_inputs)
        ours = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS)
        differences += count_differences(program, ours, raster)
        n_updates += n_samples * 300 * (program.hidden.size + program.outputs.size)
        n_saturated += sum(
            int((np.abs(ours.currents[area]) >= 32767).sum() + (np.abs(ours.potentials[area]) >= 32767).sum()) for area in AREAS
        )
        n_multi += int((ours.counts["hidden"] > 1).sum())
        n_full += int((ours.counts["hidden"] == 31).sum())
        n_relays += int((program.recurrent_weights[0].to_dense().diagonal() < 0).sum())
    assert differences == 0
    assert n_updates >= 10**7
    assert min(n_saturated, n_multi, n_full, n_relays) > 100


def test_one_spike_gives_the_trace_of_the_design() -> None:
    chip, far = load_chip("toy-4"), np.array([30000])
    no = [CsrMatrix.from_dense(np.zeros((1, 1), np.int64))] * 2
    program = Program(
        chip=chip, input_weights=(CsrMatrix.from_dense(np.array([[100]])), no[0]), recurrent_weights=tuple(no),
        output_weights=(no[0],), input_shift=0, recurrent_shift=0, output_shift=0,
        hidden=NeuronCodes(dash_syn=np.array([[1], [1]]), dash_mem=np.array([2]), threshold=far, bias=np.array([0])),
        outputs=NeuronCodes(dash_syn=np.array([[1]]), dash_mem=np.array([1]), threshold=np.array([1]), bias=np.array([0])),
        alias=np.array([-1]),
    )  # fmt: skip
    for engine in ("batch", "reference"):
        run = simulate_image(pack(program), np.array([[1], *[[0]] * 7]), states_of=["hidden"], engine=engine)
        assert run.currents["hidden"][0, :, 0, 0].tolist() == [50, 25, 13, 7, 4, 2, 1, 0]
        assert run.potentials["hidden"][0, :, 0].tolist() == [50, 63, 61, 53, 44, 35, 28, 21]


def test_nothing_is_recorded_that_was_not_asked_for() -> None:
    rng = np.random.default_rng(0)
    program = random_program(load_chip("toy-4"), rng, n_inputs=2, n_hidden=4, n_outputs=2)
    run = simulate_image(pack(program), np.ones((2, 5, 2), int))
    assert (list(run.counts), list(run.potentials), list(run.currents)) == (["outputs"], [], [])
    with pytest.raises(InputError, match="no neurons called 'middle'"):
        simulate_image(pack(program), np.ones((2, 5, 2), int), counts_of=["middle"])
    with pytest.raises(InputError, match="wrong shape"):
        simulate_image(pack(program), np.ones((2, 5, 3), int))


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    program = quantise_network(fold_network(random_network(3), load_chip("xylo-audio-3"))).program
    raster = draw_raster(np.random.default_rng(0), 7, 40, program.n_inputs)
    runs = []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr("os.cpu_count", lambda n=n_threads: n)
        runs.append(simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS))
    assert runs[0] == runs[1] == runs[2]


def test_kernels_of_two_families_have_files_of_their_own_in_the_cache() -> None:
    """Two processes that write the same file at once can leave one's machine code under the other's key."""
    kernels = {find_kernel(load_chip(name)) for name in list_chips()}
    files = {kernel._cache._impl.filename_base for kernel in kernels}  # type: ignore[attr-defined]
    assert len(files) == len(kernels) >= len(list_families()) > 1


@pytest.mark.parametrize("name", list_chips())
@pytest.mark.parametrize("n_samples", [2, 67, 131])
def test_lanes_change_nothing(name: str, n_samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole groups of lanes, ragged ones, and samples alone."""
    chip, rng = load_chip(name), np.random.default_rng(n_samples)
    program = random_program(
        chip, rng, n_inputs=min(8, chip.inputs.count), n_hidden=min(chip.hidden.count, 70), n_outputs=min(4, chip.outputs.count),
        with_alias=chip.hidden.alias and n_samples % 2 == 0, threshold=(20, 900),
    )  # fmt: skip
    raster = draw_raster(rng, n_samples, 30, program.n_inputs)
    beside = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS)
    for sample in range(0, n_samples, 13):
        alone = simulate_image(pack(program), raster[sample], counts_of=AREAS, states_of=AREAS)
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                assert np.array_equal(getattr(alone, kind)[area][0], getattr(beside, kind)[area][sample])
    first = simulate_image(pack(program), raster[:1], counts_of=AREAS, states_of=AREAS, engine="reference")
    assert first == simulate_image(pack(program), raster[:1], counts_of=AREAS, states_of=AREAS)

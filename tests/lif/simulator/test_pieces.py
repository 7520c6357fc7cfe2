"""What is kept in pieces is cut out of the whole, and a sample that stops early gave what it would have given."""

from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import list_chips, load_chip
from snnmap.core.errors import InputError
from snnmap.lif.program import Image, pack
from snnmap.lif.simulator import make_lead_rule, simulate_image, simulate_sums, simulate_until

AREAS = ("hidden", "outputs")


def draw(name: str, seed: int, n_samples: int, n_steps: int, delay_steps: int = 0) -> tuple[Image, np.ndarray]:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    chip = replace(chip, input_weights=replace(chip.input_weights, delay_steps=delay_steps))
    program = random_program(
        chip, rng, n_inputs=min(8, chip.inputs.count), n_hidden=min(chip.hidden.count, 30), n_outputs=min(4, chip.outputs.count)
    )
    return pack(program), rng.integers(0, 4, (n_samples, n_steps, program.n_inputs))


@pytest.mark.parametrize("name", list_chips())
def test_some_neurons_are_those_of_all(name: str) -> None:
    image, raster = draw(name, 0, 40, 150)
    whole = simulate_image(image, raster, counts_of=AREAS, states_of=AREAS, count_saturation=True)
    some = simulate_image(
        image, raster, counts_of=AREAS, states_of=AREAS, count_saturation=True, neurons={"hidden": [3, 0], "outputs": []}
    )
    assert (some.profile, some.saturation) == (whole.profile, whole.saturation)
    for kind in ("counts", "potentials", "currents"):
        np.testing.assert_array_equal(getattr(some, kind)["hidden"], getattr(whole, kind)["hidden"][..., [3, 0]])
        assert getattr(some, kind)["outputs"].shape[-1] == 0
    rest = simulate_image(image, raster, neurons={})
    np.testing.assert_array_equal(rest.counts["outputs"], whole.counts["outputs"])


@pytest.mark.parametrize("neurons", [{"hidden": [0]}, {"outputs": [99]}, {"outputs": [-1]}, {"outputs": [0.5]}, {"middle": [0]}])
def test_neurons_that_are_not_recorded_are_refused(neurons: dict[str, list[int]]) -> None:
    image, raster = draw("toy-4", 0, 1, 5)
    with pytest.raises(InputError, match="these neurons cannot be recorded"):
        simulate_image(image, raster, neurons=neurons)


@pytest.mark.parametrize("name", list_chips())
def test_sums_are_those_of_what_is_recorded(name: str) -> None:
    """However the steps are cut."""
    image, raster = draw(name, 3, 40, 150)
    whole = simulate_image(image, raster, counts_of=AREAS)
    for pieces in (raster, iter(np.split(raster, [1, 70, 71], axis=1))):
        found = simulate_sums(image, pieces, sums_of=AREAS)
        for area in AREAS:
            np.testing.assert_array_equal(found[area], whole.counts[area].sum(axis=1))


def test_pieces_that_do_not_go_on_are_refused() -> None:
    image, raster = draw("toy-4", 0, 2, 5)
    with pytest.raises(InputError, match="piece 1 of the input raster"):
        simulate_sums(image, iter([raster, raster[:1]]))
    with pytest.raises(InputError, match=r"piece 1 of the input raster, chip 'toy-4', first in sample 0"):
        simulate_sums(image, iter([raster, raster + 99]))
    with pytest.raises(InputError, match="no raster"):
        simulate_sums(image, iter([]))


@pytest.mark.parametrize("every", [1, 7, 1000])
@pytest.mark.parametrize(("name", "delay_steps"), [("xylo-audio-2", 0), ("xylo-audio-2", 1), ("generic-1024-factor", 0)])
def test_a_sample_that_stops_gave_what_it_would_have_given(name: str, delay_steps: int, every: int) -> None:
    image, raster = draw(name, 1, 70, 60, delay_steps)
    whole, asked = simulate_image(image, raster).counts["outputs"], []

    def stop(totals: np.ndarray, n_left: int) -> np.ndarray:
        asked.append(n_left)
        return (totals.sum(axis=1) * 7 + n_left) % 5 == 0

    found = simulate_until(image, raster, stop, every=every)
    assert all((60 - left) % every == 0 or left == 0 for left in asked)
    assert every == 1000 or 0 < found.n_steps.min() < 60
    for sample, n_steps in enumerate(found.n_steps.tolist()):
        np.testing.assert_array_equal(found.counts[sample, :n_steps], whole[sample, :n_steps])
        assert not found.counts[sample, n_steps:].any()


@pytest.mark.parametrize("seed", range(4))
def test_a_lead_for_good_keeps_the_class(seed: int) -> None:
    image, raster = draw("xylo-audio-2", seed, 50, 120)
    whole = simulate_image(image, raster).counts["outputs"].sum(axis=1)
    found = simulate_until(image, raster, make_lead_rule(image.chip))
    assert found.counts.sum(axis=1).argmax(axis=1).tolist() == whole.argmax(axis=1).tolist()
    assert found.n_steps.max() <= 120


def test_a_lead_is_for_good_where_it_is_larger_than_what_is_left() -> None:
    rule = make_lead_rule(load_chip("xylo-audio-2"))  # one spike a step
    assert np.asarray(rule(np.array([[5, 3], [5, 2], [2, 5], [4, 4]]), 2)).tolist() == [False, True, True, False]
    assert np.asarray(rule(np.array([[5]]), 0)).tolist() == [False]


def test_what_is_no_rule_is_refused() -> None:
    image, raster = draw("toy-4", 0, 2, 5)
    with pytest.raises(InputError, match="whether each sample stops"):
        simulate_until(image, raster, lambda totals, _: totals)
    with pytest.raises(InputError, match="after no step"):
        simulate_until(image, raster, make_lead_rule(image.chip), every=0)
    with pytest.raises(InputError, match="sample 0, step 0, channel 0"):
        simulate_until(image, raster + 99, make_lead_rule(image.chip))

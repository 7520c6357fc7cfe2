"""Spaces: what they say, and what they are refused for."""

from pathlib import Path

import pytest
from design_spaces import SPACE, write_space

from snnmap.core.errors import SnnmapError
from snnmap.design import read_space
from snnmap.design.parameters import list_active


def test_what_a_space_says(tmp_path: Path) -> None:
    space = read_space(write_space(tmp_path))
    assert space.name == "space"
    assert list(space.parameters) == ["model.width", "model.depth", "model.recurrent", "train.learning_rate"]
    assert space.fixed["chip.name"] == "generic-4096"
    assert space.locate(space.data_from) == str(tmp_path / "data.npz")
    build, training, batch_size, limits_fan_in = space.make_options({"train.learning_rate": 0.02})
    assert (build.allow, build.decision, batch_size, limits_fan_in) == (("SNN6",), "last", 16, False)
    assert (training.learning_rate, training.n_epochs) == (0.02, 2)


def test_what_is_of_no_use_is_left_out(tmp_path: Path) -> None:
    parameters = read_space(write_space(tmp_path)).parameters
    drawn = {"model.width": 3, "model.depth": 1, "model.recurrent": True, "train.learning_rate": 0.01}
    assert "model.recurrent" not in list_active(parameters, drawn)
    assert list_active(parameters, {**drawn, "model.depth": 2})["model.recurrent"] is True


def test_fields_of_the_chip_are_chosen(tmp_path: Path) -> None:
    text = f"{SPACE}bits.weight = [4, 8]\nrecurrent_weights.max_fan_in = {{ low = 2, high = 4 }}\n"
    space = read_space(write_space(tmp_path, text))
    chip = space.make_chip({"chip.bits.weight": 4, "chip.recurrent_weights.max_fan_in": 3})
    assert (chip.bits.weight, chip.recurrent_weights.max_fan_in) == (4, 3)


@pytest.mark.parametrize(
    ("key", "line", "told"),
    [
        ("model_from", "model_form = 'x'", "did you mean 'model_from'?"),
        ("objectives", "objectives = ['accuracy', 'synaptic_operation']", "did you mean 'synaptic_operations'?"),
        ("objectives", "objectives = ['accuracy', 'joy']", "there is no such objective"),
        ("objectives", "objectives = []", "Space.objectives"),
        ("objectives", "objectives = ['weights', 'weights']", "each once"),
        ("objectives", "", "the space lacks a key"),
        ("n_trials", "n_trials = 0", "Space.n_trials"),
        ("n_trials", "n_trials = '4'", "a value of another type"),
        ("n_trials", "sampler = 'best'", "tpe, gp, random"),
        ("width", "width = { low = 8, high = 3 }", "low is not below high"),
        ("width", "width = { low = 3, high = 8, step = 2 }", "steps do not lead from low to high"),
        ("width", "width = { low = 0, high = 8, log = true }", "ratios need a range above 0"),
        ("width", "width = { low = 3, hihg = 8 }", "did you mean 'high'?"),
        ("width", "width = { low = 3 }", "a parameter is a list or a range"),
        ("width", "width = { low = '3', high = 8 }", "a range is of numbers"),
        ("width", "width = { low = 3, high = 8, log = 'yes' }", "true or false"),
        ("width", "width = { low = 3, high = nan }", "a range is infinite"),
        ("recurrent", "recurrent = { choices = [true], when = 3 }", "a table of values by parameter"),
        ("objectives", "objectives = [1]", "a value of another type"),
        ("objectives", "objectives = 'accuracy'", "a value of another type"),
        ("objectives", "objectives = ['accuracy']\ndata = 3", "this is no table"),
        ("width", "width = []", "there is nothing to choose from"),
        ("width", "width = [3, 3]", "a value is listed twice"),
        ("width", "width = [[3], [4]]", "a choice is a number"),
        ("recurrent", "recurrent = { choices = [true], when = { 'model.dpeth' = 2 } }", "did you mean 'model.depth'?"),
        ("recurrent", "recurrent = { choices = [true], when = { 'model.depth' = 3 } }", "model.depth never is this"),
        ("recurrent", "recurrent = { choices = [true], when = { 'model.recurrent' = true } }", "wait for each other"),
        ("n_epochs", "n_epoch = 2", "did you mean 'n_epochs'?"),
        ("n_epochs", "n_epochs = [0, 2]", "TrainOptions.n_epochs"),
        ("n_epochs", "n_epochs = 'many'", "another type"),
        ("batch_size", "batch_size = 0", "an option of the training is out of range"),
        ("batch_size", "batch_size = [16, 1.5]", "[train], batch_size"),
        ("batch_size", "limit_fan_in = 'yes'", "[train], limit_fan_in"),
        ("n_trials", "seed = -1", "Space.seed"),
        ("n_trials", "seed = 4294967296", "0 to 4294967295"),
        ("data_from", "data_from = 'data.npz'\nlimits = { neurons = nan }", "limits are a table of numbers"),
        ("data_from", "data_from = 'data.npz'\nearly_stopping = { share = 'a' }", "early_stopping, share"),
        ("name", "name = 'generic-4096'\nhidden.count = 'x'", "[chip], hidden.count"),
        ("allow", "quantise.second_synapses = ['never']", "did you mean 'quantise.second_synapse'?"),
        ("name", "name = 'generic-4069'", "generic-4096"),
        ("name", "hidden.count = [8]", "the space names no chip"),
        ("data_from", "data_from = 'data.npz'\nlimits = { neurons = 'few' }", "limits are a table of numbers"),
        ("data_from", "data_from = 'data.npz'\nlimits = { neuron = 3 }", "did you mean 'neurons'?"),
        ("data_from", "data_from = 'data.npz'\nearly_stopping = { shares = 0.1 }", "did you mean 'share'?"),
        ("data_from", "data_from = 'data.npz'\nearly_stopping = { share = 1.0 }", "EarlyStopping.share"),
        ("model_from", "model_from = [", "the space cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, key: str, line: str, told: str) -> None:
    with pytest.raises(SnnmapError) as caught:
        read_space(write_space(tmp_path, **{key: line}))
    assert told in str(caught.value)


def test_an_objective_without_prices_is_nobodys(tmp_path: Path) -> None:
    path = write_space(tmp_path, objectives="objectives = ['energy_j']", name="name = ['generic-4096', 'xylo-audio-3']")
    with pytest.raises(SnnmapError, match="nobody can measure energy_j on chip 'xylo-audio-3'") as caught:
        read_space(path)
    assert "costs.prices.weight_bit_read_pj" in str(caught.value)
    assert "snnmap chips show xylo-audio-3" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_space_without_choices_is_none(tmp_path: Path) -> None:
    text = SPACE.partition("[model]")[0] + "[chip]\nname = 'generic-4096'\n"
    with pytest.raises(SnnmapError, match="leaves nothing to choose"):
        read_space(write_space(tmp_path, text))

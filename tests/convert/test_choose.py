"""The way of a conversion is chosen by what it errs on calibration data; what errs too much is told."""

import warnings
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.convert import Choice, Conversion, ConvertOptions, convert_ann, read_ann, run_ann, sweep_steps
from snnmap.convert.ann import measure_levels
from snnmap.convert.balance import Units
from snnmap.convert.build import build_layer
from snnmap.convert.equalise import equalise_channels
from snnmap.convert.layer_run import LayerInput, make_room, run_layer
from snnmap.core import FloatArray
from snnmap.core.errors import ConversionWarning, InputError
from snnmap.network import InputPort, Network, simulate_network
from snnmap.nn import QuantisedReLU

DATA = np.random.default_rng(0).uniform(0, 1, (80, 10))


def make_chain(depth: int, width: int = 24, *, seed: int = 0) -> nn.Sequential:
    """Give a chain of normalised layers of random gains, in which what one errs the next ones amplify."""
    torch.manual_seed(seed)
    sizes, layers = (10, *[width] * depth), []
    for n_pre, n_post in pairwise(sizes):
        layers += [nn.Linear(n_pre, n_post), nn.BatchNorm1d(n_post), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(width, 4)).train()
    with torch.no_grad():
        for _ in range(60):
            model(torch.tensor(DATA, dtype=torch.float32))
    return model.eval()


def run_outputs(conversion: Conversion, data: FloatArray) -> FloatArray:
    ports = conversion.split(conversion.encode(data))
    return conversion.read_logits(simulate_network(conversion.network, ports, states_of=["output"]).potentials["output"])


def relative_error(found: FloatArray, wanted: FloatArray) -> float:
    return float(np.sqrt(((found - wanted) ** 2).mean() / wanted.var(axis=0).mean()))


def test_a_deep_network_is_held_and_a_shallow_one_is_not() -> None:
    deep = convert_ann(make_chain(7), DATA)
    allowed, *held = deep.choices
    assert allowed.overshoot == "allow"
    assert allowed.relative_error > 0.3
    assert {choice.overshoot for choice in held} == {"hold"}
    assert deep.options.overshoot == "hold"
    taken = next(choice for choice in deep.choices if choice.taken)
    assert taken.relative_error == min(choice.relative_error for choice in deep.choices) < 0.1
    assert taken.latency_steps == deep.latency_steps > allowed.latency_steps
    torch.manual_seed(0)
    shallow = convert_ann(nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 4)), DATA)
    assert [(choice.overshoot, choice.taken) for choice in shallow.choices] == [("allow", True)]


@pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")
@pytest.mark.parametrize(("n_layers", "error_limit", "n_samples"), [(7, 0.2, [16, 64]), (1, 0.1, [64]), (7, 1e-6, [64, 64, 64])])
def test_ways_of_a_large_network_are_tried_on_few_samples_first(
    n_layers: int, error_limit: float, n_samples: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ConvertOptions(error_limit=error_limit)
    small = convert_ann(make_chain(n_layers), DATA[:64], options=options)
    monkeypatch.setattr("snnmap.convert.choose._MUCH_WORK", 0)
    large = convert_ann(make_chain(n_layers), DATA[:64], options=options)
    assert large.network == small.network
    assert sorted(choice.n_samples for choice in large.choices) == n_samples
    assert {choice.n_samples for choice in small.choices} == {64}


def test_a_shallow_network_is_as_with_allow() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 4))
    chosen, given = convert_ann(model, DATA), convert_ann(model, DATA, options=ConvertOptions(overshoot="allow"))
    assert chosen.network == given.network
    assert chosen.options.overshoot == "allow"


@pytest.mark.parametrize("overshoot", ["allow", "hold"])
@pytest.mark.parametrize("balance_by", ["layer", "channel"])
@pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")
def test_a_way_that_is_given_is_obeyed(overshoot: str, balance_by: str) -> None:
    options = ConvertOptions(overshoot=overshoot, balance_by=balance_by)  # type: ignore[arg-type]
    conversion = convert_ann(make_chain(6), DATA, options=options)
    (choice,) = conversion.choices
    assert (choice.overshoot, choice.balance_by, choice.taken) == (overshoot, balance_by, True)


@pytest.mark.parametrize("n_samples", [80, 300])
def test_what_was_measured_is_what_the_network_does(n_samples: int) -> None:
    data = np.random.default_rng(1).uniform(0, 1, (n_samples, 10))
    conversion = convert_ann(make_chain(5), data)
    found = conversion.read_logits(
        simulate_network(conversion.network, conversion.calibration, states_of=["output"]).potentials["output"]
    )
    taken = next(choice for choice in conversion.choices if choice.taken)
    model = make_chain(5).double()
    with torch.no_grad():
        wanted = model(torch.tensor(data[:256])).numpy()
    assert conversion.expected.dtype == np.float64
    assert np.allclose(conversion.expected, wanted, atol=1e-9)
    assert taken.agreement == np.mean(found.argmax(axis=1) == wanted.argmax(axis=1))
    spread = np.sqrt(np.mean((wanted - wanted.mean(axis=0)) ** 2))
    assert taken.relative_error == pytest.approx(np.sqrt(np.mean((found - wanted) ** 2)) / spread)
    assert taken.spikes == pytest.approx(sum(error.spikes for error in conversion.errors))


def test_what_errs_too_much_is_told() -> None:
    with pytest.warns(ConversionWarning, match=r"limit: 0.1, ConvertOptions.error_limit") as caught:
        conversion = convert_ann(make_chain(7), DATA, options=ConvertOptions(overshoot="allow"))
    (said,) = caught
    assert said.filename == __file__
    (choice,) = conversion.choices
    assert f"relative error {choice.relative_error:.3f}" in str(said.message)
    assert "overshoot='hold'" in str(said.message)
    with pytest.warns(ConversionWarning) as caught:
        convert_ann(make_chain(7), DATA, options=ConvertOptions(n_steps=1, max_rate=1.0))
    assert str(caught[0].message).count("tried: ") == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert_ann(make_chain(7), DATA, options=ConvertOptions(overshoot="allow", error_limit=2.0))


def test_data_that_do_not_show_it_are_told() -> None:
    """A chain that few samples calibrate well for themselves, and for no others."""
    few = np.random.default_rng(2).uniform(0, 1, (16, 10))
    with pytest.warns(ConversionWarning, match="(?s)do not show.*limit: 0.2.*more calibration data"):
        conversion = convert_ann(make_chain(9, 12, seed=3), few)
    taken = next(choice for choice in conversion.choices if choice.taken)
    assert taken.unseen_error is not None
    assert taken.relative_error <= 0.1 < 0.2 < taken.unseen_error
    fresh = np.random.default_rng(4).uniform(0, 1, (100, 10))
    assert relative_error(run_outputs(conversion, fresh), run_ann(conversion.ann, fresh)["output"]) > 0.1


def test_without_the_time_to_hold_spikes_they_are_allowed() -> None:
    with pytest.warns(ConversionWarning):
        conversion = convert_ann(make_chain(7), DATA, options=ConvertOptions(settle_steps=12))
    assert [choice.overshoot for choice in conversion.choices] == ["allow"]
    with pytest.raises(InputError, match="settle_steps=0"):
        convert_ann(make_chain(7), DATA, options=ConvertOptions(settle_steps=12, overshoot="hold"))


def test_the_choice_is_deterministic() -> None:
    one, other = (convert_ann(make_chain(6), DATA) for _ in range(2))
    assert one.choices == other.choices
    assert one.network == other.network


def test_a_sweep_has_one_way() -> None:
    rows = sweep_steps(make_chain(6), DATA, DATA, n_steps=(2, 8))
    assert [row.latency_steps - row.n_steps for row in rows] == [7 * 8, 7 * 8]


def odd_scales(model: nn.Sequential, spread: float) -> nn.Sequential:
    """Give each channel another scale, which the next layer takes back: the same function."""
    rng = np.random.default_rng(3)
    with torch.no_grad():
        for number in range(0, len(model) - 1, 3):
            norm, following = model[number + 1], model[number + 3]
            factor = torch.tensor(10 ** rng.uniform(-spread, spread, norm.num_features), dtype=torch.float32)
            norm.weight *= factor
            norm.bias *= factor
            following.weight /= factor
    return model


def test_channels_of_odd_scales_cost_nothing() -> None:
    conversion = convert_ann(odd_scales(make_chain(5), 1.5), DATA)
    assert conversion.options.balance_by == "channel"
    assert next(choice for choice in conversion.choices if choice.taken).relative_error < 0.1
    by_layer = next(choice for choice in conversion.choices if choice.overshoot == "hold" and choice.balance_by == "layer")
    assert by_layer.relative_error > 0.3
    fresh = np.random.default_rng(7).uniform(0, 1, (60, 10))
    assert relative_error(run_outputs(conversion, fresh), run_ann(conversion.ann, fresh)["output"]) < 0.15


def models_to_equalise() -> Iterator[tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    yield odd_scales(make_chain(3), 2.0), (10,)
    pools = (nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU6(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6, 3))
    yield nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Hardtanh(0.0, 0.3), *pools), (1, 10, 10)
    yield nn.Sequential(nn.Linear(10, 8), QuantisedReLU(7, step=0.1), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)), (10,)
    dead = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        dead[0].bias[:3] = -50.0
    yield dead, (10,)


@pytest.mark.parametrize(("model", "shape"), list(models_to_equalise()))
def test_equalised_channels_are_the_same_function(model: nn.Module, shape: tuple[int, ...]) -> None:
    ann, data = read_ann(model.eval(), shape), np.random.default_rng(0).uniform(0, 1, (40, *shape))
    before = run_ann(ann, data)
    equal = equalise_channels(ann, before, 100.0)
    after = run_ann(equal, data)
    assert np.allclose(after["output"], before["output"], atol=1e-9)
    for layer in equal.layers:
        if layer.kind == "relu" and layer.step is None:
            peaks = after[layer.name].reshape(len(data), layer.incoming.shape[0], -1).max(axis=(0, 2))
            active = (before[layer.name] > 0).reshape(len(data), layer.incoming.shape[0], -1).sum(axis=(0, 2))
            assert np.allclose(peaks[active >= 16], 1.0)
        if layer.kind == "max":
            assert all(set(np.abs(weights.data).round(9)) <= {0.0, 1.0} for weights in layer.incoming.terms.values())


@pytest.mark.parametrize("fires", [True, False])
@pytest.mark.parametrize("n_steps", [12, 13, 40])
@pytest.mark.parametrize("kept_per_weight", [0, 2, 10**6])
def test_a_layer_alone_does_as_in_a_network(
    fires: bool, n_steps: int, kept_per_weight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snnmap.convert.layer_run._KEPT_PER_WEIGHT", kept_per_weight)
    layer = read_ann(make_chain(1), (10,)).layers[0]
    units = Units(values={"input": 1 / 120, layer.name: 0.02}, origins={})
    part = build_layer(layer, units.values, ConvertOptions())
    rng = np.random.default_rng(0)
    rasters = {"input": rng.integers(0, 4, (7, n_steps, 10)), "clock": np.zeros((7, n_steps, 1), np.int64)}
    rasters["input"][:, 12:] = 0
    rasters["clock"][:, :8] = 15
    rasters["input"][:, 5:7] = 0
    population = part.population
    if not fires:
        population = type(population).create(
            "p", population.size, alpha=population.alpha, beta=population.beta, bias=population.bias, threshold=np.inf
        )
    name = population.name
    projections = tuple(type(p)(name=p.name, pre=p.pre, post=name, weights=p.weights) for p in part.projections)
    ports = tuple(InputPort(name=source, size=raster.shape[2]) for source, raster in rasters.items())
    network = Network(name="alone", inputs=ports, populations=(population,), projections=projections, outputs=())
    wanted = simulate_network(network, rasters, counts_of=[name], states_of=[name])
    shared = LayerInput(part.projections[:1], make_room(part.projections[0].weights.nnz))
    run_layer(part, rasters, shared=shared, fires=not fires)
    shares = np.linspace(0.3, 0.9, 11)
    found = run_layer(part, rasters, shared=shared, fires=fires, shares=shares)
    potentials = wanted.potentials[name]
    assert found.rest == pytest.approx(potentials[:, -1], rel=0, abs=1e-13)
    above = (potentials[:, :11] - np.maximum(potentials[:, -1:], 0.0)) / shares[:, np.newaxis]
    assert found.beyond == pytest.approx(np.maximum(above.max(axis=(0, 1)), 0.0), rel=0, abs=1e-12)
    assert found.beyond.any()
    assert np.array_equal(found.spikes, found.counts.sum(axis=1))
    if fires:
        assert np.array_equal(found.counts, wanted.counts[name])
        assert found.counts.any()


@pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")
def test_clips_hold_on_data_that_go_further() -> None:
    """Few samples miss what others reach: the neurons that clip them are there all the same."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 24), nn.Hardtanh(0.0, 0.7), nn.Linear(24, 4)).double()
    few, more = DATA[:24], np.random.default_rng(1).uniform(0, 1, (400, 10))
    activations = (model[0](torch.tensor(few)).numpy(force=True), model[0](torch.tensor(more)).numpy(force=True))
    missed = (activations[0].max(axis=0) <= 0.7) & (activations[1].max(axis=0) > 0.7)
    assert missed.any()
    conversion = convert_ann(model, few)
    wanted = model(torch.tensor(more)).numpy(force=True)
    assert relative_error(run_ann(conversion.ann, more)["output"], wanted) < 1e-9


def test_a_choice_says_what_it_costs() -> None:
    choice = Choice(
        overshoot="hold", balance_by="channel", n_steps=8, latency_steps=72, spikes=1234.5, n_samples=64, relative_error=0.04,
        agreement=0.99, taken=True,
    )  # fmt: skip
    said = "overshoot='hold', balance_by='channel', T = 8: relative error 0.040 on 64 samples, 99.0% same decisions, 72 steps"
    assert str(choice) == f"{said}, 1234 spikes"


def test_the_readout_counts_no_level() -> None:
    conversion = convert_ann(make_chain(6), DATA)
    n_levels = max(measure_levels(conversion.ann).values())
    assert conversion.latency_steps == conversion.options.n_steps + conversion.options.hold_steps * (n_levels + 1)

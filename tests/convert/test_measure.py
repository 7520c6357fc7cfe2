"""What is measured of a conversion: against T, by coding, by leak; and units, and neurons that clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.convert import (
    ConvertOptions,
    convert_ann,
    measure_codings,
    measure_leak,
    run_ann,
    score_conversion,
    sweep_steps,
)
from snnmap.core.errors import InputError
from snnmap.network import simulate_network
from snnmap.nn import QuantisedReLU

pytestmark = pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")  # of random networks

DATA = np.random.default_rng(0).uniform(0, 1, (160, 6))


def make_model(activation: type[nn.Module] | None = None) -> nn.Module:
    torch.manual_seed(0)
    make = activation or nn.ReLU
    return nn.Sequential(nn.Linear(6, 24), make(), nn.Linear(24, 16), make(), nn.Linear(16, 3)).double()


MODEL = make_model()
LABELS = MODEL(torch.tensor(DATA)).argmax(1).numpy()


def test_more_steps_cost_more_and_lose_less() -> None:
    rows = sweep_steps(MODEL, DATA[:100], DATA, LABELS, n_steps=(2, 8, 32))
    assert [row.n_steps for row in rows] == [2, 8, 32]
    assert [row.latency_steps for row in rows] == [8, 14, 38]
    assert rows[0].score.synaptic_operations < rows[1].score.synaptic_operations < rows[2].score.synaptic_operations
    for layer in range(2):
        errors = [row.score.errors[layer].relative_error for row in rows]
        assert errors[2] < 0.4 * errors[1] < 0.4 * errors[0]
    assert rows[2].score.accuracy > 0.95
    assert all(row.score.ann_accuracy == 1.0 for row in rows)
    assert [c.layer for c in rows[0].compensations] == ["1", "3"]


def test_operations_are_counts_times_fan_out() -> None:
    conversion = convert_ann(MODEL, DATA)
    score = score_conversion(conversion, DATA[:10])
    network, ports = conversion.network, conversion.split(conversion.encode(DATA[:10]))
    counts = {**ports, **simulate_network(network, ports, counts_of=[p.name for p in network.populations]).counts}
    operations = sum(
        counts[p.pre][sample].sum(axis=0) @ (p.weights.to_dense() != 0).sum(axis=1)
        for p in network.projections
        for sample in range(10)
    )
    assert score.synaptic_operations == pytest.approx(operations / 10)
    assert score.input_spikes == ports["input"].sum() / 10
    assert np.isnan(score.accuracy)


def test_codings_cost_and_err() -> None:
    rows = {row.coding: row.score for row in measure_codings(MODEL, DATA, DATA, LABELS)}
    assert list(rows) == ["count", "direct", "rate", "latency"]
    first = {coding: score.errors[0].relative_error for coding, score in rows.items()}
    assert first["count"] < first["direct"] < first["rate"]
    assert rows["count"].input_spikes == rows["latency"].input_spikes


def test_leak_is_kept_apart_from_its_drive() -> None:
    rows = measure_leak(MODEL, DATA, dash_mem=5)
    assert [row.layer for row in rows] == ["1", "3"]
    for row in rows:
        assert row.compensated < row.leak
        assert row.calibrated < row.compensated
        assert row.drive_alone != row.no_leak
    weak = measure_leak(MODEL, DATA, dash_mem=15)
    assert all(row.leak == pytest.approx(row.no_leak, rel=0.02) for row in weak)


def test_no_leak_is_the_reference() -> None:
    options = ConvertOptions(dash_mem=None, calibrate=False)
    errors = convert_ann(MODEL, DATA, options=options).errors
    rows = measure_leak(MODEL, DATA, dash_mem=6, options=options)
    assert [row.no_leak for row in rows] == pytest.approx([error.relative_error for error in errors])
    leaky = convert_ann(MODEL, DATA, options=replace(options, dash_mem=6, compensate_leak=False)).errors
    assert [row.leak for row in rows] == pytest.approx([error.relative_error for error in leaky])


def test_the_drive_compensates_the_leak() -> None:
    options = ConvertOptions(dash_mem=5, calibrate=False)
    given, left = (convert_ann(MODEL, DATA, options=replace(options, compensate_leak=value)) for value in (True, False))
    for one, other in zip(given.errors, left.errors, strict=True):
        assert abs(one.mean_error) < 0.5 * abs(other.mean_error)
    assert [c.leak_drive for c in given.compensations] == [2.0**-6] * 2
    assert [c.leak_drive for c in left.compensations] == [0.0] * 2


@pytest.mark.parametrize("overshoot", ["allow", "hold"])
def test_layers_run_alone_do_what_the_network_does(overshoot: str) -> None:
    conversion = convert_ann(MODEL, DATA, options=ConvertOptions(overshoot=overshoot))  # type: ignore[arg-type]
    assert score_conversion(conversion, DATA).errors == conversion.errors


def test_draws_differ_from_batch_to_batch() -> None:
    conversion = convert_ann(MODEL, DATA, options=ConvertOptions(coding="rate"))
    same = np.full((256, 6), 0.5)
    assert score_conversion(conversion, same).input_spikes != score_conversion(conversion, same[:128]).input_spikes


def test_least_squares_beat_the_maximum_of_outliers() -> None:
    data = DATA.copy()
    data[0] = 8.0
    options = ConvertOptions(n_steps=4, max_rate=2.0, input_max=8.0, percentile=100.0)
    largest, squares = (convert_ann(MODEL, data, options=replace(options, balance=balance)) for balance in ("percentile", "mse"))
    assert squares.compensations[0].source == "mse"
    assert squares.units["1"] < 0.9 * largest.units["1"]
    activations = run_ann(squares.ann, data)["1"]

    def squared_error(unit: float) -> float:
        return float(np.mean((unit * np.clip(np.rint(activations / unit), 0, 8) - activations) ** 2))

    assert squared_error(squares.units["1"]) < squared_error(largest.units["1"])


def test_a_step_is_the_unit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), QuantisedReLU(7, step=0.05), nn.Linear(24, 3)).double()
    conversion = convert_ann(model, DATA)
    assert conversion.units["1"] == conversion.units["1.excess"] == pytest.approx(0.05)
    assert {c.source for c in conversion.compensations} == {"step"}


def test_only_neurons_that_may_clip_get_an_excess() -> None:
    """What calibration data miss by less than two deviations, other data may reach."""
    values = MODEL[1](MODEL[0](torch.tensor(DATA))).detach().numpy()
    reached = values.max(axis=0) + 2.0 * values.std(axis=0)
    bound = float(np.median(reached))
    model = nn.Sequential(MODEL[0], nn.Hardtanh(0.0, bound), nn.Linear(24, 3).double())
    conversion = convert_ann(model, DATA)
    sizes = {p.name: p.size for p in conversion.network.populations}
    assert sizes["1.excess"] == (reached > bound).sum()
    expected = model(torch.tensor(DATA)).detach().numpy()
    assert np.allclose(run_ann(conversion.ann, DATA)["output"], expected)
    high = nn.Sequential(MODEL[0], nn.Hardtanh(0.0, 100.0), nn.Linear(24, 3).double())
    assert "1.excess" not in convert_ann(high, DATA).units


@pytest.mark.parametrize(
    ("inputs", "labels", "said"),
    [
        (DATA, LABELS[:-1], r"limit: integers of shape \(160,\)"),
        (DATA, LABELS + 0.5, "float64"),
        (DATA[:0], None, "empty"),
        (np.full((3, 6), np.nan), None, "sample 0"),
        (DATA[:, :5], None, "6 values"),
    ],
)
def test_bad_data(inputs: np.ndarray, labels: np.ndarray | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        score_conversion(convert_ann(MODEL, DATA), inputs, labels)

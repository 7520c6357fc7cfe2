from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.core.errors import InputError
from snnmap.nn import LIF, LeakyIntegrator, Surrogate, SurrogateName, count_spikes, record_counts


def derivative_of_counts(
    surrogate: Surrogate, u: list[float], threshold: float, max_count: int = 31
) -> tuple[torch.Tensor, torch.Tensor]:
    potentials = torch.tensor([u], dtype=torch.float64, requires_grad=True)
    thresholds = torch.full((len(u),), threshold, dtype=torch.float64, requires_grad=True)
    count_spikes(potentials, thresholds, max_count, surrogate).sum().backward()
    return potentials.grad[0], thresholds.grad


def test_forward_counts_and_limits() -> None:
    u = torch.tensor([[-3.0, 0.99, 1.0, 2.5, 99.0]])
    assert count_spikes(u, torch.ones(5), 31, Surrogate()).tolist() == [[0, 0, 1, 2, 31]]


def test_the_relu_rule_is_the_derivative_of_the_excess() -> None:
    by_u, by_threshold = derivative_of_counts(Surrogate(name="relu"), [-1.0, 1.9, 2.1, 5.0], 2.0)
    assert by_u.tolist() == [0.0, 0.0, 0.5, 0.5]
    assert by_threshold.tolist() == [0.0, 0.0, -2.1 / 4, -5.0 / 4]
    assert derivative_of_counts(Surrogate(window=0.5), [0.9, 1.1], 2.0)[0].tolist() == [0.0, 0.5]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("fast_sigmoid", lambda d: 1 / (1 + 2 * abs(d)) ** 2),
        ("arctan", lambda d: 1 / (1 + (np.pi * d) ** 2)),
        ("sigmoid", lambda d: 1 / np.cosh(d) ** 2),
        ("triangle", lambda d: max(0.0, 1 - 2 * abs(d))),
        ("boxcar", lambda d: float(abs(d) < 0.25)),
        ("exponential", lambda d: np.exp(-2 * abs(d))),
    ],
)
def test_bells_are_centred_on_every_count(name: str, written: object) -> None:
    by_u, _ = derivative_of_counts(Surrogate(name=name), [0.0, 1.6, 2.0, 4.4], 2.0)
    expected = [written(d) / 2.0 for d in (-1.0, -0.2, 0.0, 0.2)]
    assert np.allclose(by_u, expected, rtol=1e-12)


@pytest.mark.parametrize("name", get_args(SurrogateName)[1:])
def test_no_bell_stands_above_the_most_spikes(name: SurrogateName) -> None:
    last, beyond, far = derivative_of_counts(Surrogate(name=name, slope=5.0), [6.0, 8.0, 20.0], 2.0, max_count=3)[0].tolist()
    assert last == 0.5
    assert last / 25 > beyond >= far


@pytest.mark.parametrize(
    ("options", "alpha", "beta"),
    [
        ({"dash_syn": 2, "dash_mem": 3}, 0.75, 0.875),
        ({"tau_syn_s": 0.01, "tau_mem_s": 0.02, "dt_s": 1e-3}, np.exp(-0.1), np.exp(-0.05)),
        ({"alpha": 0.3, "beta": 0.0}, 0.3, 0.0),
    ],
)
def test_decays_are_shifts_time_constants_or_factors(options: dict[str, float], alpha: float, beta: float) -> None:
    layer = LIF(3, **options)
    assert np.allclose(layer.decays()[0].detach(), alpha)
    assert np.allclose(layer.decays()[1].detach(), beta)


def test_one_decay_a_synapse_and_no_decay_twice() -> None:
    assert LIF(2, n_synapses=2, dash_syn=(1, 3)).alpha.tolist() == [[0.5, 0.5], [0.875, 0.875]]
    with pytest.raises(InputError, match="given twice"):
        LIF(2, dash_mem=2, beta=0.5)


def test_a_wrong_input_says_what_fits() -> None:
    with pytest.raises(InputError, match=r"measured: \(2, 5, 3\)   limit: \(batch, time, 8\)"):
        LIF(4, n_synapses=2)(torch.zeros(2, 5, 3))


def test_trained_parameters_stay_usable() -> None:
    layer = LIF(2, alpha=0.5, beta=0.5, train_alpha=True, train_beta=True, train_threshold=True)
    with torch.no_grad():
        layer.alpha.fill_(1.7)
        layer.beta.fill_(-0.3)
        layer.threshold.fill_(-1.0)
    alpha, beta = layer.decays()
    assert (alpha < 1).all()
    assert (beta == 0).all()
    assert (layer.used_threshold() > 0).all()


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    layer = LIF(4, n_synapses=2, recurrent=True, train_alpha=True, train_beta=True, train_threshold=True, train_bias=True)
    layer(torch.rand(3, 12, 8) * 2).pow(2).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_an_integrator_never_fires() -> None:
    layer = LeakyIntegrator(1, alpha=0.0, beta=0.5)
    assert layer(torch.tensor([[[2.0], [0.0], [4.0]]]))[0, :, 0].tolist() == [2.0, 1.0, 4.5]


@pytest.mark.parametrize("name", get_args(SurrogateName))
def test_a_small_network_learns(name: str) -> None:
    """Which of two channels is busier: from chance to almost always right."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 16, bias=False), LIF(16, dash_mem=2, surrogate=name), nn.Linear(16, 2, bias=False), LIF(2, surrogate=name)
    )
    busier = torch.randint(0, 2, (256,))
    rates = torch.where(torch.nn.functional.one_hot(busier, 2) > 0, 2.0, 1.0)
    raster = torch.poisson(rates[:, None].expand(256, 20, 2))
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.02)
    for _ in range(60):
        optimiser.zero_grad()
        with record_counts(model) as counts:
            loss = nn.functional.cross_entropy(model(raster).sum(dim=1) * 0.3, busier)
        loss.backward()
        optimiser.step()
    assert set(counts) == {"1", "3"}
    assert (model(raster).sum(dim=1).argmax(dim=1) == busier).float().mean() > 0.9

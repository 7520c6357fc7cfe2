import numpy as np
import pytest
import torch
from torch import nn

from snnmap.core.errors import FrontendError
from snnmap.frontends.torch import load
from snnmap.network import simulate_network
from snnmap.nn import LIF, EventLinear, LeakyIntegrator, Residual, record_counts


def random_lif(rng: np.random.Generator, size: int, **fixed: object) -> LIF:
    options = {
        "n_synapses": int(rng.integers(1, 3)),
        "alpha": float(rng.choice([0.0, 0.5, 0.8, 0.93])),
        "beta": float(rng.choice([0.0, 0.5, 0.85, 0.97])),
        "threshold": torch.tensor(rng.uniform(0.5, 2.0, size)),
        "bias": torch.tensor(rng.uniform(-0.1, 0.2, size)),
        "recurrent": bool(rng.random() < 0.4),
        "max_count": int(rng.choice([1, 4, 31])),
        **fixed,
    }
    return LIF(size, **options)


def random_module(seed: int) -> nn.Sequential:
    """Deep, with recurrent layers, nested residual blocks, two synapses."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    size, n_in = int(rng.integers(3, 9)), int(rng.integers(2, 6))

    def layer(n_pre: int, n_post: int) -> list[nn.Module]:
        neurons = random_lif(rng, n_post)
        kind = EventLinear if seed % 2 else nn.Linear
        linear = kind(n_pre, neurons.n_synapses * n_post, bias=False)
        nn.init.uniform_(linear.weight, -0.5, 0.8)
        return [linear, neurons]

    def block(depth: int) -> nn.Module:
        inner: list[nn.Module] = [m for _ in range(rng.integers(1, 3)) for m in layer(size, size)]
        if depth and rng.random() < 0.5:
            inner.append(block(depth - 1))
        return Residual(*inner)

    parts = [*layer(n_in, size)]
    for _ in range(rng.integers(1, 4)):
        parts += [block(1)] if rng.random() < 0.6 else layer(size, size)
    output = random_lif(rng, 3, n_synapses=1)
    return nn.Sequential(*parts, nn.Dropout(0.5), nn.Linear(size, 3, bias=False), output).double().eval()


def assert_same_counts(model: nn.Module, *rasters: np.ndarray, input_sizes: list[int] | None = None) -> int:
    network = load(model, input_sizes=input_sizes)
    with record_counts(model) as counts, torch.no_grad():
        model(*(torch.tensor(raster, dtype=torch.float64) for raster in rasters))
    inputs = {port.name: raster for port, raster in zip(network.inputs, rasters, strict=True)}
    run = simulate_network(network, inputs, counts_of=list(counts))
    assert set(counts) <= {population.name for population in network.populations}
    for name, expected in counts.items():
        assert np.array_equal(run.counts[name], expected.numpy()), name
    return sum(int(expected.sum()) for expected in counts.values())


@pytest.mark.parametrize("seed", range(60))
def test_every_layer_counts_the_same(seed: int) -> None:
    model = random_module(seed)
    rng = np.random.default_rng(seed)
    n_spikes = assert_same_counts(model, rng.poisson(3.0, (4, 30, model[0].in_features)))
    assert n_spikes > 0


class TwoPaths(nn.Module):
    """Two inputs, skips from an input, parallel weights, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.skip = nn.Linear(3, 6, bias=False), nn.Linear(2, 6, bias=False), nn.Linear(3, 6, bias=False)
        self.first, self.second = LIF(6, alpha=0.5, beta=0.7, recurrent=True), LIF(6, alpha=0.3, beta=0.9)
        self.between, self.again = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.read, self.spikes, self.integrate = nn.Linear(6, 2, bias=False), LIF(2, max_count=1), LeakyIntegrator(2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first = self.first(self.left(a) + self.right(b))
        second = self.second(self.between(first) + self.again(first) + self.skip(a))
        both = self.read(first + second)
        return self.spikes(both), self.integrate(self.read(second))


def test_several_inputs_outputs_and_parallel_weights() -> None:
    torch.manual_seed(0)
    model = TwoPaths().double()
    rng = np.random.default_rng(0)
    a, b = rng.poisson(2.0, (3, 25, 3)), rng.poisson(2.0, (3, 25, 2))
    assert assert_same_counts(model, a, b) > 50
    network = load(model)
    assert [(port.name, port.size) for port in network.inputs] == [("a", 3), ("b", 2)]
    assert [(port.populations, port.readout) for port in network.outputs] == [
        (("spikes",), "spikes"),
        (("integrate",), "potential"),
    ]
    run = simulate_network(network, {"a": a, "b": b}, states_of=["integrate"])
    expected = model(torch.tensor(a).double(), torch.tensor(b).double())[1].detach().numpy()
    assert np.allclose(run.potentials["integrate"], expected, rtol=1e-12)


def test_names_provenance_and_the_module_itself() -> None:
    model = random_module(1).float().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    network = load(model, name="mine")
    assert network.name == "mine"
    assert network.provenance["framework"].startswith("torch ")
    assert all(population.source == population.name for population in network.populations)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    weight = model[0].weight.detach().numpy().astype(np.float64)
    assert set(network.projections[0].weights.data) <= set(weight.ravel())


def test_a_linear_bias_is_a_membrane_bias_where_the_synapse_has_no_memory() -> None:
    torch.manual_seed(3)
    plain = nn.Sequential(nn.Linear(3, 4), LIF(4, alpha=0.0, beta=0.9), nn.Linear(4, 2, bias=False), LIF(2)).double()
    assert assert_same_counts(plain, np.random.default_rng(0).poisson(1.0, (2, 20, 3))) > 0
    with pytest.raises(FrontendError, match="train_bias=True"):
        load(nn.Sequential(nn.Linear(3, 4), LIF(4, alpha=0.5)))


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.lif = nn.Linear(3, 2, bias=False), LIF(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif(self.linear(x)).sum(dim=1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Summed(), "operation 'sum'"),
        (nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), LIF(2)), "module ReLU"),
        (nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), LIF(2)), "two Linear layers"),
        (nn.Sequential(nn.Linear(2, 2, bias=False)), "not the output of neurons"),
        (nn.Sequential(nn.Linear(2, 3, bias=False), LIF(2)), "do not fit the neurons"),
        (nn.Sequential(Residual(nn.Linear(2, 2, bias=False)), LIF(2)), "counts and currents are added"),
    ],
)
def test_what_has_no_counterpart_is_named(model: nn.Module, message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(model)


def test_linear_layers_in_a_row_are_multiplied_where_that_is_asked_for() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(3, 4), nn.Linear(4, 5)
    neurons = LIF(5, alpha=0.0, beta=0.5)
    merged = nn.Linear(3, 5)
    with torch.no_grad():
        merged.weight.copy_(second.weight @ first.weight)
        merged.bias.copy_(second.weight @ first.bias + second.bias)
    read = load(nn.Sequential(first, second, neurons), merge_linear=True)
    wanted = load(nn.Sequential(merged, neurons))
    np.testing.assert_allclose(read.projections[0].weights.to_dense(), wanted.projections[0].weights.to_dense(), atol=1e-6)
    np.testing.assert_allclose(read.populations[0].bias, wanted.populations[0].bias, atol=1e-6)


def test_linear_layers_that_do_not_fit_are_not_multiplied() -> None:
    with pytest.raises(FrontendError, match="does not fit the one before it"):
        load(nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2), LIF(2)), merge_linear=True)

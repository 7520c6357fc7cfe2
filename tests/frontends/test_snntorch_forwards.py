"""Forwards as people write them: loops over time, layers between neurons, states made inside; spike for spike snnTorch's own."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnmap.core.errors import FrontendError, OptionError
from snnmap.frontends.snntorch import load
from snnmap.network import Network, simulate_network

snn = pytest.importorskip("snntorch")
from snntorch_tutorials import TUTORIALS  # noqa: E402 (needs snnTorch)

torch.set_num_threads(1)

SHAPE = (2, 8, 8)


def step(membrane: Tensor) -> Tensor:
    """snnTorch's own step returns float32, which float64 layers refuse."""
    return (membrane > 0).double()


def neurons(rng: np.random.Generator, **options: object) -> nn.Module:
    reset = str(rng.choice(["subtract", "zero", "none"], p=[0.7, 0.2, 0.1]))
    return snn.Leaky(beta=float(rng.uniform(0.4, 0.95)), reset_mechanism=reset, spike_grad=step, **options)


class RandomLoop(nn.Module):
    """Convolutions, norms, pools and joins of random sizes, looped over time with states made inside."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        self.is_batch_first, self.has_norm, self.joins = (bool(rng.random() < 0.5) for _ in range(3))
        self.pool = str(rng.choice(["max", "average", "none"]))
        n_mid, kernel = int(rng.integers(2, 5)), int(rng.integers(2, 4))
        self.conv = nn.Conv2d(2, n_mid, kernel, stride=int(rng.integers(1, 3)), padding=int(rng.integers(0, 2)))
        self.norm, self.lif1 = nn.BatchNorm2d(n_mid), neurons(rng)
        self.norm.running_mean.uniform_(-0.2, 0.2)
        self.norm.running_var.uniform_(0.5, 1.5)
        with torch.no_grad():
            n_flat = self.squeeze(self.conv(torch.zeros(1, *SHAPE))).numel()
        self.fc, self.lif2 = nn.Linear(n_flat, 6), neurons(rng)
        self.out, self.lif3 = nn.Linear(12 if self.joins else 6, 4), neurons(rng)
        for layer in (self.fc, self.out, self.conv):
            nn.init.uniform_(layer.weight, -0.3, 0.6)

    def squeeze(self, spikes: Tensor) -> Tensor:
        if self.pool == "max":
            spikes = functional.max_pool2d(spikes, 2)
        if self.pool == "average":
            spikes = functional.avg_pool2d(spikes, 2)
        return spikes.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, mem3 = (lif.init_leaky() for lif in (self.lif1, self.lif2, self.lif3))
        spikes, last = [], torch.zeros(1, 6)
        for t in range(x.size(1 if self.is_batch_first else 0)):
            current = self.conv(x[:, t] if self.is_batch_first else x[t])
            spk1, mem1 = self.lif1(self.norm(current) if self.has_norm else 2 * current - 0.1, mem1)
            spk2, mem2 = self.lif2(self.fc(self.squeeze(spk1)), mem2)
            spk3, mem3 = self.lif3(self.out(torch.cat([spk2, last], dim=1) if self.joins else spk2), mem3)
            last = spk2
            spikes.append(spk3)
        return torch.stack(spikes)


def run(model: RandomLoop, raster: np.ndarray) -> dict[str, np.ndarray]:
    """Run snnTorch itself; spikes of each layer as 0 and 1, ``(n_steps, size)``."""
    kept: dict[str, list[np.ndarray]] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, path=path: kept.setdefault(path, []).append(out[0].flatten().numpy()))
        for path, module in model.named_modules()
        if isinstance(module, snn.SpikingNeuron)
    ]
    x = torch.tensor(raster, dtype=torch.float64).reshape(len(raster), 1, *SHAPE)
    with torch.no_grad():
        model.eval()(x.transpose(0, 1) if model.is_batch_first else x)
    for hook in hooks:
        hook.remove()
    return {path: np.stack(counts).astype(np.int64) for path, counts in kept.items()}


@pytest.mark.parametrize("seed", range(40))
def test_random_loops_spike_the_same(seed: int) -> None:
    model = RandomLoop(seed).double()
    network = load(model, input_sizes=[SHAPE])
    raster = np.random.default_rng(seed).poisson(0.7, (60, int(np.prod(SHAPE))))
    wanted = run(model, raster)
    found = simulate_network(network, raster, counts_of=list(wanted)).counts
    assert sum(counts.sum() for counts in wanted.values()) > 50
    assert {path: int((found[path][0] != counts).sum()) for path, counts in wanted.items()} == dict.fromkeys(wanted, 0)


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_networks_of_the_tutorials_are_read_as_they_are_written(name: str) -> None:
    """What was read is run beside forward before it is given back: :mod:`snnmap.frontends.following.trial`."""
    tutorial = TUTORIALS[name]
    torch.manual_seed(0)
    model = tutorial.make()
    if tutorial.refused:
        with pytest.raises(FrontendError, match=tutorial.refused):
            load(model, input_sizes=[tutorial.shape])
    else:
        network = load(model, input_sizes=[tutorial.shape])
        assert [port.size for port in network.inputs] == [int(np.prod(tutorial.shape))]


class Small(nn.Module):
    """A loop whose body is given: it takes layers, the input ``x``, the spikes of the step before and the step ``t``."""

    def __init__(self, body: Callable[[SimpleNamespace], Tensor], n_steps: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.body, self.n_steps = nn.Linear(3, 3), body, n_steps
        self.lif = snn.Leaky(beta=0.8, init_hidden=True, spike_grad=step)
        nn.init.uniform_(self.fc.weight, 0.1, 0.6)

    def forward(self, x: Tensor) -> Tensor:
        last, spikes = torch.zeros(1, 3), []
        for t in range(self.n_steps or x.size(0)):
            last = self.body(SimpleNamespace(fc=self.fc, lif=self.lif, x=x, last=last, t=t))
            spikes.append(last)
        return torch.stack(spikes)


class Returning(Small):
    """Returns what is made of the spikes of all steps, (time, batch, neurons)."""

    def __init__(self, take: Callable[[Tensor], Any]) -> None:
        super().__init__(plain)
        self.take = take
        self.double()

    def forward(self, x: Tensor) -> Any:
        return self.take(super().forward(x))


def plain(s: SimpleNamespace) -> Tensor:
    return s.lif(s.fc(s.x[s.t]))


def give(body: Callable[..., Tensor], **options: object) -> Network:
    return load(Small(body, **options).double())  # type: ignore[arg-type]


def test_spikes_of_the_step_before_are_a_projection_with_a_delay() -> None:
    network = give(lambda s: s.lif(s.fc(s.x[s.t] + 0.5 * s.last)))
    assert [(q.pre, q.delay_steps) for q in network.projections if q.source == "fc"] == [("input", 0), ("lif", 1)]


@pytest.mark.parametrize("n_steps", [5, 7, 300])
def test_a_loop_of_a_fixed_length_is_read(n_steps: int) -> None:
    assert give(plain, n_steps=n_steps).inputs[0].size == 3


def test_an_input_that_is_the_same_in_each_step_is_told() -> None:
    network = give(lambda s: s.lif(s.fc(s.x)), n_steps=6)
    assert network.provenance["steps"].startswith("6 in forward, all with the same input")


def test_what_an_input_spike_stands_for_scales_the_weights() -> None:
    whole, sixteenth = (load(Small(plain).double(), input_scale=scale) for scale in (1.0, 0.0625))
    assert np.array_equal(whole.projections[0].weights.data * 0.0625, sixteenth.projections[0].weights.data)
    assert sixteenth.provenance["input scale"] == "0.0625 a spike"


def test_a_sum_over_the_steps_is_read_as_the_spikes_of_each() -> None:
    class Rate(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).mean(dim=0)

    network = load(Rate(plain).double())
    assert [(port.populations, port.readout) for port in network.outputs] == [(("lif",), "spikes")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda s: s.lif(s.fc(s.x[s.t]) if s.last.sum() > 1 else s.fc(2 * s.x[s.t])), "depends on the values of spikes"),
        (lambda s: s.lif(s.fc(s.x[s.t]) * (1 + s.t)), "something else in one step than in another"),
        (lambda s: s.lif(s.fc(s.x[s.t] * s.last)), "product of spikes or states with each other"),
        (lambda s: s.lif(s.fc(s.x[s.t])[s.x[s.t] > 0].reshape(1, -1)), "depends on the values of spikes"),
        (lambda s: s.lif(s.fc(s.x[s.t])[:, s.x[s.t][0].argsort()]), "depends on the values of spikes"),
        (lambda s: s.lif(s.fc(s.x[min(s.t + 1, len(s.x) - 1)])), "other steps of its input|mixes the samples"),
        (lambda s: s.lif(torch.relu(s.fc(s.x[s.t]))), "operation 'relu' has no counterpart"),
        (lambda s: s.lif(functional.dropout(s.fc(s.x[s.t]), 0.5)), "operation 'dropout' has no counterpart"),
        (lambda s: s.lif((s.lif.mem if s.t else 0) + s.fc(s.x[s.t])), "something else in one step"),
        (lambda s: s.lif(s.fc(s.x[s.t : s.t + 2].sum(0))), "other steps of its input|mixes the samples"),
        (lambda s: s.lif(s.fc(torch.bernoulli(s.x[s.t].clamp(0, 1)))), "operation 'bernoulli'"),
        (lambda s: s.lif(s.lif(s.fc(s.x[s.t]))), "run more often than the input has steps"),
        (lambda s: s.lif(functional.linear(s.x[s.t], torch.ones(3, 4)) + s.fc(s.x[s.t])), "does not fit the size"),
    ],
)  # fmt: skip
def test_what_is_no_step_of_a_network_is_refused(body: Callable[..., Tensor], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        give(body)


def test_what_following_does_not_see_is_found_by_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Following looks at a few steps, the comparison at more: here the weights change after twenty."""

    def body(s: SimpleNamespace) -> Tensor:
        if s.t == 20:
            s.fc.weight.data.mul_(0.5)
        return plain(s)

    with pytest.raises(FrontendError, match="gives other spikes") as caught:
        give(body)
    assert "==" not in caught.value.fix
    monkeypatch.setattr("snnmap.frontends.following.read.version", lambda _: "9.8")
    with pytest.raises(FrontendError, match=r"install snntorch==[\d.]+, as which snnTorch 9.8 is read"):
        give(body)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_no_real_numbers_are_refused_and_short_floats_read() -> None:
    model = Small(plain)
    assert load(model.half()).projections[0].weights.data.tolist() == model.fc.weight.T.double().flatten().tolist()
    with pytest.raises(FrontendError, match="no real numbers") as caught:
        load(model.to(torch.complex64))
    assert (caught.value.where, caught.value.measured) == ("module 'fc'", "weight of torch.complex64")
    with pytest.raises(FrontendError, match=r"(?s)no values.*module 'fc'.*weight"):
        load(Small(plain).to("meta"))
    lost = Small(plain)
    lost.fc.weight.data[0, 0] = torch.nan
    with pytest.raises(FrontendError, match="weights are NaN") as caught:
        load(lost)
    assert (caught.value.where, caught.value.measured) == ("module 'fc'", "weight")
    with pytest.raises(FrontendError, match="no real numbers"):
        load(torch.ao.quantization.quantize_dynamic(Small(plain), {nn.Linear}, dtype=torch.qint8))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input_sizes": 3}, r"input_sizes=\[64\]"),
        ({"input_sizes": ["1x8x8"]}, r"input_sizes=\[64\]"),
        ({"input_sizes": [(0, 8)]}, r"input_sizes=\[64\]"),
        ({"input_sizes": (2, 34, 34)}, r"more sizes than inputs"),
        ({"input_scale": 0}, "input_scale=0.0625"),
        ({"input_scale": "1/15"}, "input_scale=0.0625"),
    ],
)
def test_options_of_inputs_that_are_none_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        load(Small(plain), **options)


@pytest.mark.parametrize(
    "take",
    [
        lambda spikes: (spikes * torch.linspace(0.5, 1, len(spikes))[:, None, None]).sum(dim=0),
        lambda spikes: spikes[3:].sum(dim=0) - spikes[:3].sum(dim=0),
        lambda spikes: spikes[1:] - spikes[:-1],
        lambda spikes: spikes[5:].sum(dim=0),
        lambda spikes: spikes.flip(0),
        lambda spikes: spikes[0],
    ],
)  # fmt: skip
def test_an_output_that_takes_steps_otherwise_than_others_is_refused(take: Callable[[Tensor], Tensor]) -> None:
    model = Returning(take)
    with pytest.raises(FrontendError, match="the spikes of one step otherwise") as caught:
        load(model)
    assert "outputs=['lif']" in caught.value.fix
    assert load(model, outputs=["lif"]).outputs[0].readout == "spikes"


@pytest.mark.parametrize(
    "take",
    [
        lambda spikes: list(spikes),
        lambda spikes: torch.cat(list(spikes), dim=1),
        lambda spikes: torch.stack([spikes[: t + 1].sum(dim=0) for t in range(len(spikes))]),
        lambda spikes: torch.cat([torch.zeros(1, 3), *spikes]).sum(dim=0, keepdim=True) / len(spikes),
        lambda spikes: spikes[-1],
    ],
)  # fmt: skip
def test_an_output_of_all_steps_alike_is_read_as_the_spikes_of_each(take: Callable[[Tensor], object]) -> None:
    network = load(Returning(take))
    assert [(port.populations, port.readout) for port in network.outputs] == [(("lif",), "spikes")]


def test_spikes_that_are_not_all_worth_the_same_are_read_weighted() -> None:
    network = load(Returning(lambda spikes: spikes.sum(dim=0) * torch.tensor([1.0, 5.0, 0.5])))
    (weights,) = (q.weights for q in network.projections if q.post == network.outputs[0].populations[0])
    assert network.outputs[0].readout == "potential"
    assert weights.to_dense().diagonal().tolist() == [1.0, 5.0, 0.5]


class TwoLayers(Small):
    """Returns what is made of the spikes of two layers, of which the second hears the first, (time, batch, neurons) each."""

    def __init__(self, join: Callable[[Tensor, Tensor], object]) -> None:
        super().__init__(plain)
        self.join, self.fc2, self.lif2 = join, nn.Linear(3, 2), snn.Leaky(beta=0.8, init_hidden=True, spike_grad=step)
        self.double()

    def forward(self, x: Tensor) -> object:
        first = super().forward(x)
        return self.join(first, torch.stack([self.lif2(self.fc2(spikes)) for spikes in first]))


@pytest.mark.parametrize(
    ("join", "wanted"),
    [
        (lambda a, b: (a, b), [(("lif2",), "spikes")]),
        (lambda a, b: torch.cat([b, a], dim=2), [(("lif2", "lif"), "spikes")]),
        (lambda a, b: torch.cat([a, b], dim=2), [(("lif", "lif2"), "spikes")]),
        (lambda _, b: functional.pad(b, (1, 0)), [(("readout",), "potential")]),
        (lambda a, b: torch.stack([a[..., :2], b], dim=3).flatten(2), [(("readout",), "potential")]),
    ],
)  # fmt: skip
def test_outputs_keep_their_places(join: Callable[[Tensor, Tensor], object], wanted: list[tuple[tuple[str, ...], str]]) -> None:
    network = load(TwoLayers(join))
    assert [(port.populations, port.readout) for port in network.outputs] == wanted


def write_to_rows(s: SimpleNamespace) -> Tensor:
    current = torch.zeros(1, 3)
    current[0].add_(s.fc(s.x[s.t])[0])
    halves = current[:, :2]
    halves *= 0.5
    return s.lif(current)


def test_what_is_written_through_a_view_is_followed() -> None:
    weights = give(write_to_rows).projections[0].weights.to_dense()
    assert np.array_equal(weights, give(plain).projections[0].weights.to_dense() * [0.5, 0.5, 1.0])


def test_what_all_steps_so_far_gave_is_refused_and_a_long_delay_read() -> None:
    """Both look alike in a short run, and inputs that never rest hide the difference from the comparison."""
    with pytest.raises(FrontendError, match="all steps so far"):
        give(lambda s: s.lif(s.fc(s.x[: s.t + 1].sum(dim=0))))
    late = give(lambda s: s.lif(s.fc(s.x[s.t] + (s.x[s.t - 6] if s.t > 5 else 0))))
    assert sorted(q.delay_steps for q in late.projections if q.source == "fc") == [0, 6]


def test_a_comparison_is_refused_by_its_own_name() -> None:
    with pytest.raises(FrontendError, match="operation 'gt'"):
        give(lambda s: s.lif(s.fc((s.x[s.t] > 0).double())))
    with pytest.raises(FrontendError, match="depends on the values"):
        give(lambda s: s.lif(torch.from_numpy(np.asarray(s.fc(s.x[s.t])))))


def test_states_that_forward_resets_in_each_step_are_no_memory_and_the_users_stay() -> None:
    from snntorch import utils

    class Forgetful(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            utils.reset(self)
            return super().forward(x)

    layers = Small(plain).double()
    layers.lif(torch.ones(1, 3, dtype=torch.float64))
    with pytest.raises(FrontendError, match="gives other spikes"):
        load(Forgetful(layers.fc, layers.lif))
    assert layers.lif.mem.tolist() == [[1.0] * 3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_module_is_read_as_the_module_itself() -> None:
    model = Small(plain).double()
    assert load(torch.compile(model)).provenance == load(model).provenance

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.core.errors import FrontendError
from snnmap.frontends.snntorch import load
from snnmap.network import Network, simulate_network

snn = pytest.importorskip("snntorch")
torch.set_num_threads(1)

KINDS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic", "Alpha")


def step(membrane: torch.Tensor) -> torch.Tensor:
    """snnTorch's own step returns float32, which float64 layers refuse."""
    return (membrane > 0).double()


def random_neurons(rng: np.random.Generator, size: int, **fixed: object) -> nn.Module:
    """Any class with any reset that has a counterpart; parameters for all neurons or one a neuron, learnable or not."""
    kind = str(fixed.pop("kind", rng.choice(KINDS, p=[0.35, 0.2, 0.2, 0.15, 0.1])))

    def draw(low: float, high: float) -> object:
        value = rng.uniform(low, high, size) if rng.random() < 0.5 else rng.uniform(low, high)
        return torch.tensor(value) if np.ndim(value) else float(value)

    options: dict[str, object] = {
        "beta": draw(0.3, 1.05),
        "threshold": draw(0.4, 1.5),
        "reset_mechanism": str(rng.choice(["subtract", "zero", "none"], p=[0.6, 0.25, 0.15])),
        "reset_delay": bool(rng.random() < 0.6),
        "learn_beta": bool(rng.random() < 0.5),
        "learn_threshold": bool(rng.random() < 0.5),
        "init_hidden": True,
        "spike_grad": step,
        **fixed,
    }
    if kind == "Leaky" and rng.random() < 0.4:
        options["graded_spikes_factor"] = torch.tensor(rng.uniform(0.5, 1.5, size))
    if kind in ("RLeaky", "RSynaptic"):
        dense = rng.random() < 0.5
        options |= {"linear_features": size} if dense else {"all_to_all": False, "V": draw(-0.3, 0.4)}
    if kind in ("Synaptic", "RSynaptic"):
        options["alpha"] = draw(0.1, 0.9)
    if kind == "Alpha":
        options |= {"alpha": 0.9, "beta": 0.7, "reset_mechanism": "none", "learn_beta": False}
        options.pop("reset_delay")
    elif kind == "RSynaptic":
        options |= {"reset_delay": True, "reset_mechanism": str(rng.choice(["subtract", "none"]))}
    elif kind != "Leaky" and options["reset_mechanism"] == "zero":
        options["reset_delay"] = False
    return getattr(snn, kind)(**options)


class RandomStep(nn.Module):
    """One step of a random deep network with residual sums and skips from the input."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.n_in, size = int(rng.integers(2, 6)), int(rng.integers(3, 9))
        depth = int(rng.integers(2, 5))
        self.sources = [int(rng.integers(0, k + 1)) for k in range(depth)]
        self.fc = nn.ModuleList(nn.Linear(size if k else self.n_in, size, bias=bool(rng.random() < 0.5)) for k in range(depth))
        self.skip = nn.ModuleList(nn.Linear(self.n_in, size, bias=False) for _ in range(depth))
        self.skips = (rng.random(depth) < 0.3).tolist()
        self.lif = nn.ModuleList(random_neurons(rng, size, **({"output": True} if k == depth - 1 else {})) for k in range(depth))
        for layer in (*self.fc, *self.skip):
            nn.init.uniform_(layer.weight, -0.5, 0.9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes: list[torch.Tensor] = []
        for k, (fc, lif) in enumerate(zip(self.fc, self.lif, strict=True)):
            source = x if k == 0 else spikes[-1]
            if k and self.sources[k] < k - 1:
                source = source + spikes[self.sources[k]]
            current = fc(source)
            if self.skips[k]:
                current = current + self.skip[k](x)
            out = lif(current)
            spikes.append(out[0] if k == len(self.fc) - 1 else out)
        return spikes[-1]


def run_layers(model: nn.Module, raster: np.ndarray, *, n_states: int = 0) -> dict[str, np.ndarray]:
    """Run snnTorch itself step by step and keep each layer's spikes as 0 and 1, ``(n_samples, n_steps, size)``."""
    kept: dict[str, list[np.ndarray]] = {}
    hooks = []
    for path, module in model.named_modules():
        if isinstance(module, snn.SpikingNeuron):

            def keep(module: nn.Module, _: object, out: object, path: str = path) -> None:
                spikes = out[0] if isinstance(out, tuple) else out
                kept.setdefault(path, []).append((spikes != 0).long().numpy())

            hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        states: tuple[torch.Tensor, ...] = tuple(torch.zeros(len(raster), 1) for _ in range(n_states))
        for t in range(raster.shape[1]):
            out = model(torch.tensor(raster[:, t], dtype=torch.float64), *states)
            states = out[1:] if n_states else ()
    for hook in hooks:
        hook.remove()
    return {path: np.stack(counts, axis=1) for path, counts in kept.items()}


def assert_same_spikes(model: nn.Module, n_in: int, *, n_steps: int = 200, seed: int = 0, n_states: int = 0) -> Network:
    network = load(model, input_sizes=[n_in])
    raster = np.random.default_rng(seed).poisson(0.6, (2, n_steps, n_in))
    expected = run_layers(model, raster, n_states=n_states)
    run = simulate_network(network, raster, counts_of=list(expected))
    for path, counts in expected.items():
        assert np.array_equal(run.counts[path], counts), path
    assert sum(int(counts.sum()) for counts in expected.values()) > 0
    return network


@pytest.mark.parametrize("seed", range(60))
def test_every_layer_spikes_the_same(seed: int) -> None:
    model = RandomStep(seed).double().eval()
    assert_same_spikes(model, model.n_in, seed=seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1000, 1500))
def test_every_layer_spikes_the_same_in_many_networks(seed: int) -> None:
    model = RandomStep(seed).double().eval()
    assert_same_spikes(model, model.n_in, seed=seed)


@pytest.mark.parametrize("overshoot", ["exact", "ignore"])
def test_a_membrane_above_the_threshold_after_its_reset(overshoot: str) -> None:
    """With reset_delay=False, snnTorch then asks for twice the threshold: a second population watches for it."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), snn.Leaky(beta=0.9, init_hidden=True, reset_delay=False, spike_grad=step))
    model[0].weight.data.fill_(0.7)
    raster = np.random.default_rng(0).poisson(1.5, (1, 200, 1))
    model = model.double()
    expected = run_layers(model, raster)["1"]
    network = load(model, overshoot=overshoot)
    counts = simulate_network(network, raster).counts["1"]
    assert np.array_equal(counts, expected) is (overshoot == "exact")
    assert [p.name for p in network.populations] == (["1", "1.above"] if overshoot == "exact" else ["1"])
    assert network.provenance["overshoot"] == overshoot


@pytest.mark.parametrize("reset", ["subtract", "none"])
@pytest.mark.parametrize("delay", [True, False])
def test_a_membrane_exactly_at_the_threshold_does_not_fire(reset: str, delay: bool) -> None:
    """On a dyadic grid all sums are exact and ties are common."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 16), snn.Leaky(beta=0.5, init_hidden=True, reset_mechanism=reset, reset_delay=delay, spike_grad=step)
    )
    for parameter in model[0].parameters():
        parameter.data = torch.randint(-4, 6, parameter.shape) / 4.0
    assert_same_spikes(model.double(), 3)


class Explicit(nn.Module):
    """States as arguments of forward, as snnTorch's tutorials have them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = snn.Leaky(beta=0.8, spike_grad=step)
        self.b = snn.Synaptic(alpha=0.6, beta=0.7, spike_grad=step)
        self.c = snn.RLeaky(beta=0.9, linear_features=4, spike_grad=step)
        self.d = snn.RSynaptic(alpha=0.5, beta=0.6, all_to_all=False, V=-0.2, spike_grad=step)
        self.e = snn.Alpha(alpha=0.9, beta=0.6, reset_mechanism="none", spike_grad=step)
        self.fc = nn.ModuleList(nn.Linear(n, 4) for n in (3, 4, 4, 4, 4))
        for layer in self.fc:
            nn.init.uniform_(layer.weight, -0.3, 0.9)

    def forward(self, x, mem_a, syn_b, mem_b, spk_c, mem_c, spk_d, syn_d, mem_d, exc, inh, mem_e):
        spk_a, mem_a = self.a(self.fc[0](x), mem_a)
        spk_b, syn_b, mem_b = self.b(self.fc[1](spk_a), syn_b, mem=mem_b)
        spk_c, mem_c = self.c(self.fc[2](spk_b) + self.fc[4](spk_a), spk_c, mem_c)
        spk_d, syn_d, mem_d = self.d(self.fc[3](spk_c), spk_d, syn_d, mem_d)
        spk_e, exc, inh, mem_e = self.e(spk_d, exc, inh, mem_e)
        return spk_e, mem_a, syn_b, mem_b, spk_c, mem_c, spk_d, syn_d, mem_d, exc, inh, mem_e


def test_states_may_be_arguments_of_forward() -> None:
    torch.manual_seed(1)
    network = assert_same_spikes(Explicit().double(), 3, n_states=11)
    assert [port.name for port in network.inputs] == ["input"]
    assert [port.populations for port in network.outputs] == [("e",)]
    assert {p.source for p in network.populations} == set("abcde")
    recurrent = next(q for q in network.projections if q.pre == q.post == "c" and q.weights.nnz == 16)
    assert (recurrent.delay_steps, recurrent.source) == (1, "c")


def sequence(*neurons: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), *neurons)


def test_float32_modules_and_layers_alone_are_read() -> None:
    """The layers of a model whose forward loops over time, with states that snnTorch hands out."""
    layers = sequence(
        snn.Leaky(beta=1.7, threshold=torch.tensor([0.5, 1.0, 1.5, 2.0])), nn.Dropout(), nn.Linear(4, 2), snn.Leaky(beta=0.9)
    )
    network = load(layers)
    first = network.population("1")
    assert first.beta.tolist() == [1.0] * 4
    assert first.threshold.tolist() == np.nextafter([0.5, 1.0, 1.5, 2.0], np.inf).tolist()
    assert first.bias.tolist() == layers[0].bias.tolist()
    assert network.outputs[0].populations == ("4",)
    assert not [q for q in network.projections if q.pre == q.post == "1"]  # beta 1: nothing of the reset decays
    back = next(q for q in network.projections if q.pre == q.post == "4")
    beta = float(torch.tensor(0.9))
    assert back.weights.to_dense().tolist() == [[beta - 1.0, 0.0], [0.0, beta - 1.0]]


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_neurons_that_never_fire_have_no_reset(reset: str) -> None:
    network = load(sequence(snn.Leaky(beta=0.9, threshold=np.inf, reset_mechanism=reset)))
    assert [q.source for q in network.projections] == ["0"]
    assert network.populations[0].threshold.tolist() == [np.inf] * 4


def test_graded_spikes_scale_the_weights_behind_them() -> None:
    grade = torch.tensor([2.0, 1.0, 0.5, 1.0])
    model = sequence(snn.Leaky(beta=0.9, graded_spikes_factor=grade, init_hidden=True), nn.Linear(4, 2), snn.Leaky(beta=0.9))
    weights = next(q for q in load(model).projections if q.pre == "1" and q.post == "3").weights.to_dense()
    assert np.array_equal(weights, grade.numpy()[:, np.newaxis] * model[2].weight.detach().numpy().T.astype(np.float64))


class Readout(nn.Module):
    """Returns membranes alone: the last one is read, the first is a state."""

    def __init__(self, reset: str) -> None:
        super().__init__()
        self.fc1, self.lif1, self.fc2 = nn.Linear(3, 4), snn.Leaky(beta=0.8, spike_grad=step), nn.Linear(4, 2)
        self.lif2 = snn.Leaky(beta=0.9, reset_mechanism=reset, spike_grad=step)

    def forward(self, x: torch.Tensor, mem1: torch.Tensor, mem2: torch.Tensor) -> dict[str, torch.Tensor]:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        _, mem2 = self.lif2(self.fc2(spk1), mem2)
        return {"mem1": mem1, "mem2": mem2}


def test_a_readout_without_reset_is_read_by_potential() -> None:
    torch.manual_seed(0)
    model = Readout("none").double()
    network = load(model)
    assert [(port.populations, port.readout) for port in network.outputs] == [(("lif2",), "potential")]
    raster = np.random.default_rng(0).poisson(1.0, (1, 50, 3))
    expected, states = [], {"mem1": torch.zeros(1, 4).double(), "mem2": torch.zeros(1, 2).double()}
    for counts in raster[0]:
        states = model(torch.tensor(counts[np.newaxis]).double(), **states)
        expected.append(states["mem2"].detach().numpy()[0])
    found = simulate_network(network, raster, states_of=["lif2"]).potentials["lif2"][0]
    assert np.allclose(found, expected, rtol=1e-12)
    with pytest.raises(FrontendError, match="membrane of neurons is read that reset"):
        load(Readout("subtract"))


def test_which_neurons_are_read_can_be_said() -> None:
    model = sequence(snn.Leaky(beta=0.9), nn.Linear(4, 2), snn.Leaky(beta=0.9))
    assert [port.populations for port in load(model, outputs=["1", "3"]).outputs] == [("1",), ("3",)]
    with pytest.raises(FrontendError, match="not one of the neurons"):
        load(model, outputs=["2"])


def test_names_provenance_and_the_module_itself() -> None:
    model = RandomStep(3).double()
    raster = np.random.default_rng(0).poisson(1.0, (1, 3, model.n_in))
    run_layers(model, raster)
    before = {key: value.clone() for key, value in (*model.state_dict().items(), *model.named_buffers())}
    attributes = set(vars(model))
    network = load(model, name="mine", dt=1e-3)
    after = dict((*model.state_dict().items(), *model.named_buffers()))
    assert (network.name, network.dt_s) == ("mine", 1e-3)
    assert network.provenance["framework"].startswith("snntorch ")
    assert network.provenance["dt"] == "0.001 s"
    assert set(vars(model)) == attributes
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert load(snn.Leaky(beta=0.5), input_sizes=[3]).populations[0].size == 3


class StateInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(3, 2), snn.Leaky(beta=0.9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif(self.fc(x), self.lif.reset_mem())[0]


class SharedState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif1, self.lif2 = nn.Linear(3, 3), snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def forward(self, x: torch.Tensor, mem: torch.Tensor) -> torch.Tensor:
        return self.lif2(self.lif1(self.fc(x), mem)[0], mem)[0]


def changed_reset() -> nn.Module:
    neurons = snn.Leaky(beta=0.9)
    neurons.reset_mechanism = "zero"
    return neurons


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (StateInside, "(?s)state 'mem' is made.*argument of forward"),
        (SharedState, "argument 'mem' of forward is used twice"),
        (lambda: sequence(nn.ReLU()), "module ReLU has no counterpart"),
        (lambda: sequence(snn.Lapicque(beta=0.9)), "module Lapicque"),
        (lambda: sequence(nn.Tanh(), snn.Leaky(beta=0.9)), "module Tanh has no counterpart"),
        (lambda: sequence(), "has no neurons"),
        (lambda: sequence(snn.Leaky(beta=torch.ones(3))), "'beta' does not fit"),
        (lambda: sequence(snn.Leaky(beta=0.9, threshold=-1.0)), "threshold is negative"),
        (lambda: sequence(snn.Leaky(beta=0.9, state_quant=lambda x: x)), "state_quant"),
        (lambda: sequence(snn.Leaky(beta=0.9, spike_grad=lambda x: x)), "not a step at the threshold"),
        (lambda: sequence(changed_reset()), "changed after the module was built"),
        (lambda: sequence(snn.Alpha(alpha=0.9, beta=0.8)), "reset of snnTorch's Alpha"),
        (lambda: sequence(snn.Synaptic(alpha=0.9, beta=0.8, reset_mechanism="zero")), "drops the input of the step after"),
        (lambda: sequence(snn.RLeaky(beta=0.8, linear_features=4, reset_mechanism="zero")), "drops the input"),
        (lambda: sequence(snn.RLeaky(beta=0.8, linear_features=5)), "recurrent weights do not fit"),
        (lambda: sequence(snn.RLeaky(beta=0.8, conv2d_channels=1, kernel_size=3)), "recurrent layer is not linear"),
        (lambda: sequence(snn.RSynaptic(alpha=0.9, beta=0.8, all_to_all=False, reset_delay=False)), "does not apply reset_delay"),
    ],
)
def test_what_has_no_counterpart_is_named(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make())


def test_inhibition_and_unknown_sizes_are_refused() -> None:
    with pytest.warns(UserWarning, match="Inhibition"):
        model = sequence(snn.Leaky(beta=0.9, inhibition=True))
    with pytest.raises(FrontendError, match=r"(?s)strongest neuron.*module '1'.*RLeaky"):
        load(model)
    with pytest.raises(FrontendError, match="number of neurons is unknown"):
        load(snn.Leaky(beta=0.9))
    with pytest.raises(FrontendError, match="unknown choice of overshoot"):
        load(snn.Leaky(beta=0.9), overshoot="maybe")  # type: ignore[arg-type]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "snntorch", None)
    with pytest.raises(FrontendError, match=r"snnmap\[snntorch\]"):
        load(nn.Sequential())

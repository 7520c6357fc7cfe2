"""One module of neurons used twice, means over the steps, and steps in another order: as the frameworks themselves run them."""

import collections
import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnmap
from snnmap.core.errors import FrontendError
from snnmap.network import Network, simulate_network

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")

N_IN, N_MID, N_OUT, N_STEPS = 6, 20, 2, 40


def jelly(name: str) -> Any:
    pytest.importorskip("spikingjelly")
    return importlib.import_module(f"spikingjelly.activation_based.{name}")


def step(membrane: Tensor) -> Tensor:
    return (membrane > 0).double()


def leaky(**options: Any) -> nn.Module:
    return pytest.importorskip("snntorch").Leaky(beta=0.875, spike_grad=step, **options)


def widen(layer: nn.Linear, most: float = 0.7) -> nn.Linear:
    nn.init.uniform_(layer.weight, -0.4, most)
    return layer


class Twins(nn.Module):
    """One encoder for two inputs, over all steps of one and then of the other, and neurons that hear both."""

    def __init__(self, seed: int, *, is_hidden: bool, is_reset: bool = True) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.fc, self.lif = widen(nn.Linear(N_IN, N_MID)), leaky(init_hidden=is_hidden)
        self.out, self.last = widen(nn.Linear(2 * N_MID, 4 * N_OUT), 0.45), leaky()
        self.is_hidden, self.is_reset = is_hidden, is_reset

    def encode(self, x: Tensor) -> Tensor:
        mem = self.lif.reset_mem() if self.is_reset else None
        spikes = []
        for now in x:
            given = self.lif(self.fc(now)) if self.is_hidden else self.lif(self.fc(now), mem)
            spk, mem = (given, None) if self.is_hidden else given
            spikes.append(spk)
        return torch.stack(spikes)

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        both = torch.cat([self.encode(one), self.encode(two)], dim=-1)
        mem, spikes = self.last.reset_mem(), []
        for now in both:
            spk, mem = self.last(self.out(now), mem)
            spikes.append(spk)
        return torch.stack(spikes)


def draw(seed: int, rate: float = 0.8) -> np.ndarray:
    return np.random.default_rng(seed).poisson(rate, (N_STEPS, N_IN))


def to_batch(raster: np.ndarray) -> Tensor:
    return torch.tensor(raster, dtype=torch.float64)[:, None]


def read_spikes(network: Network, rasters: Any) -> np.ndarray:
    (port,) = network.outputs
    return simulate_network(network, rasters).counts[port.populations[0]][0]


def read_potentials(network: Network, raster: np.ndarray) -> np.ndarray:
    (port,) = network.outputs
    assert port.readout == "potential"
    return simulate_network(network, raster, states_of=port.populations).potentials[port.populations[0]][0]


@pytest.mark.parametrize("is_hidden", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_an_encoder_of_two_inputs_is_a_population_for_each(seed: int, is_hidden: bool) -> None:
    model = Twins(seed, is_hidden=is_hidden).double()
    network = snnmap.load(model, input_sizes=[N_IN, N_IN])
    assert [p.name for p in network.populations if p.source == "lif" and not p.name.endswith(".above")] == ["lif", "lif_2"]
    one, two = draw(seed), draw(seed + 100)
    with torch.no_grad():
        wanted = model(to_batch(one), to_batch(two))[:, 0].numpy()
    assert 0.02 < wanted.mean() < 0.98
    assert np.array_equal(read_spikes(network, {"one": one, "two": two}), wanted)


@pytest.mark.parametrize("seed", range(4))
def test_spikingjellys_encoder_that_is_reset_between_two_inputs(seed: int) -> None:
    neuron, layer, functional = (jelly(name) for name in ("neuron", "layer", "functional"))

    class Pair(nn.Module):
        def __init__(self, is_reset: bool) -> None:
            super().__init__()
            torch.manual_seed(seed)
            self.is_reset = is_reset
            options = {"v_reset": None} if seed % 2 else {"decay_input": False}
            self.encoder = nn.Sequential(widen(layer.Linear(N_IN, N_MID)), neuron.LIFNode(**options))
            self.out, self.last = widen(layer.Linear(2 * N_MID, 4 * N_OUT), 0.45), neuron.IFNode()
            functional.set_step_mode(self, "m")

        def forward(self, one: Tensor, two: Tensor) -> Tensor:
            first = self.encoder(one)
            if self.is_reset:
                functional.reset_net(self.encoder)
            return self.last(self.out(torch.cat([first, self.encoder(two)], dim=-1)))

    model = Pair(True).double()
    network = snnmap.load(model, input_sizes=[N_IN, N_IN])
    one, two = draw(seed, 2.0), draw(seed + 100, 2.0)
    functional.reset_net(model)
    with torch.no_grad():
        wanted = model(to_batch(one), to_batch(two))[:, 0].double().numpy()
    assert 0.02 < wanted.mean() < 0.98
    assert np.array_equal(read_spikes(network, {"one": one, "two": two}), wanted)
    with pytest.raises(FrontendError, match=r"(?s)more often than the input has steps.*encoder.1.*call reset\(\) before"):
        snnmap.load(Pair(False), input_sizes=[N_IN, N_IN])


def test_a_memory_that_a_second_run_goes_on_with_is_told() -> None:
    with pytest.raises(FrontendError, match=r"(?s)more often than the input has steps.*'lif'.*call reset_mem\(\) before"):
        snnmap.load(Twins(0, is_hidden=True, is_reset=False), input_sizes=[N_IN, N_IN])


class Forgetful(Twins):
    """Resets its neurons before each step."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        spikes = []
        for now in x:
            self.lif.reset_mem()
            spikes.append(self.lif(self.fc(now)))
        return torch.stack(spikes)


def test_a_reset_in_every_step_is_told() -> None:
    with pytest.raises(FrontendError, match="resets its neurons in every step"):
        snnmap.load(Forgetful(0, is_hidden=True), input_sizes=[N_IN])


class Ending(nn.Module):
    """Neurons over all steps, and an end that takes their spikes, (time, batch, neurons)."""

    def __init__(self, end: Callable[["Ending", Tensor], Tensor], start: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.end, self.start = end, start
        self.fc, self.lif, self.out = widen(nn.Linear(N_IN, N_MID)), leaky(), nn.Linear(N_MID, N_OUT)

    def forward(self, x: Tensor) -> Tensor:
        mem, spikes = self.lif.reset_mem(), []
        for now in self.start(x):
            spk, mem = self.lif(self.fc(now), mem)
            spikes.append(spk)
        return self.end(self, torch.stack(spikes))


MEANS: list[Callable[[Ending, Tensor], Tensor]] = [
    lambda s, spikes: s.out(spikes.mean(0)),
    lambda s, spikes: s.out(spikes).mean(0),
    lambda s, spikes: s.out(spikes.sum(0) / len(spikes)),
    lambda s, spikes: sum(s.out(spk) for spk in spikes) / spikes.shape[0],
    lambda s, spikes: torch.stack([s.out(spikes[: t + 1].mean(0)) for t in range(len(spikes))])[-1],
    lambda _, spikes: nn.functional.avg_pool1d(spikes, 10).mean(0),
]


@pytest.mark.parametrize("end", MEANS)
def test_a_linear_map_of_the_mean_over_the_steps_is_the_mean_of_its_potentials(end: Callable[[Ending, Tensor], Tensor]) -> None:
    model = Ending(end).double()
    network = snnmap.load(model, input_sizes=[N_IN])
    raster = draw(0)
    with torch.no_grad():
        wanted = model(to_batch(raster))[0].numpy()
    found = read_potentials(network, raster)
    assert np.abs(wanted).max() > 0.1
    assert np.allclose(found.mean(axis=0), wanted, rtol=1e-12)
    assert not np.allclose(found[-1], wanted, rtol=1e-3)
    assert network.provenance["outputs"] == "forward returns the mean over the steps of what is read: decision='mean'"


def test_a_mean_has_the_weights_of_its_layer_bit_for_bit() -> None:
    model = Ending(MEANS[0]).double()
    network = snnmap.load(model, input_sizes=[N_IN])
    (weights,) = (q.weights for q in network.projections if q.post == "out")
    assert np.array_equal(weights.to_dense(), model.out.weight.detach().numpy().T)
    assert np.array_equal(network.population("out").bias, model.out.bias.detach().numpy())


@pytest.mark.parametrize("n_steps", [None, 5])
def test_a_sum_of_what_a_layer_gives_in_each_step(n_steps: int | None) -> None:
    model = Ending(lambda s, spikes: s.out(spikes).sum(0), lambda x: x[:n_steps]).double()
    network = snnmap.load(model, input_sizes=[N_IN])
    raster = draw(0)
    with torch.no_grad():
        wanted = model(to_batch(raster))[0].numpy()
    found = read_potentials(network, raster)[:n_steps]
    assert np.allclose(found.mean(axis=0) if n_steps else found.sum(axis=0), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "end",
    [
        lambda s, spikes: s.out(spikes.sum(0)),
        lambda s, spikes: s.out(spikes.mean(0)) + s.out(spikes.sum(0)),
        lambda s, spikes: s.out(spikes.sum(0) / len(spikes) ** 0.5),
    ],
)  # fmt: skip
def test_a_bias_that_is_not_of_each_step_is_refused(end: Callable[[Ending, Tensor], Tensor]) -> None:
    with pytest.raises(FrontendError, match="a bias that is not of each step"):
        snnmap.load(Ending(end), input_sizes=[N_IN])


def test_a_softmax_at_the_end_is_refused_with_what_to_return() -> None:
    with pytest.raises(FrontendError, match=r"(?s)'softmax'.*return the values before it"):
        snnmap.load(Ending(lambda s, spikes: s.out(spikes.mean(0)).softmax(-1)), input_sizes=[N_IN])


@pytest.mark.parametrize(
    ("start", "what", "fix"),
    [
        (lambda x: x.flip(0), "the steps in reverse", "flip the raster before you give it"),
        (lambda x: x[2:], "later steps", r"cut the raster, raster\[2:\]"),
        (lambda x: x[::3], "not all steps", r"thin the raster out, raster\[::3\]"),
        (lambda x: x[1::2], "not all steps", r"thin the raster out, raster\[1::2\]"),
        (lambda x: x.roll(1, 0), "other steps", "in the order in which forward needs"),
        (lambda x: x[1:] - x[:-1], "other steps", "in the order in which forward needs"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_batch_first", [False, True])
def test_other_steps_of_the_input_are_named(start: Callable[[Tensor], Tensor], what: str, fix: str, is_batch_first: bool) -> None:
    turn = (lambda x: start(x.transpose(0, 1))) if is_batch_first else start
    with pytest.raises(FrontendError, match=rf"(?s)forward takes {what} of its input 'x'.*{fix}"):
        snnmap.load(Ending(lambda _, spikes: spikes, turn), input_sizes=[N_IN])


@pytest.mark.parametrize("threshold", [float("inf"), 1e9])
@pytest.mark.parametrize(
    ("mode", "take"),
    [
        ("m", lambda neurons: neurons.v_seq),
        ("m", lambda neurons: neurons.v),
        ("m", lambda neurons: neurons.v_seq[-1]),
        ("m", lambda neurons: neurons.v_seq.mean(0)),
        ("s", lambda neurons: neurons.v),
        ("s", lambda neurons: neurons.v_seq),
    ],
)  # fmt: skip
def test_membranes_that_spikingjellys_neurons_keep_are_read(mode: str, take: Callable[[Any], Tensor], threshold: float) -> None:
    neuron, layer, functional = (jelly(name) for name in ("neuron", "layer", "functional"))

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body = nn.Sequential(widen(layer.Linear(N_IN, N_MID)), neuron.LIFNode(), layer.Linear(N_MID, N_OUT))
            self.last = neuron.LIFNode(v_threshold=threshold, store_v_seq=True)
            functional.set_step_mode(self, mode)

        def forward(self, x: Tensor) -> Tensor:
            if mode == "m":
                self.last(self.body(x))
            else:
                for now in x:
                    self.last(self.body(now))
            return take(self.last)

    model = Kept().double()
    network = snnmap.load(model, input_sizes=[N_IN])
    raster = draw(0, 2.0)
    functional.reset_net(model)
    with torch.no_grad():
        model(to_batch(raster))
        wanted = model.last.v_seq[-N_STEPS:, 0].numpy()
    assert np.abs(wanted).max() > 0.1
    assert np.allclose(read_potentials(network, raster), wanted, rtol=1e-9, atol=1e-12)


def test_membranes_of_spikingjellys_neurons_that_fire_are_refused() -> None:
    neuron = jelly("neuron")

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(N_IN, N_OUT), neuron.LIFNode(step_mode="m", store_v_seq=True)

        def forward(self, x: Tensor) -> Tensor:
            self.lif(self.fc(x))
            return self.lif.v_seq

    with pytest.raises(FrontendError, match="the membrane of neurons is read that reset"):
        snnmap.load(Kept())


class Average(nn.Module):
    """Keeps what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.kept = 0.5 * self.kept + x
        return self.kept


class Handed(nn.Module):
    """Hands on what it got, as a state."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept = x if state is None else 0.5 * state + x
        return kept, kept


@pytest.mark.parametrize("package", ["snntorch", "norse", "spikingjelly"])
@pytest.mark.parametrize("is_weighed", [False, True])
def test_a_memory_behind_the_last_neurons_is_refused(package: str, *, is_weighed: bool) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(N_IN, N_OUT)] if is_weighed else []
    if package == "norse":
        norse = pytest.importorskip("norse.torch")
        models = [
            norse.SequentialState(widen(nn.Linear(N_IN, N_IN)), norse.LIFBoxCell(), *layers, last)
            for last in (Average(), Handed())
        ]
    elif package == "snntorch":
        models = [nn.Sequential(widen(nn.Linear(N_IN, N_IN)), leaky(init_hidden=True), *layers, Average())]
    else:
        node, filtered = jelly("neuron").IFNode(), jelly("layer").SynapseFilter(tau=5.0)
        models = [nn.Sequential(widen(nn.Linear(N_IN, N_IN)), node, *layers, filtered)]
    for model in models:
        with pytest.raises(FrontendError, match="keeps values from step to step"):
            snnmap.load(model)
        assert snnmap.load(model[:-1] if package != "norse" else type(model)(*list(model)[:-1]))


def fire_at(package: str, threshold: float) -> nn.Module:
    if package == "spikingjelly":
        return jelly("neuron").IFNode(v_threshold=threshold)
    return leaky(init_hidden=True, threshold=threshold)


@pytest.mark.parametrize(("first", "last"), [(1.0, 1e3), (1e6, 1.0)])
@pytest.mark.parametrize("package", ["snntorch", "spikingjelly"])
def test_a_memory_between_neurons_is_refused_though_some_are_silent(package: str, first: float, last: float) -> None:
    """Those behind it, or those in front, of which outputs show nothing unless spikes are put in the place of their own."""
    torch.manual_seed(0)
    neurons = fire_at(package, first), fire_at(package, last)
    layers = [widen(nn.Linear(N_IN, N_IN)), neurons[0], Average(), widen(nn.Linear(N_IN, N_OUT)), neurons[1]]
    with pytest.raises(FrontendError, match=r"keeps values from step to step[^|]*what module '4' takes"):
        snnmap.load(nn.Sequential(*layers))
    assert snnmap.load(nn.Sequential(*layers[:2], *layers[3:]))


class Unrolled(nn.Module):
    """Takes the first side of what it gets for time."""

    def __init__(self, is_mean: bool) -> None:
        super().__init__()
        self.is_mean = is_mean

    def forward(self, x: Tensor) -> Any:
        kept, found = torch.zeros_like(x[0]), []
        for now in x:
            kept = kept / 2 + now
            found.append(kept)
        return torch.stack(found).mean(dim=0) if self.is_mean else found


@pytest.mark.parametrize("is_mean", [False, True])
def test_outputs_that_mix_samples_are_refused(*, is_mean: bool) -> None:
    layers = [widen(nn.Linear(N_IN, N_IN)), jelly("neuron").IFNode(), Unrolled(is_mean)]
    with pytest.raises(FrontendError, match=r"mixes the samples of its batch[^|]*set_step_mode\(net, 'm'\)"):
        snnmap.load(nn.Sequential(*layers))


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("kind", ["IFNode", "LIFNode"])
def test_spikingjellys_neurons_without_spikes_are_refused_and_their_fix_gives_what_they_give(kind: str, mode: str) -> None:
    neuron, functional = jelly("neuron"), jelly("functional")
    torch.manual_seed(0)
    fc, plain = widen(nn.Linear(N_IN, N_OUT)), getattr(neuron, f"NonSpiking{kind}")()
    body = nn.Sequential(fc, plain).double()
    functional.set_step_mode(body, mode)
    with pytest.raises(FrontendError, match=rf"use {kind}\(v_threshold=1e9, store_v_seq=True\)"):
        snnmap.load(body)

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = fc, getattr(neuron, kind)(v_threshold=1e9, store_v_seq=True)

        def forward(self, x: Tensor) -> Tensor:
            self.out(self.fc(x))
            return self.out.v_seq if mode == "m" else self.out.v

    fixed = Fixed()
    functional.set_step_mode(fixed, mode)
    raster = draw(1)
    with torch.no_grad():
        wanted = torch.stack(list(plain(fc(to_batch(raster)))))[:, 0].numpy()
    assert np.allclose(read_potentials(snnmap.load(fixed), raster), wanted)


@pytest.mark.parametrize("kind", ["GatedLIFNode", "SlidingPSN"])
def test_spikingjellys_other_neurons_are_named(kind: str) -> None:
    made = getattr(jelly("neuron"), kind)(**{"GatedLIFNode": {"T": 4}, "SlidingPSN": {"k": 2}}[kind])
    with pytest.raises(FrontendError, match=f"module {kind} has no counterpart"):
        snnmap.load(nn.Sequential(nn.Linear(N_IN, N_OUT), made))


def test_norses_linear_cell_is_refused_and_its_fix_gives_what_it_gives() -> None:
    norse = pytest.importorskip("norse.torch")
    torch.manual_seed(0)
    cell = norse.LILinearCell(N_IN, N_OUT).double()
    with pytest.raises(FrontendError, match=r"LILinearCell has no counterpart[^|]*use Linear\(..., bias=False\)"):
        snnmap.load(norse.SequentialState(widen(nn.Linear(N_IN, N_IN)), norse.LIFBoxCell(), cell))
    fc = nn.Linear(N_IN, N_OUT, bias=False)
    fc.weight = cell.input_weights
    raster, state, wanted = draw(0), None, []
    for now in to_batch(raster):
        out, state = cell(now, state)
        wanted.append(out.detach())
    found = read_potentials(snnmap.load(norse.SequentialState(fc, norse.LICell())), raster)
    assert np.allclose(found, torch.cat(wanted).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_a_chip_of_one_spike_a_step_takes_norses_synapses_without_constants(*, bias: bool) -> None:
    """A bias in front of a synapse is a neuron that fires in every step: of the others' reset, and inputs wait for it."""
    norse = pytest.importorskip("norse.torch")
    torch.manual_seed(0)
    layers = [widen(nn.Linear(*sizes, bias=bias)) for sizes in ((N_IN, N_MID), (N_MID, N_OUT))]
    model = norse.SequentialState(layers[0], norse.LIFCell(), layers[1], norse.LICell())
    found = snnmap.check_model(snnmap.load(model), "generic-1024-factor").report
    assert [(one.rule, "without a bias" in one.fix) for one in found.errors] == [("SNN302", True)] * bias


class Late(nn.Module):
    """Hands on what it gets, and from some step on something else."""

    def __init__(self, first: int, *, is_kept: bool) -> None:
        super().__init__()
        self.first = first if is_kept else 0
        self.forget()

    def forget(self) -> None:
        self.kept: list[Tensor] = []
        self.step = 0

    def forward(self, x: Tensor) -> Tensor:
        self.step += 1
        if self.first:
            return x if self.step <= self.first else 2 * x
        return x if self.step < 300 else 0 * x


class DelayLine(nn.Module):
    """Gives what it got some steps before, on top of what it gets."""

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.past: Any = collections.deque(maxlen=n_steps)

    def forward(self, x: Tensor) -> Tensor:
        before = self.past[0] if len(self.past) == self.past.maxlen else torch.zeros_like(x)
        self.past.append(x)
        return x + before


@pytest.mark.parametrize("between", [lambda: Late(40, is_kept=True), lambda: Late(0, is_kept=False), lambda: DelayLine(70)])
def test_what_shows_only_after_as_many_steps_as_the_code_says_is_refused(between: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    layers = [widen(nn.Linear(N_IN, N_IN)), leaky(init_hidden=True), between(), widen(nn.Linear(N_IN, N_OUT))]
    with pytest.raises(FrontendError, match="keeps values from step to step"):
        snnmap.load(nn.Sequential(*layers, leaky(init_hidden=True)))


class Loop(nn.Module):
    """A loop over the steps of x, in which one does something else."""

    def __init__(self, other: int) -> None:
        super().__init__()
        self.fc, self.lif, self.other = widen(nn.Linear(N_IN, N_OUT)), leaky(), other

    def forward(self, x: Tensor) -> Tensor:
        mem, spikes = self.lif.reset_mem(), []
        for step, now in enumerate(x):
            spk, mem = self.lif(self.fc(now) * (3.0 if step == self.other else 1.0), mem)
            spikes.append(spk)
        return torch.stack(spikes)


def test_a_branch_on_a_late_step_of_a_loop_is_seen() -> None:
    torch.manual_seed(0)
    with pytest.raises(FrontendError, match="other spikes than what was read"):
        snnmap.load(Loop(77))
    assert snnmap.load(Loop(-1))


def test_a_trial_that_is_shorter_than_the_numbers_of_the_code_is_told() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(widen(nn.Linear(N_IN, N_OUT)), leaky(init_hidden=True), Late(90_000, is_kept=True))
    assert "numbers up to 90002" in snnmap.load(model).provenance["trial"]


NEURONS = {
    "Leaky": "snntorch",
    "LIFBoxCell": "norse.torch",
    "LIF": "sinabs.layers",
    "LIFNode": "spikingjelly.activation_based.neuron",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "Leaky": {"beta": 0.875, "init_hidden": True, "spike_grad": step},
    "LIF": {"tau_mem": 8.0},
}


def find_class(name: str) -> Any:
    """Return a class of neurons of one of the frameworks."""
    pytest.importorskip(NEURONS[name].partition(".")[0])
    return getattr(importlib.import_module(NEURONS[name]), name)


def make_sub(name: str, base: Any, **changes: Any) -> nn.Module:
    """Return neurons of a subclass with a constructor and a method of its own."""

    def start(self: Any) -> None:
        base.__init__(self, **OPTIONS.get(name, {}))
        self.note = 3

    own = {"__init__": start, "describe": lambda _: "mine", "__doc__": "Mine.", **changes}
    made: nn.Module = type("Mine", (base,), own)()
    return made


def holder(name: str, neurons: nn.Module) -> nn.Module:
    layers = [widen(nn.Linear(N_IN, N_OUT)), neurons]
    return importlib.import_module("norse.torch").SequentialState(*layers) if name == "LIFBoxCell" else nn.Sequential(*layers)


@pytest.mark.parametrize("name", NEURONS)
def test_a_subclass_that_computes_as_its_class_is_read_as_it(name: str) -> None:
    base = find_class(name)
    torch.manual_seed(0)
    model = holder(name, make_sub(name, base))
    torch.manual_seed(0)
    plain = holder(name, base(**OPTIONS.get(name, {})))
    found, wanted = (replace(snnmap.load(one), name="one", provenance={}) for one in (model, plain))
    assert found == wanted
    assert read_spikes(found, draw(0)[None]).any()


@pytest.mark.parametrize("name", NEURONS)
def test_a_subclass_that_computes_otherwise_is_refused_by_the_name_of_what_it_replaces(name: str) -> None:
    base = find_class(name)
    own = next(one for one in ("fire", "single_step_forward", "initial_state", "alpha_mem_calculated") if hasattr(base, one))
    for changes in ({own: lambda *_: 0}, {"forward": lambda self, *given: base.forward(self, *given)}):
        with pytest.raises(FrontendError, match=rf"Mine computes otherwise than {name}: it has {next(iter(changes))} of its own"):
            snnmap.load(holder(name, make_sub(name, base, **changes)))


def test_norses_reset_by_subtraction_is_read() -> None:
    norse, reset = pytest.importorskip("norse.torch"), importlib.import_module("norse.torch.functional.reset")
    torch.manual_seed(0)
    parameters = norse.LIFBoxParameters(reset_method=reset.reset_subtract)
    model = norse.SequentialState(widen(nn.Linear(N_IN, N_MID)), norse.LIFBoxCell(p=parameters)).double()
    network = snnmap.load(model)
    assert {one.reset for one in network.populations} == {"subtract"}
    raster, state, wanted = draw(1, 2.0), None, []
    with torch.no_grad():
        for now in to_batch(raster):
            spikes, state = model(now, state)
            wanted.append(spikes.numpy()[0])
    found = read_spikes(network, raster)
    assert found.sum() > 50
    assert np.array_equal(found, np.array(wanted))
    other = norse.LIFBoxParameters(reset_method=lambda z, v, *_: v - z)
    with pytest.raises(FrontendError, match="the reset has no counterpart"):
        snnmap.load(norse.SequentialState(nn.Linear(N_IN, N_MID), norse.LIFBoxCell(p=other)))


class Loops(Loop):
    """One module in two loops: alone in the first, twice in a turn of the second; or in two halves of the steps."""

    def __init__(self, halves: bool) -> None:
        super().__init__(-1)
        self.halves, self.out, self.last = halves, widen(nn.Linear(N_OUT, N_OUT), 1.5), leaky()

    def run(self, x: Tensor) -> list[Tensor]:
        mem, spikes = self.lif.reset_mem(), []
        for now in x:
            spk, mem = self.lif(self.fc(now), mem)
            spikes.append(spk)
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        if self.halves:
            return torch.stack(self.run(x[: len(x) // 2]) + self.run(x[len(x) // 2 :]))
        first, spikes = self.run(x), []
        one, two, mem = self.lif.reset_mem(), self.lif.reset_mem(), self.last.reset_mem()
        for now, before in zip(x, first, strict=True):
            a, one = self.lif(0.5 * self.fc(now), one)
            b, two = self.lif(2.0 * self.fc(now), two)
            spk, mem = self.last(self.out(a - b + before), mem)
            spikes.append(spk)
        return torch.stack(spikes)


def test_one_module_in_two_loops_of_other_turns_is_read() -> None:
    torch.manual_seed(0)
    model = Loops(halves=False).double()
    network, raster = snnmap.load(model), draw(2)
    with torch.no_grad():
        wanted = model(to_batch(raster)).numpy()[:, 0]
    assert wanted.any()
    assert np.array_equal(read_spikes(network, raster), wanted)


def test_neurons_that_start_anew_in_the_middle_of_the_steps_are_told_as_such() -> None:
    with pytest.raises(FrontendError, match="start anew in the middle of its input 'x'"):
        snnmap.load(Loops(halves=True))

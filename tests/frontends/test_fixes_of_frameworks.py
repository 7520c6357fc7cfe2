"""What a framework's user is told about neurons that a chip lacks: each way is taken, and mends it."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

import snnmap
from snnmap.core.diagnostics import Diagnostic


def need(name: str) -> Any:
    pytest.importorskip(name.partition(".")[0])
    return importlib.import_module(name)


def find(model: nn.Module, rule: str, chip: str, **options: Any) -> list[Diagnostic]:
    result = snnmap.check_model(snnmap.load(model, **options), chip)
    return [one for one in result.report.diagnostics if one.rule == rule]


def stack(make: Callable[[], nn.Module], sequence: Callable[..., nn.Module] = nn.Sequential) -> nn.Module:
    return sequence(nn.Linear(6, 8), make(), nn.Linear(8, 3), make())


def test_sinabs_neurons_without_a_synapse_are_given_tau_syn() -> None:
    layers = need("sinabs.layers")
    for make in (layers.IAF, lambda **options: layers.LIF(tau_mem=8.0, **options)):
        found = find(stack(make), "SNN502", "generic-4096")
        assert found
        assert all("IAF or LIF a tau_syn of 1.5 steps" in one.fix for one in found)
        assert not find(stack(lambda make=make: make(tau_syn=1.5)), "SNN502", "generic-4096")  # type: ignore[misc]


def test_norses_box_cells_are_given_currents() -> None:
    norse = need("norse.torch")
    found = find(stack(norse.LIFBoxCell, norse.SequentialState), "SNN502", "generic-4096")
    assert found
    assert all("use norse.torch.LIFCell, or LICell" in one.fix for one in found)
    for last in (norse.LIFCell, norse.LICell):
        model = norse.SequentialState(nn.Linear(6, 8), norse.LIFCell(), nn.Linear(8, 3), last())
        assert not find(model, "SNN502", "generic-4096")


def test_spikingjellys_neurons_have_a_chip_that_needs_no_synapse() -> None:
    neuron = need("spikingjelly.activation_based.neuron")
    found = find(stack(neuron.LIFNode), "SNN502", "generic-4096")
    assert found
    assert all("(generic-1024-factor)" in one.fix for one in found)
    assert not find(stack(neuron.LIFNode), "SNN502", "generic-1024-factor")


def test_snntorchs_late_reset_is_sent_to_a_chip_where_outputs_are_cloned_and_not_to_the_one_it_is_on() -> None:
    snntorch = need("snntorch")
    model = stack(lambda: snntorch.Synaptic(alpha=0.5, beta=0.75, init_hidden=True))
    elsewhere, here = ([one.fix for one in find(model, "SNN109", chip)] for chip in ("generic-4096", "generic-4096-single"))
    assert elsewhere
    assert all("take a chip of one spike a step (generic-4096-single)" in fix for fix in elsewhere)
    assert here
    assert all("generic-4096-single" not in fix and "let `snnmap check --fix` clone it" in fix for fix in here)
    assert all("reset_delay=False and load it with overshoot='ignore'" in fix for fix in here)
    other = stack(lambda: snntorch.Synaptic(alpha=0.5, beta=0.75, init_hidden=True, reset_delay=False))
    assert find(other, "SNN109", "generic-4096")
    assert not find(other, "SNN109", "generic-4096", overshoot="ignore")


def test_loops_and_waits_of_populations_that_are_snnmaps_own_are_told_in_snntorchs_words() -> None:
    snntorch = need("snntorch")
    model = stack(lambda: snntorch.Synaptic(alpha=0.5, beta=0.75, init_hidden=True, reset_delay=False))
    (found, _) = find(model, "SNN301", "generic-4096-single")
    assert found.fix.startswith("read it with overshoot='ignore' (snnmap made '1.above', '3.above' for membranes above")
    fixed = snnmap.fix_model(model, "generic-4096-single", fixes=snnmap.FixOptions(fix_only=("stretch-loops", "clone-outputs")))
    (waits,) = [one for one in fixed.checked.report.errors if one.rule == "SNN302"]
    assert waits.fix.startswith("read it with overshoot='ignore'")
    assert "skip connections" not in waits.fix
    assert not find(model, "SNN301", "generic-4096-single", overshoot="ignore")


@pytest.mark.parametrize("package", ["snntorch", "sinabs.layers", "norse.torch"])
def test_a_bias_in_front_of_a_synapse_is_no_skip_connection(package: str) -> None:
    """Neurons that hold such constants are snnmap's; that inputs need not wait for them, they come a step late."""
    made = need(package)
    cells: dict[str, Callable[[], nn.Module]] = {
        "snntorch": lambda: made.Synaptic(alpha=0.5, beta=0.75, init_hidden=True),
        "sinabs.layers": lambda: made.LIF(tau_mem=8.0, tau_syn=2.0, spike_fn=need("sinabs.activation").SingleSpike),
        "norse.torch": lambda: made.LIFCell(),
    }
    model = stack(cells[package], made.SequentialState if package == "norse.torch" else nn.Sequential)
    fixed = snnmap.fix_model(model, "generic-4096-single", fixes=snnmap.FixOptions(fix_only=("chip-reset", "clone-outputs")))
    (waits,) = [one for one in fixed.checked.report.errors if one.rule == "SNN302"]
    assert waits.fix.startswith(
        "let constants come a step late (`snnmap check --fix`) or train layers in front of synapses without a bias, choose"
    )
    again = snnmap.fix_model(fixed.network, "generic-4096-single")
    assert "late-constants" in {step.name for step in again.applied}
    assert not again.checked.report.errors


def test_spikes_a_step_are_told_in_the_words_of_the_framework() -> None:
    layers, activation = need("sinabs.layers"), need("sinabs.activation")
    model = stack(lambda: layers.LIF(tau_mem=8.0, tau_syn=2.0))
    found = find(model, "SNN404", "generic-4096-single")
    assert {one.fix for one in found} == {
        "train with spike_fn=sinabs.activation.MaxSpike(1), or take the chip's limit (`snnmap check --fix`)"
    }
    one = stack(lambda: layers.LIF(tau_mem=8.0, tau_syn=2.0, spike_fn=activation.MaxSpike(1)))
    assert not find(one, "SNN404", "generic-4096-single")
    snntorch = need("snntorch")
    fewer = find(stack(lambda: snntorch.Synaptic(alpha=0.5, beta=0.75, init_hidden=True)), "SNN404", "generic-4096")
    assert all("snnmap.nn" not in one.fix and "Rockpool" not in one.fix for one in fewer)
    assert fewer


def test_resets_are_told_in_the_words_of_the_framework() -> None:
    neuron = need("spikingjelly.activation_based.neuron")
    found = find(stack(neuron.LIFNode), "SNN403", "generic-4096")
    assert found
    assert all(one.fix.startswith("train with reset by subtraction (v_reset=None), take") for one in found)
    assert not find(stack(lambda: neuron.LIFNode(v_reset=None)), "SNN403", "generic-4096")


def test_nengos_synapses_without_memory_are_told_in_its_words() -> None:
    """A connection without a filter, and initial voltages, which come through a synapse without memory."""
    nengo = need("nengo")

    def make(synapse: float | None, voltage: float) -> Any:
        with nengo.Network(seed=0) as network:
            neurons: Any = {
                "neuron_type": nengo.SpikingRectifiedLinear(initial_state={"voltage": nengo.dists.Choice([voltage])}),
                "gain": [1.0] * 4,
                "bias": [0.0] * 4,
            }
            source = nengo.Node([0.0] * 4)
            hidden, last = (nengo.Ensemble(4, 1, **neurons) for _ in range(2))
            nengo.Connection(source, hidden.neurons, transform=500.0, synapse=synapse)
            nengo.Connection(hidden.neurons, last.neurons, transform=0.5, synapse=0.005)
            nengo.Probe(last.neurons)
        return network

    lowpass, voltage = "a nengo.Lowpass with a tau of 0.0015 s or more", "read it with initial_voltage='zero'"
    for network, told in ((make(None, 0.0), lowpass), (make(0.0015, 0.5), voltage)):
        found = find(network, "SNN502", "xylo-audio-3", max_count=1)
        assert found
        assert all(told in one.fix for one in found)
    assert not find(make(0.0015, 0.0), "SNN502", "xylo-audio-3", max_count=1)
    assert not find(make(0.0015, 0.5), "SNN502", "xylo-audio-3", max_count=1, initial_voltage="zero")


@pytest.mark.parametrize(
    ("framework", "told"),
    [
        ("", "snnmap.Population.create"),
        ("nir 1.0.7", "nir.Linear and nir.CubaLIF"),
        ("nengo 4.1.0", "a nengo.Ensemble behind a nengo.Connection"),
        ("nengo-dl 3.6.0, nengo 4.1.0", "a nengo.Ensemble behind a nengo.Connection"),
        ("torch 2.9.1", "torch.nn.Linear and `snnmap.nn.LIF`"),
    ],
)
def test_layers_are_called_as_in_the_models_framework(framework: str, told: str) -> None:
    """Feedback from an output and an input that goes straight to it name the classes of the model's own framework."""
    network = snnmap.sketch_network(
        {"in": 2, "h": 3, "out": 2}, weights={"out->h": -0.2, "in->out": 0.2}, delay_steps={"out->h": 3}
    )
    report = snnmap.check_model(replace(network, provenance={"framework": framework}), "xylo-audio-3").report
    for rule in ("SNN108", "SNN109"):
        (found,) = [one for one in report.errors if one.rule == rule]
        assert told in found.fix
        assert ("snnmap.Population" in found.fix) == (framework == "")

"""What a framework's user is told about neurons that a chip lacks: each way is taken, and mends it."""

import importlib
from collections.abc import Callable
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

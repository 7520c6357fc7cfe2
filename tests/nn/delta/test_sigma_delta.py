"""Sigma-delta quantisers, macro-grad, and step sizes after training."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import (
    DeltaCounter,
    DeltaNetwork,
    SigmaDeltaQuantiser,
    SynapticSignals,
    fit_steps,
    insert_delta,
    run_frames,
    search_steps,
)

numbers = st.floats(-4.0, 4.0)


@given(st.lists(numbers, min_size=6, max_size=6), st.floats(0.05, 2.0), st.booleans(), st.booleans())
def test_gradients_are_the_written_ones(values: list[float], size: float, by_channel: bool, macro: bool) -> None:
    z = torch.tensor(values).double().view(1, 3, 2).requires_grad_()
    quantiser = SigmaDeltaQuantiser(
        n_channels=3 if by_channel else None, step=size, gradient="macro" if macro else "lsq"
    ).double()
    step = quantiser.step.detach().view(1, -1, 1) if by_channel else quantiser.step.detach()
    y = quantiser(z)
    x = z.detach() / step
    levels = torch.floor(x + 0.5)
    assert torch.equal(y, levels * step)
    g = torch.linspace(-1.0, 2.0, 6).double().view(1, 3, 2)
    by_z, by_log_step = torch.autograd.grad(y, (z, quantiser.log_step), g)
    assert torch.equal(by_z, g)
    written = g * (-x if macro else levels - x) * step  # dstep/dlog_step = step
    torch.testing.assert_close(by_log_step, written.sum((0, 2)) if by_channel else written.sum())


def sent_by_neuron(activations: Tensor, step: float) -> Tensor:
    """Send changes with the error carried on, as O'Connor & Welling's neuron does, and add up what was sent."""
    error, previous, total = torch.zeros(()), torch.zeros(()), torch.zeros(())
    sums = []
    for activation in activations:
        change = activation - previous + error
        sent = torch.floor(change / step + 0.5) * step
        error, previous, total = change - sent, activation, total + sent
        sums.append(total)
    return torch.stack(sums)


@given(st.lists(st.integers(-400, 400), min_size=1, max_size=12), st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_what_a_sigma_delta_neuron_has_sent_is_the_rounded_activation(eighths: list[int], step: float) -> None:
    activations = torch.tensor(eighths) / 8.0
    assert torch.equal(sent_by_neuron(activations, step), SigmaDeltaQuantiser(step=step)(activations).detach())


def small_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)
    )
    quantised = insert_delta(model, ["2", "5"], make=lambda _path: SigmaDeltaQuantiser(step=1 / 16))
    return nn.Sequential(SigmaDeltaQuantiser(step=1 / 8), quantised).eval()


def draw_clips(n_steps: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(4, 1, 1, 6, 6, generator=generator) + 0.1 * torch.rand(4, n_steps, 1, 6, 6, generator=generator)).cumsum(1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_a_sigma_delta_network_runs_as_it_was_trained(seed: int) -> None:
    model, clips = small_network(seed).double(), draw_clips(5, seed).double()
    torch.testing.assert_close(DeltaNetwork(model)(clips), run_frames(model, clips), rtol=0.0, atol=1e-10)


def test_macro_grad_and_a_penalty_make_steps_grow_where_lsq_does_not() -> None:
    grown = {}
    for gradient in ("macro", "lsq"):
        quantiser = SigmaDeltaQuantiser(step=0.1, gradient=gradient)  # type: ignore[arg-type]
        model = nn.Sequential(quantiser, nn.Linear(6, 2))
        optimiser = torch.optim.SGD([quantiser.log_step], lr=0.5)
        for seed in range(100):
            with SynapticSignals(model, n_steps=3) as signals:
                run_frames(model, torch.randn(8, 3, 6, generator=torch.Generator().manual_seed(seed)))
            optimiser.zero_grad()
            signals.tdss().backward()
            optimiser.step()
        grown[gradient] = float(quantiser.step.detach()) / 0.1
    assert grown["macro"] > 10.0
    assert 0.5 < grown["lsq"] < 2.0


def count_macs(model: nn.Module, clips: Tensor) -> float:
    with DeltaCounter(model, n_steps=clips.shape[1]) as counter, torch.no_grad():
        run_frames(model, clips)
    return float(counter.total().n_macs)


def distance(model: nn.Module, clips: Tensor, wanted: Tensor) -> float:
    with torch.no_grad():
        return float((run_frames(model, clips) - wanted).square().mean())


def test_steps_fitted_by_tdam_save_work_and_leave_the_rest_alone() -> None:
    model, clips = small_network(), draw_clips(4)
    wanted = run_frames(model, clips).detach()
    batches = [(clips, wanted)] * 60
    fitted = fit_steps(model, batches, nn.functional.mse_loss, eta=10.0)
    assert count_macs(fitted, clips) < 0.7 * count_macs(model, clips)
    careful = fit_steps(model, batches, nn.functional.mse_loss, eta=0.0)
    assert distance(careful, clips, wanted) < distance(fitted, clips, wanted)
    before, after = dict(model.named_parameters()), dict(fitted.named_parameters())
    assert [name for name in before if not torch.equal(before[name], after[name])] == [
        "0.log_step",
        "1.2.1.log_step",
        "1.5.1.log_step",
    ]
    assert all(parameter.requires_grad for parameter in fitted.parameters())


def test_greedy_search_stays_within_the_limit() -> None:
    model, clips = small_network(), draw_clips(4)
    wanted = run_frames(model, clips).detach()

    def search(limit: float) -> nn.Module:
        return search_steps(model, lambda m: (count_macs(m, clips), distance(m, clips, wanted)), limit=limit)

    some, more = search(1e-4), search(1e-2)
    assert distance(some, clips, wanted) <= 1e-4
    assert distance(more, clips, wanted) <= 1e-2
    assert count_macs(more, clips) < count_macs(some, clips) < count_macs(model, clips)


def test_a_first_batch_sets_the_step() -> None:
    quantiser = SigmaDeltaQuantiser(n_levels=16)
    quantiser(torch.full((2, 3), -2.0))
    assert float(quantiser.step.detach()) == pytest.approx(2.0 * 2.0 / 4.0)
    quantiser(torch.ones(2, 3))
    assert float(quantiser.step.detach()) == pytest.approx(1.0)


def test_training_does_not_cross_the_least_step() -> None:
    quantiser = SigmaDeltaQuantiser(step=0.25, least_step=0.2)
    optimiser = torch.optim.SGD(quantiser.parameters(), lr=1.0)
    for _ in range(5):
        optimiser.zero_grad()
        (-quantiser(torch.full((4,), 3.0))).sum().backward()
        optimiser.step()
    assert float(quantiser.log_step.detach().exp()) < 0.19
    assert float(quantiser.step.detach()) == pytest.approx(0.2)
    assert quantiser(torch.tensor(0.85)).item() == pytest.approx(0.8)


def explode(quantiser: SigmaDeltaQuantiser) -> None:
    with torch.no_grad():
        quantiser.log_step.fill_(float("nan"))
    quantiser(torch.ones(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SigmaDeltaQuantiser(step=0.0), "a positive step"),
        (lambda: SigmaDeltaQuantiser(n_channels=0), "a channel"),
        (lambda: SigmaDeltaQuantiser(gradient="Macro"), "gradient"),  # type: ignore[arg-type]
        (lambda: SigmaDeltaQuantiser(step=0.1).set_step(-1.0), "do not suit"),
        (lambda: SigmaDeltaQuantiser(n_channels=3, step=1.0).set_step(torch.ones(2)), "do not suit"),
        (lambda: explode(SigmaDeltaQuantiser(step=0.1)), "infinite or NaN"),
        (lambda: fit_steps(small_network(), (pair for pair in ()), nn.functional.mse_loss, eta=1.0), "once for each"),
        (lambda: search_steps(small_network(), lambda _: (float("nan"), 0.0), limit=1.0), "begin within the limit"),
        (lambda: search_steps(small_network(), lambda _: (1.0, 2.0), limit=1.0), "begin within the limit"),
        (lambda: SigmaDeltaQuantiser(n_channels=3, step=1.0)(torch.ones(2, 4)), "other channels"),
        (lambda: SigmaDeltaQuantiser()(torch.zeros(2, 4)), "no step suits"),
        (lambda: fit_steps(nn.Linear(2, 2), [], nn.functional.mse_loss, eta=1.0), "no steps to choose"),
        (lambda: search_steps(nn.Sequential(SigmaDeltaQuantiser()), lambda _: (0.0, 0.0), limit=0.0), "no steps to choose"),
        (lambda: search_steps(small_network(), lambda _: (0.0, 0.0), limit=0.0, factor=1.0), "steps must grow"),
    ],
)
def test_what_has_no_steps_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()

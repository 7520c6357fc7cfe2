"""Step sizes of sigma-delta quantisers for a network whose weights stay as they are."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.delta.activation import run_frames
from snnmap.nn.delta.sigma_delta import SigmaDeltaQuantiser
from snnmap.nn.delta.synaptic_signal import SynapticSignals

__all__ = ["fit_steps", "search_steps"]

Measure = Callable[[nn.Module], tuple[float, float]]
"""Gives what a model costs and its error."""


def fit_steps(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    criterion: Callable[[Tensor, Tensor], Tensor],
    *,
    eta: float,
    learning_rate: float = 0.05,
) -> nn.Module:
    """Learn the steps layer by layer, first to last, by the task and the TDAM penalty.

    ``criterion + eta * TDAM`` (O'Connor & Welling 2017; Sekikawa & Uto 2021, eq. 6; :meth:`SynapticSignals.tdam`) is
    minimised by Adam over one quantiser's steps at a time, in evaluation mode; weights and the other steps stay.

    Args:
        model: with :class:`SigmaDeltaQuantiser` modules that have their steps, of frames; copied, unchanged.
        batches: clips ``(batch, time, ...)`` of two frames or more and targets; gone through once for each quantiser.
        criterion: gives a scalar of the model's outputs ``(batch, time, ...)`` and the targets.
        eta: the penalty's factor.
        learning_rate: of the steps' logarithms.

    Raises:
        InputError: the model has no such quantiser, a clip has one frame, or the batches can be gone through only once.
    """
    if iter(batches) is batches:
        raise InputError(
            "the batches are gone through once for each quantiser",
            where="fit_steps",
            measured=type(batches).__name__,
            fix="give a list or a DataLoader",
        )
    result = copy.deepcopy(model).eval()
    for quantiser in _quantisers(result):
        optimiser = torch.optim.Adam([quantiser.log_step], lr=learning_rate)
        with _only_trained(result, quantiser.log_step):
            for x, target in batches:
                with SynapticSignals(result, n_steps=x.shape[1]) as signals:
                    outputs = run_frames(result, x)
                optimiser.zero_grad()
                torch.autograd.backward(criterion(outputs, target) + eta * signals.tdam())
                optimiser.step()
    return result


def search_steps(model: nn.Module, measure: Measure, *, limit: float, factor: float = 2.0**0.5) -> nn.Module:
    """Enlarge one layer's steps after the other, greedily, while the error allows it: the simplest baseline.

    Each round tries every quantiser with its steps times ``factor`` and keeps the one of least cost whose error is not
    above the limit; it ends when none lowers the cost.

    Args:
        model: with :class:`SigmaDeltaQuantiser` modules that have their steps; copied, unchanged.
        measure: gives a model's cost, such as its multiply-accumulates on some streams, and its error there.
        limit: largest error allowed.
        factor: by which steps grow.

    Raises:
        InputError: the model has no such quantiser, the factor is not above 1, or the model itself is not within the limit.
    """
    if not factor > 1.0:
        raise InputError(
            "steps must grow", where="search_steps", measured=f"factor={factor:g}", limit="> 1", fix="give 1.4 or so"
        )
    result = copy.deepcopy(model)
    n_quantisers = len(_quantisers(result))
    least, first_error = measure(result)
    if not first_error <= limit or not math.isfinite(least):
        raise InputError(
            "the search must begin within the limit",
            where="search_steps",
            measured=f"cost {least:g}, error {first_error:g}",
            limit=f"error <= {limit:g}",
            fix="begin with smaller steps, or allow more",
        )
    while True:
        trials = [_enlarge(result, number, factor) for number in range(n_quantisers)]
        measured = [measure(trial) for trial in trials]
        allowed = [(cost, number) for number, (cost, error) in enumerate(measured) if error <= limit and math.isfinite(cost)]
        if not allowed or not min(allowed)[0] < least:
            return result
        least, number = min(allowed)
        result = trials[number]


def _enlarge(model: nn.Module, number: int, factor: float) -> nn.Module:
    trial = copy.deepcopy(model)
    quantiser = _quantisers(trial)[number]
    quantiser.set_step(quantiser.step.detach() * factor)
    return trial


def _quantisers(model: nn.Module) -> list[SigmaDeltaQuantiser]:
    found = [module for module in model.modules() if isinstance(module, SigmaDeltaQuantiser)]
    if not found or not all(quantiser.is_ready for quantiser in found):
        raise InputError(
            "no steps to choose",
            where=type(model).__name__,
            measured=f"{len(found)} quantisers, {sum(not bool(q.is_ready) for q in found)} of them without a step",
            limit=">= 1, with steps",
            fix="insert_delta(model, make=lambda path: SigmaDeltaQuantiser()) and run a batch first",
        )
    return found


@contextmanager
def _only_trained(model: nn.Module, parameter: nn.Parameter) -> Iterator[None]:
    """Keep gradients to one parameter."""
    before = {part: part.requires_grad for part in model.parameters()}
    for part in before:
        part.requires_grad_(part is parameter)
    try:
        yield
    finally:
        for part, needed in before.items():
            part.requires_grad_(needed)

"""Calibration data in a model: what arrives at each weight, and kept weights that are refitted to it."""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import LIF, ChipIntegrator, ChipLIF
from snnmap.train.fan_in.pools import Key, Pool, unwrap

__all__ = ["Fit", "record_inputs", "refit_weights", "run_calibration", "to_calibration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a refit gives.

    Attributes:
        weights: ``(size, n_columns) float64``.
        bias_change: ``(size,) float64``.
        power: mean squares, summed over neurons: of what the removed weights gave to the pre-activations, of the
            pre-activations' error after the refit, and of the pre-activations, ``(3,) float64``.
    """

    weights: Tensor
    bias_change: Tensor
    power: Tensor


def refit_weights(
    pool: Pool,
    weights: Tensor,
    kept: Tensor,
    trained: Mapping[Key, Tensor],
    arriving: Mapping[Key, Tensor],
    *,
    ridge: float,
    moves_bias: bool,
) -> Fit:
    """Fit the kept weights of each neuron to the pre-activations that all its trained weights made: ridge regression.

    With inputs X that arrive (about their mean where a bias takes that up), trained pre-activations Z and kept weights w of
    a neuron, their change d solves ``(X'X / n + ridge * mean(diag(X'X / n))) d = X'(Z - X w) / n`` (normal equations with a
    penalty on the change; Hoerl & Kennard 1970, equation 2.3, about w).

    Args:
        pool: weights that share words.
        weights: trained, ``(size, n_columns)``.
        kept: ``(size, n_columns) bool``.
        trained: inputs that made Z, ``(n, n_sources)`` by parameter.
        arriving: inputs that the refitted weights take, likewise.
        ridge: above 0.
        moves_bias: whether the neurons have a bias to fit as well.

    Raises:
        InputError: a layer of the pool is used more often than another, so that their inputs do not belong together.
    """
    before, x, y = weights.double().cpu(), _stack_inputs(pool, trained), _stack_inputs(pool, arriving)
    x_mean, y_mean = x.mean(dim=0) * moves_bias, y.mean(dim=0) * moves_bias
    wanted, centred = (x - x_mean) @ before.t(), y - y_mean
    after = before * kept.cpu()
    removed = x @ (before - after).t()
    shortfall = centred.t() @ (wanted - centred @ after.t()) / len(y)
    moments = centred.t() @ centred / len(y)
    penalty = ridge * moments.diagonal().mean().clamp_min(1e-12)
    for neuron, mask in enumerate(kept.cpu()):
        columns = mask.nonzero()[:, 0]
        among = moments[columns][:, columns] + penalty * torch.eye(len(columns), dtype=moments.dtype)
        after[neuron, columns] += torch.linalg.solve(among, shortfall[columns, neuron])
    error = centred @ after.t() - wanted
    powers = [(values**2).sum() / len(x) for values in (removed, error, x @ before.t())]
    return Fit(weights=after, bias_change=before @ x_mean - after @ y_mean, power=torch.stack(powers))


def _stack_inputs(pool: Pool, inputs: Mapping[Key, Tensor]) -> Tensor:
    parts = [inputs[share.key].double().cpu() for share in pool.shares]
    if len({len(part) for part in parts}) > 1:
        raise InputError(
            "a layer that is used twice cannot be refitted",
            where=", ".join(f"module '{share.path}'" for share in pool.shares),
            fix="give each use a layer of its own, or use limit_fan_in and train on",
        )
    return torch.cat(parts, dim=1)


def to_calibration(model: nn.Module, calibration: npt.ArrayLike | Tensor) -> Tensor:
    """Return calibration data, numpy or torch, integer or float, as the model takes them."""
    kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.get_default_dtype())
    given = torch.as_tensor(calibration)
    return given if given.is_floating_point() and isinstance(calibration, Tensor) else given.to(kind)


def record_inputs(model: nn.Module, calibration: Tensor) -> dict[Key, Tensor]:
    """Run a model in evaluation mode and give what the weights of each parameter are multiplied by.

    Args:
        model: as it is; not changed.
        calibration: ``(n, ...)`` inputs of the model.

    Returns:
        ``(n * steps, n_sources)`` by module path and parameter; for recurrent weights the counts of the step before.

    Raises:
        InputError: calibration data that are empty, not finite or of the wrong shape.
    """
    _require_calibration(calibration)
    probe = copy.deepcopy(model).eval()
    seen: defaultdict[Key, list[Tensor]] = defaultdict(list)
    for path, module in unwrap(probe).named_modules():
        if isinstance(module, nn.Linear | ChipLIF | ChipIntegrator):
            module.register_forward_pre_hook(_keep_input(path, seen))
        if isinstance(module, LIF | ChipLIF) and module.recurrent_weight is not None:
            module.register_forward_hook(_keep_output(path, seen))
    with torch.no_grad():
        probe(calibration)
    return {key: torch.cat(parts) for key, parts in seen.items()}


@torch.no_grad()
def run_calibration(model: nn.Module, calibration: Tensor) -> Tensor:
    """Return a model's outputs in evaluation mode; several are flattened into one tensor.

    Raises:
        InputError: calibration data that are empty or not finite.
    """
    _require_calibration(calibration)
    output = copy.deepcopy(model).eval()(calibration)
    return output if isinstance(output, Tensor) else torch.cat([part.flatten() for part in output])


def _keep_input(path: str, seen: Mapping[Key, list[Tensor]]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        wanted = module.in_features if isinstance(module, nn.Linear) else module.n_inputs
        if inputs[0].shape[-1] != wanted:
            raise InputError(
                "the calibration data do not fit a layer",
                where=f"module '{path}'",
                measured=str(tuple(inputs[0].shape)),
                limit=f"(..., {wanted})",
                fix="give inputs of the shape that the model was trained with",
            )
        seen[path, "weight"].append(inputs[0].flatten(0, -2))

    return keep


def _keep_output(path: str, seen: Mapping[Key, list[Tensor]]) -> Callable[[nn.Module, Any, Tensor], None]:
    """Keep the counts of the step before."""

    def keep(_module: nn.Module, _inputs: Any, counts: Tensor) -> None:
        seen[path, "recurrent_weight"].append(nn.functional.pad(counts, (0, 0, 1, 0))[:, :-1].flatten(0, -2))

    return keep


def _require_calibration(calibration: Tensor) -> None:
    if calibration.ndim < 2 or not calibration.numel() or not bool(torch.isfinite(calibration).all()):
        raise InputError(
            "the calibration data are empty, have no batch or are not finite",
            where="calibration",
            measured=str(tuple(calibration.shape)),
            limit="(n, ...) finite numbers",
            fix="give some hundred inputs of the model",
        )

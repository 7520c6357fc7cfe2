"""Weights within the chip's fan-in: chosen by what they contribute, held and regrown in training, or refitted after it."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy.typing as npt
import torch
from torch import Tensor, nn

from snnmap.chip import Chip
from snnmap.core.errors import InputError
from snnmap.train.fan_in.calibration import record_inputs, refit_weights, run_calibration, to_calibration
from snnmap.train.fan_in.mask import find_original, install_mask, require_unparametrised, settle_fan_in
from snnmap.train.fan_in.pools import Key, Pool, choose_weights, is_spiking, read_pools, unwrap
from snnmap.train.models import require_layers

__all__ = [
    "FanInLimiter",
    "FanInLoss",
    "PruningCost",
    "limit_fan_in",
    "prune_fan_in",
    "regrowth_fraction",
]

_OF_NETWORKS = (
    "train it as it is: its weights are those that the chip stores, within the fan-in; prune a model before to_chip_exact"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FanInLoss:
    """What a limit took from a layer.

    Attributes:
        layer: module path; ``PATH.recurrent_weight`` for recurrent weights.
        n_removed: weights set to 0.
        n_weights: weights there were.
        input_lost: share of the pre-activations' power that the removed weights had.
        refit_lost: share that is off after the refit, with what shares its words and errors that arrive; None without one.
    """

    layer: str
    n_removed: int
    n_weights: int
    input_lost: float
    refit_lost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningCost:
    """What pruning after training took.

    Attributes:
        layers: a line for each parameter that lost weights.
        output_error: root mean square change of the outputs on the calibration data, as a share of theirs, before the refit.
        refit_output_error: the same after the refit.
    """

    layers: tuple[FanInLoss, ...]
    output_error: float
    refit_output_error: float


class FanInLimiter:
    """Keeps every neuron within the fan-in while the model trains, and lets training change which inputs it has.

    The weights that contribute most are kept at first: a weight contributes its size, times the root mean square of its
    input where calibration data are given; a weight that takes more words, behind a residual sum, must contribute more.
    The words are counted as the design rule SNN204 counts them after folding, see :func:`snnmap.train.fan_in.pools.read_pools`;
    at no time does a neuron have more. Of models without snnmap's neurons the Linear layers are masked; Conv layers are left
    as they are. ::

        limiter = FanInLimiter(model, "generic-4096", calibration=inputs)
        for step, (counts, labels) in enumerate(batches):
            optimiser.zero_grad()
            cross_entropy(model(counts)[:, -1], labels).backward()
            if step % 50 == 49:
                limiter.regrow(regrowth_fraction(step, n_steps))
            optimiser.step()
        settle_fan_in(model)

    The masks are parametrisations (``torch.nn.utils.parametrize``) and part of ``state_dict``: to load one, limit the model
    first. An optimiser made before stays valid.

    Args:
        model: changed in place.
        limit: the words of a neuron: those of a chip (a record, catalog name or TOML path), or one number for all memories.
        calibration: ``(n, ...)`` inputs of the model.

    Attributes:
        losses: a line for each parameter that lost weights.

    Raises:
        InputError: a limit below 1 or too low for a layer, or calibration data that are empty or of the wrong shape, or
            a model of another framework.
        ChipError: unknown or malformed chip.
        FrontendError: a model that cannot be read as a network, or not be converted.
    """

    def __init__(self, model: nn.Module, limit: int | Chip | str, *, calibration: npt.ArrayLike | Tensor | None = None) -> None:
        require_layers(model, "FanInLimiter", network_fix=_OF_NETWORKS)
        calibration = None if calibration is None else to_calibration(model, calibration)
        inputs = None if calibration is None else record_inputs(model, calibration)
        pools = read_pools(model, limit, input_shape=None if calibration is None else calibration.shape[1:])
        self._model = model
        self._modules = dict(unwrap(model).named_modules())
        self._pools = tuple(pool for pool in pools if pool.is_tight)
        keys = dict.fromkeys(share.key for pool in self._pools for share in pool.shares)
        for path, parameter in keys:
            require_unparametrised(path, self._modules[path], parameter)
        weights = {key: _weight_of(self._modules, key) for key in keys}
        contributions = {key: _measure_contribution(key, weight, inputs) for key, weight in weights.items()}
        kept = self._choose(contributions)
        self._masks = {key: install_mask(self._modules[key[0]], key[1], kept[key]) for key in keys}
        self._clear_masked()
        self.losses = _list_losses(contributions, kept)

    def regrow(self, fraction: float) -> int:
        """Drop the weakest kept weights of each neuron, and grow those by which the loss falls fastest (RigL).

        Evci et al. 2020, "Rigging the Lottery", algorithm 1: dropped are the smallest of the kept weights, grown the masked
        weights with the largest gradient; these start from 0. The gradient is summed over all backward passes since the
        last call, so call it after ``backward()``, best before the optimiser's step. Neurons that are within the limit with all
        their weights keep them.

        Args:
            fraction: of the kept weights of each neuron, 0..1; see :func:`regrowth_fraction`.

        Returns:
            Weights that were grown and had not been kept before.

        Raises:
            InputError: a fraction out of range, or no gradient yet.
        """
        if not 0.0 <= fraction <= 1.0:
            raise InputError("the fraction to regrow is out of range", measured=str(fraction), limit="0..1")
        weights = {key: _weight_of(self._modules, key) for key in self._masks}
        gradients = {key: self._take_gradient(key) for key in self._masks}
        scores = {key: torch.zeros_like(weight) for key, weight in weights.items()}
        for pool in self._pools:
            kept = pool.join({key: mask.kept for key, mask in self._masks.items()})
            survives = kept & ~_find_weakest(pool.join(weights).abs(), kept, fraction)
            steepest = pool.join(gradients).abs()
            steepest = torch.where(kept, steepest.clamp_min(torch.finfo(steepest.dtype).tiny), steepest)  # none: keep
            joined = steepest.masked_fill(survives, torch.inf)
            for share, part in pool.split(joined):
                share.rows(scores[share.key], pool.size).copy_(part)
        return self._replace_masks(self._choose(scores))

    def _choose(self, scores: dict[Key, Tensor]) -> dict[Key, Tensor]:
        """Return masks with the best scores that fit; a weight that is in several pools must fit into all of them."""
        masks = {key: torch.ones_like(values, dtype=torch.bool) for key, values in scores.items()}
        for pool in self._pools:
            for share, kept in pool.split(choose_weights(pool, pool.join(scores))):
                share.rows(masks[share.key], pool.size).logical_and_(kept)
        return masks

    def _replace_masks(self, chosen: dict[Key, Tensor]) -> int:
        n_grown = 0
        self._clear_masked()  # momentum may have moved them
        for key, mask in self._masks.items():
            grown = chosen[key] & ~mask.kept
            n_grown += int(grown.sum())
            mask.kept.copy_(chosen[key])
        self._clear_masked()
        return n_grown

    def _take_gradient(self, key: Key) -> Tensor:
        gradient, self._masks[key].gradient = self._masks[key].gradient, None
        if gradient is None:
            raise InputError(
                "no gradient was seen since the last regrowth", where=_row_name(key), fix="call regrow after backward()"
            )
        return gradient

    @torch.no_grad()
    def _refit(self, trained: nn.Module, calibration: Tensor, ridge: float) -> dict[str, Tensor]:
        """Refit all kept weights; give power lost before and after, and in all, ``(3,) float64`` by row of the report."""
        before, inputs = dict(unwrap(trained).named_modules()), record_inputs(trained, calibration)
        power = {_row_name(key): torch.zeros(3, dtype=torch.float64) for key in self._masks}
        for pool in self._pools:
            arriving = inputs if is_spiking(self._model) else record_inputs(self._model, calibration)
            weights = pool.join({share.key: _weight_of(before, share.key) for share in pool.shares})
            kept = pool.join({share.key: self._masks[share.key].kept for share in pool.shares})
            bias = self._find_bias(pool)
            fit = refit_weights(pool, weights, kept, inputs, arriving, ridge=ridge, moves_bias=bias is not None)
            for share, part in pool.split(fit.weights):
                share.rows(find_original(self._modules[share.path], share.parameter), pool.size).copy_(part)
                power[_row_name(share.key)] += fit.power
            if bias is not None:
                bias.add_(fit.bias_change.to(bias))
        return power

    def _find_bias(self, pool: Pool) -> Tensor | None:
        """Return the part of a Linear layer's bias that the neurons of a pool have, if there is one."""
        for share in pool.shares:
            module = self._modules[share.path]
            if isinstance(module, nn.Linear) and module.bias is not None:
                return module.bias[share.start : share.start + pool.size]
        return None

    @torch.no_grad()
    def _clear_masked(self) -> None:
        """Set the parameters behind the masks to 0, so that weights grow from there and norms do not see them."""
        for (path, parameter), mask in self._masks.items():
            find_original(self._modules[path], parameter).masked_fill_(~mask.kept, 0.0)


def limit_fan_in(
    model: nn.Module, limit: int | Chip | str, *, calibration: npt.ArrayLike | Tensor | None = None
) -> tuple[FanInLoss, ...]:
    """Keep, for each neuron, the weights that contribute most; hold the others at 0 in training.

    Train on, then call :func:`settle_fan_in`. :class:`FanInLimiter` is the same, with regrowth.

    Args:
        model: changed in place.
        limit: the words of a neuron: those of a chip (a record, catalog name or TOML path), or one number for all memories.
        calibration: ``(n, ...)`` inputs of the model.

    Returns:
        A line for each parameter that lost weights.

    Raises:
        InputError: a limit below 1 or too low for a layer, or calibration data that are empty or of the wrong shape, or
            a model of another framework.
        ChipError: unknown or malformed chip.
        FrontendError: a model that cannot be read as a network, or not be converted.
    """
    return FanInLimiter(model, limit, calibration=calibration).losses


def prune_fan_in(
    model: nn.Module, limit: int | Chip | str, calibration: npt.ArrayLike | Tensor, *, ridge: float = 1e-3
) -> PruningCost:
    """Prune a trained model to the fan-in by contribution, and refit what stays by least squares.

    The kept weights of each neuron, and the bias of a Linear layer, give back its pre-activations on the calibration data as
    well as they can. Layers to be converted take what arrives from the pruned layers before them, so that they mend those
    as well; layers of spiking neurons take the counts of the trained model, of the step before where they are recurrent: a
    fit to counts that come at other steps would shrink the weights. Weights are plain parameters afterwards, zeros included.

    Args:
        model: changed in place.
        limit: the words of a neuron: those of a chip (a record, catalog name or TOML path), or one number for all memories.
        calibration: ``(n, ...)`` inputs of the model.
        ridge: penalty on changes of weights, as a share of the mean power of the neuron's inputs.

    Returns:
        What it cost, before and after the refit.

    Raises:
        InputError: a limit below 1 or too low for a layer, or calibration data that are empty or of the wrong shape, or
            a model of another framework.
        ChipError: unknown or malformed chip.
        FrontendError: a model that cannot be read as a network, or not be converted.
    """
    if ridge <= 0.0:
        raise InputError("the refit needs a penalty", measured=str(ridge), limit="above 0", fix="leave ridge at 1e-3")
    require_layers(model, "prune_fan_in", network_fix=_OF_NETWORKS)
    calibration = to_calibration(model, calibration)
    trained, wanted = copy.deepcopy(model), run_calibration(model, calibration)
    limiter = FanInLimiter(model, limit, calibration=calibration)
    pruned = run_calibration(model, calibration)
    lost = limiter._refit(trained, calibration, ridge)
    refitted = run_calibration(model, calibration)
    settle_fan_in(model)
    return PruningCost(
        layers=tuple(_with_refit(loss, lost[loss.layer]) for loss in limiter.losses),
        output_error=_relative(pruned - wanted, wanted),
        refit_output_error=_relative(refitted - wanted, wanted),
    )


def regrowth_fraction(step: int, n_steps: int, *, first: float = 0.3) -> float:
    """Return the share of weights to regrow: a cosine from ``first`` to 0 (Evci et al. 2020, section 3, update schedule).

    Args:
        step: of training, from 0.
        n_steps: of training until regrowth ends.
        first: share at step 0.
    """
    return first / 2.0 * (1.0 + math.cos(math.pi * min(step / n_steps, 1.0)))


def _relative(difference: Tensor, whole: Tensor) -> float:
    return float(difference.norm()) / (float(whole.norm()) or 1.0)


def _measure_contribution(key: Key, weight: Tensor, inputs: Mapping[Key, Tensor] | None) -> Tensor:
    """Return each weight's power, of the parameter's shape: its square, times the mean square of its input where known."""
    if inputs is None or key not in inputs:
        return weight**2
    power = (inputs[key] ** 2).mean(dim=0)
    return weight**2 * (power if key[1] == "weight" else power[:, None])


def _list_losses(contributions: Mapping[Key, Tensor], kept: Mapping[Key, Tensor]) -> tuple[FanInLoss, ...]:
    losses = []
    for key, power in contributions.items():
        removed, total = power[~kept[key]], float(power.sum())
        if removed.numel():
            lost = float(removed.sum()) / (total or 1.0)
            losses.append(FanInLoss(layer=_row_name(key), n_removed=removed.numel(), n_weights=power.numel(), input_lost=lost))
    return tuple(losses)


def _with_refit(loss: FanInLoss, power: Tensor) -> FanInLoss:
    before, after, whole = power.tolist()
    return replace(loss, input_lost=before / (whole or 1.0), refit_lost=after / (whole or 1.0))


def _row_name(key: Key) -> str:
    path, parameter = key
    return path if parameter == "weight" else f"{path}.{parameter}"


def _find_weakest(magnitudes: Tensor, kept: Tensor, fraction: float) -> Tensor:
    """Return the smallest kept weights of each neuron, as many as the fraction says, ``(size, n_columns) bool``."""
    n_dropped = (kept.sum(dim=1, keepdim=True) * fraction).long()
    rank = magnitudes.masked_fill(~kept, torch.inf).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return rank < n_dropped


def _weight_of(modules: Mapping[str, nn.Module], key: Key) -> Tensor:
    """Return a parameter's values as the model uses them."""
    return cast(Tensor, getattr(modules[key[0]], key[1])).detach()

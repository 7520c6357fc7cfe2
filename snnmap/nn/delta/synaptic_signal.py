"""Penalties on the work that a stream makes: temporal differences of the signals that synapses carry."""

import math
from types import TracebackType
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.delta.activation import differences, require_steps
from snnmap.nn.delta.inference import SynapticLayer
from snnmap.nn.delta.masked import MaskedSynapses

__all__ = ["EtaSchedule", "SynapticSignals"]


class SynapticSignals:
    """Keeps what the layers of weights are given within a ``with`` block, for the penalties of a training step.

    Use it so::

        with SynapticSignals(model, n_steps=clips.shape[1]) as signals:
            scores = run_frames(model, clips)
        loss = criterion(scores, labels) + eta * signals.tdss()

    The synaptic signal of a synapse is its input times its mask; its temporal difference is not 0 where a sigma-delta
    network multiplies. With masks M and inputs x of the layers (Sekikawa & Uto 2021, eq. 11 and 12)::

        TDSS = sum over layers, synapses and steps of |M * (x_t - x_{t-1})|

    of which a convolution has as many as positions times weights. Without unfolding them (eq. 15) that is the sum of the
    outputs of the same layer given ``|x_t - x_{t-1}|`` and weights M, which summed over output channels first costs a
    C_out-th of the layer. First steps, which transmit whole, are left out; every use of a layer counts.

    Args:
        model: with Linear, Conv1d or Conv2d, masked or not (M = 1).
        n_steps: time steps of a sequence; the layers get ``(batch * n_steps, ...)``, as by :func:`run_frames`.
        n_sampled: layers drawn at random for each penalty, each with a chance in proportion to its synapses (as in the
            authors' published code); their mean is the whole one's in expectation. None takes all layers.
        generator: of the draws; None is torch's own.

    Raises:
        InputError: fewer than 2 steps, no layer to sample, or no layer of weights.
    """

    def __init__(
        self, model: nn.Module, *, n_steps: int, n_sampled: int | None = None, generator: Generator | None = None
    ) -> None:
        layers = {path: module for path, module in model.named_modules() if isinstance(module, SynapticLayer)}
        if n_steps < 2 or not layers or (n_sampled is not None and n_sampled < 1):
            raise InputError(
                "a difference of synaptic signals needs two steps and a layer of weights",
                where=type(model).__name__,
                measured=f"n_steps={n_steps}, {len(layers)} layers, n_sampled={n_sampled}",
                limit="n_steps >= 2, >= 1 layer, n_sampled >= 1 or None",
                fix="give sequences of two frames or more",
            )
        self.n_steps, self.n_sampled, self.generator = n_steps, n_sampled, generator
        self._layers = layers
        self._inputs: dict[str, list[Tensor]] = {}
        self._n_synapses: dict[str, int] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        self._inputs.clear()
        self._n_synapses.clear()
        for path, layer in self._layers.items():
            self._handles.append(layer.register_forward_hook(self._keep(path)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def tdss(self) -> Tensor:
        """Return the temporal difference of the synaptic signals by synapse, sample and step: a scalar with its gradients.

        Raises:
            InputError: the model has not run within the block.
        """
        return self._mean(is_masked=True)

    def tdam(self) -> Tensor:
        """Return the temporal difference of activation magnitudes, each with its fan-out, by synapse, sample and step.

        The penalty of O'Connor & Welling 2017 (Sekikawa & Uto 2021, eq. 6), blind to masks: ``|x_t - x_{t-1}|`` times the
        layer's synapses of that input.

        Raises:
            InputError: the model has not run within the block.
        """
        return self._mean(is_masked=False)

    def _keep(self, path: str) -> Any:
        def keep(layer: SynapticLayer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            require_steps(self.n_steps)
            self._inputs.setdefault(path, []).append(inputs[0])
            n_positions = output[0].numel() // layer.weight.shape[0]
            self._n_synapses[path] = self._n_synapses.get(path, 0) + layer.weight.numel() * n_positions

        return keep

    def _mean(self, *, is_masked: bool) -> Tensor:
        """Return the sum over synapses by their number: of layers drawn in proportion to it, the mean of their means."""
        if not self._inputs:
            raise InputError("no signal was kept", where="SynapticSignals", fix="run the model within the with block first")
        if self.n_sampled is None:
            return torch.stack([self._sum(path, is_masked) for path in self._inputs]).sum() / sum(self._n_synapses.values())
        return torch.stack([self._sum(path, is_masked) / self._n_synapses[path] for path in self._draw(self.n_sampled)]).mean()

    def _draw(self, n_sampled: int) -> list[str]:
        paths = list(self._inputs)
        chances = torch.tensor([float(self._n_synapses[path]) for path in paths])
        drawn = torch.multinomial(chances, n_sampled, replacement=True, generator=self.generator)
        return [paths[number] for number in drawn.tolist()]

    def _sum(self, path: str, is_masked: bool) -> Tensor:
        """Sum a layer's signals by sample and step, through the number of synapses kept of each input (eq. 15)."""
        layer = self._layers[path]
        mask = layer.mask() if is_masked and isinstance(layer, MaskedSynapses) else torch.ones_like(layer.weight)
        return torch.stack([_sum_signals(layer, mask.float(), x, self.n_steps) for x in self._inputs[path]]).sum()


def _sum_signals(layer: SynapticLayer, mask: Tensor, x: Tensor, n_steps: int) -> Tensor:
    change = differences(x, n_steps)[:, 1:].flatten(0, 1).abs().to(mask.dtype)
    if isinstance(layer, nn.Linear):
        return (change @ mask.sum(0)).sum() / change.shape[0]
    fan_out = mask.view(layer.groups, -1, *mask.shape[1:]).sum(1)
    signals: Tensor = layer._conv_forward(change, fan_out, None)
    return signals.sum() / change.shape[0]


class EtaSchedule:
    """Raises a penalty's factor eta while the error allows it, and lowers it slowly while it does not.

    After each epoch, as in the published code of Sekikawa & Uto 2021::

        eta + step                  where the mean of the last n_averaged errors is below the limit
        max(start, eta - step / 10) otherwise

    Args:
        start: first and least eta.
        step: by which eta grows.
        limit: error that is still allowed, in the unit of those given to :meth:`update`.
        n_averaged: errors that count.

    Attributes:
        eta: the factor of the next epoch.

    Raises:
        InputError: no error counts, or eta would not rise from 0 or more, or no error be below the limit.
    """

    def __init__(self, *, start: float, step: float, limit: float, n_averaged: int = 3) -> None:
        if n_averaged < 1:
            raise InputError("a mean needs an error", where="EtaSchedule", measured=f"{n_averaged=}", limit=">= 1", fix="give 3")
        if not (math.isfinite(start + step + limit) and start >= 0 and step > 0 and limit > 0):
            raise InputError(
                "a schedule raises eta, from 0 or more, while errors are below a limit",
                where="EtaSchedule",
                measured=f"start={start}, step={step}, limit={limit}",
                limit="start >= 0, step > 0, limit > 0, all finite",
                fix="give start=500.0, step=1000.0, limit=0.02",
            )
        self.start, self.step, self.limit, self.n_averaged = start, step, limit, n_averaged
        self.eta = start
        self._errors: list[float] = []

    def update(self, error: float) -> float:
        """Take an epoch's error on validation data and give the next epoch's eta, which stays until there are enough.

        Raises:
            InputError: no error of 0 or more, such as NaN of a training that has gone wrong.
        """
        if not (math.isfinite(error) and error >= 0):
            raise InputError(
                "an error is a number of 0 or more",
                where="EtaSchedule.update",
                measured=str(error),
                limit=">= 0",
                fix="give the share of wrong decisions; after a loss that is not finite, lower the learning rate",
            )
        self._errors = [*self._errors, error][-self.n_averaged :]
        if len(self._errors) == self.n_averaged:
            is_allowed = sum(self._errors) / self.n_averaged < self.limit
            self.eta = self.eta + self.step if is_allowed else max(self.start, self.eta - self.step / 10.0)
        return self.eta

"""Count what temporal sparsity saves: values that stay, multiplications left, and the state that it costs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.delta.activation import differences
from snnmap.nn.delta.inference import DeltaSynapse, WeightedLayer, apply_weight, effective_weight

__all__ = ["DeltaCounter", "LayerCount", "add_counts", "count_fan_out", "count_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCount:
    """What a layer of weights was given, summed over samples and steps, and the work that it makes.

    Memory fetches are counted in the order of events (input stationary), without a cache or registers that keep a value: each
    input value taken up is read, by delta inference with its previous value, and each multiply-accumulate reads a weight and
    reads and writes a pre-activation. The same holds for all three kinds of inference, so that their ratios are fair; a
    processor that reuses what it has read needs fewer, in dense inference above all. That nothing changed costs no fetch: the
    layer before sends changes.

    Attributes:
        name: path of the layer in the model.
        n_values: values of the input.
        n_active: those that are not 0.
        n_changed: those that differ from the previous step's; at a first step those that are not 0.
        n_macs: multiply-accumulates as executed by delta inference: each changed value times its fan-out.
        n_macs_static: those of frame-by-frame inference that skips zeros: each non-zero value times its fan-out.
        n_macs_dense: those of inference that skips nothing, but for the padding of a convolution.
        n_state: values that delta inference keeps for one stream: the layer's previous input and its pre-activations.
    """

    name: str
    n_values: int
    n_active: int
    n_changed: int
    n_macs: int
    n_macs_static: int
    n_macs_dense: int
    n_state: int

    @property
    def activation_sparsity(self) -> float:
        """The fraction of input values that are 0."""
        return 1.0 - self.n_active / self.n_values

    @property
    def delta_sparsity(self) -> float:
        """The fraction of input values that did not change."""
        return 1.0 - self.n_changed / self.n_values

    @property
    def n_fetches(self) -> int:
        """Memory accesses of delta inference."""
        return 2 * self.n_changed + 3 * self.n_macs

    @property
    def n_fetches_static(self) -> int:
        """Memory accesses of frame-by-frame inference that skips zeros."""
        return self.n_active + 3 * self.n_macs_static

    @property
    def n_fetches_dense(self) -> int:
        """Memory accesses of inference that skips nothing."""
        return self.n_values + 3 * self.n_macs_dense


@dataclass(slots=True)
class _FanOut:
    """A layer's fan-out, kept while neither the input's shape nor the place of its zero weights changes."""

    shape: torch.Size = field(default_factory=torch.Size)
    mask: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    given: Tensor = field(default_factory=lambda: torch.empty(0))
    n_dense: int = 0

    def find(self, layer: WeightedLayer, x: Tensor) -> Tensor:
        """Return the weights that are not 0 that each value of ``x``, ``(samples and steps, ...)``, meets."""
        mask = effective_weight(layer).detach() != 0
        if x.shape[1:] != self.shape:
            dense = count_fan_out(layer, x[:1], torch.ones_like(mask))
            self.n_dense = int(dense.expand(x[0].shape).sum())
        elif torch.equal(mask, self.mask):
            return self.given
        self.shape, self.mask, self.given = x.shape[1:], mask, count_fan_out(layer, x[:1], mask)
        return self.given


class DeltaCounter:
    """Counts what delta inference needs for every Linear, convolution, transposed or not, that runs within a ``with`` block.

    The model is not changed. A :class:`DeltaNetwork` is counted as it runs; any other model is counted as if it ran so::

        with DeltaCounter(model, n_steps=clips.shape[1]) as counter:
            run_frames(model, clips)
        print(counter.total().delta_sparsity, counter.total().n_macs)

    A multiply-accumulate is counted where the signal's change is not 0 (its l0 norm) and the weight is not 0 either, so that
    a pruned weight costs nothing; at a convolution's border only outputs that exist are counted. Additions of the changes,
    activations and biases are no multiply-accumulates.

    Args:
        model: any.
        n_steps: time steps of a sequence where frames are folded, ``(batch * n_steps, ...)``, as by :func:`run_frames`; None
            means ``(batch, time, ..., features)``, which only Linear takes. A DeltaNetwork needs none.
    """

    def __init__(self, model: nn.Module, *, n_steps: int | None = None) -> None:
        if n_steps is not None and n_steps < 1:
            raise InputError(
                "a sequence has steps", where="DeltaCounter", measured=f"{n_steps=}", limit=">= 1", fix="leave it out"
            )
        self.model, self.n_steps = model, n_steps
        self._counts: dict[str, LayerCount] = {}
        self._handles: list[Any] = []
        self._fan_outs: dict[str, _FanOut] = {}

    def __enter__(self) -> Self:
        for path, module in self.model.named_modules():
            if isinstance(module, WeightedLayer | DeltaSynapse):
                self._handles.append(module.register_forward_hook(self._count(path)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def layers(self) -> tuple[LayerCount, ...]:
        """Return the counts of every layer that ran, in the order in which they first ran, summed over all passes.

        Raises:
            InputError: nothing ran within the block.
        """
        if not self._counts:
            raise InputError(
                "no layer of weights was counted",
                where=type(self.model).__name__,
                fix="run the model within the with block first",
            )
        return tuple(self._counts.values())

    def total(self) -> LayerCount:
        """Return the sums over all layers, under the name ``total``.

        Raises:
            InputError: nothing ran within the block.
        """
        return add_counts(self.layers())

    def table(self) -> str:
        """Return the counts as text, a line a layer and one in total; see :func:`count_table`.

        Raises:
            InputError: nothing ran within the block.
        """
        return count_table(self.layers())

    def _count(self, path: str) -> Any:
        def count(module: WeightedLayer | DeltaSynapse, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            with torch.no_grad():
                new = self._measure(path, module, inputs[0].detach(), output)
            old = self._counts.get(path)
            self._counts[path] = new if old is None else _add((old, new), name=path, n_state=max(old.n_state, new.n_state))

        return count

    def _measure(self, path: str, module: WeightedLayer | DeltaSynapse, x: Tensor, output: Tensor) -> LayerCount:
        if isinstance(module, DeltaSynapse):
            delta = x if module.delta is None else module.delta.detach()  # never None: it has just run
            return self._measure_signals(path, module.layer, x, delta, output[0].numel())
        if self.n_steps is None and (not isinstance(module, nn.Linear) or x.ndim < 3):
            raise InputError(
                "which axis is time is not known",
                where=path,
                measured=str(tuple(x.shape)),
                limit="(batch, time, ..., features) for a Linear",
                fix="give n_steps, the frames of a sequence, and run the model through run_frames",
            )
        delta = differences(x, self.n_steps)
        if self.n_steps is not None:
            return self._measure_signals(path, module, x, delta.flatten(0, 1), output[0].numel())
        return self._measure_signals(path, module, x.flatten(0, 1), delta.flatten(0, 1), output[0, 0].numel())

    def _measure_signals(self, path: str, layer: WeightedLayer, x: Tensor, delta: Tensor, n_outputs: int) -> LayerCount:
        """Count one pass of ``x`` and its change, both ``(samples and steps, ...)``."""
        active, changed = (x != 0), (delta != 0)
        fan_outs = self._fan_outs.setdefault(path, _FanOut())
        fan_out = fan_outs.find(layer, x)
        return LayerCount(
            name=path,
            n_values=x.numel(),
            n_active=int(active.sum()),
            n_changed=int(changed.sum()),
            n_macs=int((changed.sum(0, dtype=torch.float64) * fan_out).sum()),
            n_macs_static=int((active.sum(0, dtype=torch.float64) * fan_out).sum()),
            n_macs_dense=fan_outs.n_dense * x.shape[0],
            n_state=x[0].numel() + n_outputs,
        )


def add_counts(layers: Iterable[LayerCount]) -> LayerCount:
    """Return the sums over layers, under the name ``total``."""
    counts = tuple(layers)
    return _add(counts, name="total", n_state=sum(count.n_state for count in counts))


def count_table(layers: Iterable[LayerCount]) -> str:
    """Return counts as text, a line a layer and one in total: what is sparse, and what is left of dense inference's work."""
    counts = tuple(layers)
    rows = [f"{'layer':20}{'zeros':>8}{'still':>8}{'MACs':>16}{'dense / MACs':>14}{'fetches':>16}{'state':>10}"]
    rows += [
        f"{count.name:20}{count.activation_sparsity:8.2%}{count.delta_sparsity:8.2%}{count.n_macs:16,}"
        f"{count.n_macs_dense / max(count.n_macs, 1):14.1f}{count.n_fetches:16,}{count.n_state:10,}"
        for count in (*counts, add_counts(counts))
    ]
    return "\n".join(rows)


def count_fan_out(layer: WeightedLayer, frame: Tensor, mask: Tensor) -> Tensor:
    """Return how many of a layer's weights each input value meets.

    That is the gradient of the sum of the layer's outputs, whatever the stride, padding, dilation and groups.

    Args:
        layer: whose weights.
        frame: ``(1, ...)``, of which the shape matters.
        mask: of the weights' shape, bool: those to count.

    Returns:
        Whole numbers in float64, which broadcast to ``frame[0]``.
    """
    if isinstance(layer, nn.Linear):
        return mask.double().sum(0)
    with torch.inference_mode(False), torch.enable_grad():
        weight = mask.double()
        probe = torch.zeros_like(frame, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(apply_weight(layer, probe, weight).sum(), probe)
    return gradient[0].round()


def _add(counts: tuple[LayerCount, ...], *, name: str, n_state: int) -> LayerCount:
    return LayerCount(
        name=name,
        n_values=sum(count.n_values for count in counts),
        n_active=sum(count.n_active for count in counts),
        n_changed=sum(count.n_changed for count in counts),
        n_macs=sum(count.n_macs for count in counts),
        n_macs_static=sum(count.n_macs_static for count in counts),
        n_macs_dense=sum(count.n_macs_dense for count in counts),
        n_state=n_state,
    )

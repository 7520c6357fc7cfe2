"""From outputs over time to one value a class, for samples of different lengths."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from snnmap.core.errors import InputError

__all__ = ["Readout", "ReadoutName", "collate_sequences"]

ReadoutName = Literal["last", "mean", "max", "count"]


class Readout(nn.Module):
    """Takes one value a sample and class out of potentials or spike counts over time; steps after a sample's end do not count.

    ::

        last    the value in the last step
        mean    the mean over the steps
        max     the largest value (max-over-time, Cramer et al. 2020)
        count   the sum over the steps: the spike count of spiking outputs

    Keep it outside the model that is compiled: the chip gives outputs over time, and the same readout takes those
    (:meth:`snnmap.Artifacts.run`).

    Args:
        kind: which.
        settle_steps: silent steps after a sample's end that still belong to it, in which late spikes arrive.
        skip_steps: steps at the beginning that do not count.
    """

    def __init__(self, kind: ReadoutName = "last", *, settle_steps: int = 0, skip_steps: int = 0) -> None:
        super().__init__()
        if kind not in get_args(ReadoutName):
            raise InputError(
                "unknown readout",
                where="Readout",
                measured=str(kind),
                limit=", ".join(get_args(ReadoutName)),
                fix="name one of them",
            )
        if settle_steps < 0 or skip_steps < 0:
            raise InputError(
                "a negative number of steps",
                where="Readout",
                measured=f"{settle_steps}, {skip_steps}",
                limit=">= 0",
                fix="give 0 or more",
            )
        self.kind, self.settle_steps, self.skip_steps = kind, settle_steps, skip_steps

    def forward(self, values: ArrayLike | Tensor, lengths: ArrayLike | Tensor | None = None) -> Tensor:
        """Read all samples.

        Args:
            values: ``(batch, time, n)`` potentials or counts.
            lengths: ``(batch,) int64`` steps of each sample without the settling steps; all steps where left out.

        Returns:
            ``(batch, n)``.

        Raises:
            InputError: a sample is longer than the values, or nothing of it is left to read.
        """
        values = torch.as_tensor(values)
        values = values if values.is_floating_point() else values.to(torch.get_default_dtype())
        stops = self._stops(values, None if lengths is None else torch.as_tensor(lengths))
        if self.kind == "last":
            return values[torch.arange(len(values), device=values.device), stops - 1]
        steps = torch.arange(values.shape[1], device=values.device)
        inside = ((steps >= self.skip_steps) & (steps < stops.unsqueeze(1))).unsqueeze(2)
        if self.kind == "max":
            return values.masked_fill(~inside, -torch.inf).amax(dim=1)
        total = (values * inside).sum(dim=1)
        return total if self.kind == "count" else total / (stops - self.skip_steps).unsqueeze(1).to(values.dtype)

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        return f"{self.kind!r}, settle_steps={self.settle_steps}, skip_steps={self.skip_steps}"

    def _stops(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """Return the step after the last one of each sample."""
        n_steps = values.shape[1]
        if lengths is None:
            stops = torch.full((len(values),), n_steps, device=values.device)
        elif lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
            raise InputError(
                "lengths are whole numbers of steps",
                where="Readout",
                measured=str(lengths.dtype),
                limit="int64",
                fix="give integers",
            )
        else:
            stops = lengths.to(values.device, torch.int64) + self.settle_steps
        if stops.shape != values.shape[:1] or (stops > n_steps).any() or (stops <= self.skip_steps).any():
            raise InputError(
                "lengths do not suit the outputs",
                where=f"Readout({self.extra_repr()})",
                measured=f"{stops.numel()} samples that end between step {int(stops.min())} and {int(stops.max())}",
                limit=f"{len(values)} samples that end between step {self.skip_steps + 1} and {n_steps}",
                fix="pad inputs by settle_steps silent steps (collate_sequences does), or skip fewer",
            )
        return stops


class collate_sequences:  # noqa: N801 - used as the function that it makes
    """A ``collate_fn`` for ``torch.utils.data.DataLoader`` over samples of different lengths.

    It turns ``[(counts (time, n), label), ...]`` to counts ``(batch, longest + settle_steps, n)`` with silence behind each
    sample, labels ``(batch, ...)`` and lengths ``(batch,)``. Counts that are integers become floats, as layers take them.

    Args:
        settle_steps: silent steps after the longest sample, as :class:`Readout` has them.
    """

    def __init__(self, settle_steps: int = 0) -> None:
        self.settle_steps = settle_steps

    def __call__(self, samples: Sequence[tuple[ArrayLike | Tensor, Any]]) -> tuple[Tensor, Tensor, Tensor]:
        """Return counts, labels and lengths of a batch."""
        given = [torch.as_tensor(counts) for counts, _ in samples]
        sequences = [counts if counts.is_floating_point() else counts.to(torch.get_default_dtype()) for counts in given]
        counts = nn.utils.rnn.pad_sequence(sequences, batch_first=True)
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        labels = torch.stack([torch.as_tensor(label) for _, label in samples])
        return nn.functional.pad(counts, (0, 0, 0, self.settle_steps)), labels, lengths

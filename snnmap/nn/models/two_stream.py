"""Two networks that look at a clip: one at its frames, one at what moves."""

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.delta import DeltaNetwork, run_frames
from snnmap.nn.models.resnet import ResNet

__all__ = ["TwoStream", "make_two_stream_resnet50", "stack_differences"]


class TwoStream(nn.Module):
    """Classify clips by the mean of two networks' softmax scores over streams and steps.

    The two-stream architecture (Simonyan & Zisserman 2014, section 2) with average fusion, whose temporal stream takes stacked
    differences of frames in place of optical flow: the experiment of Vijayan et al. 2022, Temporal Delta Layer::

        score = mean over t of (softmax(spatial(frame_t)) + softmax(temporal(stack_t))) / 2

    Both streams run at every step, so that ``insert_delta(model)``, ``sparsity_penalty(model)`` and
    ``DeltaCounter(model, n_steps=clip.shape[1])`` hold for both. To run by delta inference, wrap each stream:
    ``TwoStream(DeltaNetwork(model.spatial), DeltaNetwork(model.temporal))``. Train with
    ``nn.functional.nll_loss(score.log(), label)``, or each stream alone through :func:`run_frames`.

    Args:
        spatial: of frames ``(batch, 3, height, width)``; gives scores before softmax ``(batch, n_classes)``.
        temporal: of stacks ``(batch, 3 * n_stacked, height, width)``, or ``(batch, n_stacked, height, width)`` with ``grey``.
        n_stacked: differences in a stack.
        grey: whether the differences are of brightness alone.
    """

    def __init__(self, spatial: nn.Module, temporal: nn.Module, *, n_stacked: int = 10, grey: bool = False) -> None:
        super().__init__()
        self.spatial, self.temporal = spatial, temporal
        self.n_stacked, self.grey = n_stacked, grey

    def forward(self, clip: Tensor) -> Tensor:
        """Return the fused scores ``(batch, n_classes)``, which sum to 1.

        Args:
            clip: ``(batch, time, 3, height, width)``.

        Raises:
            InputError: another shape, or the streams have other classes.
        """
        stack = stack_differences(clip, self.n_stacked, grey=self.grey)
        scores = [_run_stream(self.spatial, clip), _run_stream(self.temporal, stack)]
        if scores[0].shape != scores[1].shape:
            raise InputError(
                "the streams give other scores",
                where="TwoStream",
                measured=f"spatial {tuple(scores[0].shape)}, temporal {tuple(scores[1].shape)}",
                limit="the same (batch, time, n_classes)",
                fix="give both streams the same classes",
            )
        return torch.stack(scores).softmax(-1).mean((0, 2))

    def extra_repr(self) -> str:
        """Return the choices, for ``print(model)``."""
        return f"n_stacked={self.n_stacked}, grey={self.grey}"


def make_two_stream_resnet50(n_classes: int, *, n_stacked: int = 10, grey: bool = False) -> TwoStream:
    """Return two ResNet-50 with random weights, as in the experiment of Vijayan et al. 2022 (101 classes there: UCF101).

    Args:
        n_classes: of the clips.
        n_stacked: differences that the temporal stream sees at once.
        grey: whether they are of brightness alone.
    """
    temporal = ResNet(n_channels=n_stacked if grey else 3 * n_stacked, n_classes=n_classes)
    return TwoStream(ResNet(n_classes=n_classes), temporal, n_stacked=n_stacked, grey=grey)


def stack_differences(clip: Tensor, n_stacked: int, *, grey: bool = False) -> Tensor:
    """Return the last differences of consecutive frames at each step, newest first, as channels.

    With ``d_t = frame_t - frame_{t-1}``, and 0 at and before the first frame, the stack is ``(d_t, d_{t-1}, ...,
    d_{t-n_stacked+1})``: a step needs no later frame, so that a stream can be run as it comes.

    Args:
        clip: ``(batch, time, channels, height, width)``, floating point.
        n_stacked: differences in a stack.
        grey: take the mean over the channels first.

    Returns:
        ``(batch, time, n_stacked * channels, height, width)``; one channel a difference with ``grey``.

    Raises:
        InputError: another shape or kind of number, or no difference asked for.
    """
    if clip.ndim != 5 or not clip.numel() or not clip.is_floating_point() or n_stacked < 1:
        raise InputError(
            "differences are stacked of clips of frames",
            where="stack_differences",
            measured=f"{tuple(clip.shape)} {clip.dtype}, n_stacked={n_stacked}",
            limit="(batch, time, channels, height, width), floating point, n_stacked >= 1",
            fix="unsqueeze(0) a single clip; divide bytes by 255 first, whose differences would wrap",
        )
    frames = clip.mean(2, keepdim=True) if grey else clip
    change = torch.diff(frames, dim=1, prepend=frames[:, :1])
    n_steps = change.shape[1]
    padded = torch.cat([change.new_zeros(change.shape[0], n_stacked - 1, *change.shape[2:]), change], 1)
    return torch.cat([padded[:, start : start + n_steps] for start in reversed(range(n_stacked))], 2)


def _run_stream(stream: nn.Module, x: Tensor) -> Tensor:
    if isinstance(stream, DeltaNetwork):
        scores: Tensor = stream(x)
        return scores
    return run_frames(stream, x)

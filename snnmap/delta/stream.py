"""One stream of frames through a network that computes only what changes."""

import math

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.delta.plan import Plan
from snnmap.delta.trace import choose_dtype, trace_copy
from snnmap.nn.delta.counts import LayerCount

__all__ = ["DeltaStream"]


class DeltaStream:
    """Run one stream of frames on a CPU; only input values that changed cost work.

    The delta inference of Vijayan et al. 2022, eq. 3.3 to 3.5, executed event by event: each layer keeps its input and its
    pre-activations; a changed value's weights times its change are added to the pre-activations that they reach, only those
    go through normalisation, activation and quantiser, and only what changes then goes on. The first frame runs densely in
    torch. At every step the output is ``model(frame)``, but for rounding.

    These skip: Linear (of ``(features,)`` a frame), Conv1d and Conv2d of zero padding, and their masked kinds; ConvTranspose1d
    and 2d; BatchNorm1d and 2d, ReLU, ReLU6, Hardtanh, the package's quantisers, Identity, Dropout, flattening, sums of two
    signals, channels side by side (``torch.cat(..., 1)``), Upsample, maximum pooling, average pooling that divides by what a
    window holds, adaptive average pooling to windows of one size; and torch's functions that do what one of these does, but for
    linear and convolutions. Every other call runs densely at every step, and its changes are found by comparison:
    :attr:`dense_nodes`. A layer whose weights are mostly 0, or in groups, keeps lists of those that are not 0, but for a
    convolution within each channel, which takes a position's channels at once. Where most of a large convolution's input changes
    in a step, torch computes its pre-activations anew in that step.

    Rounding: pre-activations are sums over all changes since the last dense pass, so that their rounding errors add up like a
    random walk. Over 1,000 steps of three convolutions and a head the largest error was 2.7e-6 of the largest output, and 6e-15
    in float64 (``benchmarks/delta_streaming.py``). ``refresh_every`` bounds it, ``dtype=torch.float64`` all but removes it and
    takes longer, since vectors hold half as many values. A quantised value close to the middle between two levels may take
    another level than torch's sum, in another order, gives it; exact sums (dyadic weights and steps) never drift.

    Args:
        model: of one frame ``(1, ...)``; copied, in evaluation, with its weights of now.
        example_frame: ``(1, ...)``; quantisers without a step take it from this frame.
        dtype: of states and arithmetic: float32 or float64; None takes the model's.
        refresh_every: steps after which a dense pass in torch sets all states anew; None never does.
        threshold: a value of the frame is taken up where it differs by more than this from the one last taken up (Neil et al.
            2017, Delta Networks). The output is then that of ``held``, no value of which is further than this from the frame:
            noise does not flip what is rounded next.

    Attributes:
        held: with a threshold, the frame that was taken up, ``(1, ...)``; None before the first.
        dense_nodes: names of the calls that skip nothing: paths of modules, or what torch.fx calls a function's call.

    Raises:
        FrontendError: the model's forward cannot be followed, or its output depends on no frame.
        InputError: frames of a batch, a forward of several arguments or results, another dtype, ``refresh_every`` below 1, or a
            threshold below 0.
    """

    def __init__(
        self,
        model: nn.Module,
        example_frame: Tensor,
        *,
        dtype: torch.dtype | None = None,
        refresh_every: int | None = None,
        threshold: float = 0.0,
    ) -> None:
        self.dtype = choose_dtype(model, example_frame) if dtype is None else dtype
        self.refresh_every, self.threshold = refresh_every, threshold
        self._require_options(example_frame)
        self._plan = Plan(*trace_copy(model, example_frame.to(self.dtype), where="DeltaStream"))
        self.dense_nodes = tuple(self._plan.dense)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next frame is a first one."""
        self.n_steps = 0
        self.held: Tensor | None = None
        for tally in self._plan.tallies:
            tally.reset()

    def step(self, frame: Tensor) -> Tensor:
        """Return the output of the stream's next frame.

        Args:
            frame: ``(1, ...)``, of the example's shape, finite.

        Returns:
            ``(1, ...)``, in the stream's dtype; the caller's to keep.

        Raises:
            InputError: another shape, or a value that is not finite and would stay in the states. If the network made it, the
                stream is reset; a refused frame changes nothing.
        """
        frame = torch.as_tensor(frame).detach().to(self.dtype)
        try:
            if self._take(frame):
                return self._step(frame if self.held is None else self.held)
        except BaseException:
            self.reset()
            raise
        raise self._refuse(frame)

    def _take(self, frame: Tensor) -> bool:
        """Take over what changed, or all of a first frame; give False, with nothing changed, where the frame cannot be taken."""
        if tuple(frame.shape) != (1, *self._plan.input.shape):
            return False
        held = self._hold(frame)
        is_taken = self._plan.take(held) if self.n_steps else _is_finite(held)
        if is_taken and self.threshold:
            self.held = held
        return is_taken

    def _hold(self, frame: Tensor) -> Tensor:
        """Keep the values that have changed too little; what is not finite has not."""
        if self.threshold == 0.0:
            return frame
        held = frame if self.held is None else self.held
        return torch.where((frame - held).abs() <= self.threshold, held, frame)

    def _step(self, frame: Tensor) -> Tensor:
        """Run the network on a frame that was taken."""
        with torch.inference_mode():
            if self.n_steps == 0:
                self._plan.start(frame)
            else:
                self._plan.follow()
            self.n_steps += 1
            if self.refresh_every is not None and self.n_steps % self.refresh_every == 0:
                self._plan.refresh(frame)
        for tally in self._plan.tallies:
            tally.n_frames = self.n_steps
        output = self._plan.give_output()
        if not _is_finite(output):
            raise InputError(
                "the output is not finite, and would not become so again",
                where=f"DeltaStream.step, frame {self.n_steps - 1}",
                measured=f"largest value of the frame {float(frame.abs().max()):.4g}",
                limit="finite",
                fix="give smaller values; the stream was reset",
            )
        return output

    def counts(self) -> tuple[LayerCount, ...]:
        """Return the work of each layer of weights since the reset, in the order of the graph.

        Where sums are exact these are the numbers of :class:`snnmap.nn.delta.DeltaCounter` for the same frames (elsewhere a
        value that should come back to 0 may miss it by a rounding error, and counts as active): ``n_macs`` counts a changed
        value's weights that are not 0, while rows kept dense multiply their zeros too; a first frame, which torch runs
        densely, counts as the change from nothing. A refresh and a layer among ``dense_nodes`` count densely; a step in which
        torch computes a layer, since most of its input changed, counts the changes.
        """
        return tuple(tally.give() for tally in self._plan.tallies)

    def _require_options(self, example: Tensor) -> None:
        if example.ndim < 2 or example.shape[0] != 1 or not example.numel():
            raise InputError(
                "a stream has one frame a step",
                where="DeltaStream",
                measured=str(tuple(example.shape)),
                limit="(1, ...)",
                fix="give a frame with a batch of 1; a stream of its own for each sample",
            )
        is_known = self.dtype in (torch.float32, torch.float64) and (self.refresh_every is None or self.refresh_every >= 1)
        if not is_known or not 0.0 <= self.threshold < math.inf:
            raise InputError(
                "a stream cannot be run so",
                where="DeltaStream",
                measured=f"dtype={self.dtype}, refresh_every={self.refresh_every}, threshold={self.threshold}",
                limit="float32 or float64; >= 1 or None; >= 0 and finite",
                fix="give dtype=torch.float32, refresh_every=None, threshold=0.0",
            )

    def _refuse(self, frame: Tensor) -> InputError:
        return InputError(
            "the stream cannot take this frame",
            where=f"DeltaStream.step, frame {self.n_steps}",
            measured=f"shape {tuple(frame.shape)}, {int((~torch.isfinite(frame)).sum())} values not finite",
            limit=f"shape {(1, *self._plan.input.shape)}, all finite",
            fix="give finite frames of the example's shape",
        )


def _is_finite(values: Tensor) -> bool:
    """Say whether all values are finite; a sum, which is much faster to tell, is not finite where one of them is not."""
    return math.isfinite(float(values.sum())) or bool(torch.isfinite(values).all())

"""One window that moves over a stream, through a network that computes only what the steps that enter reach."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.delta.kept import Followed, MovingSignal, Signal, Whole, Window
from snnmap.delta.moving import WINDOWED, Moving, find_way
from snnmap.delta.trace import choose_dtype, find_path, is_layer, trace_copy
from snnmap.frontends.torch.partial import TorchCall, read_partly
from snnmap.graph.graph import Node
from snnmap.graph.operation import TensorType

__all__ = ["WindowStream"]


class WindowStream:
    """Run a network of a window of time that moves on over one stream; what has only moved is not computed again.

    A convolution's outputs of a window are, but for its edges, those of the window before, some places further on. So each
    layer keeps its outputs, moves them, and computes those that the entering steps reach, and those at the other edge where
    zeros around the window are seen. Where the output is of the last place alone, as a causal convolution's usually is, each
    layer keeps and computes no more than it sees. At every step the output is ``model(window)``, but for the order of sums.

    These move: Conv1d and 2d, maximum and average pooling, where ``hop`` is a multiple of the strides up to there; what does
    the same at each place, such as activations, normalisation, Linear of the last axis, sums, transpositions; cutting and padding
    along time. What a call does is found by rule and tried on random values, whole and in parts. Every other call, such as a
    Linear of the flattened window, runs on the whole window at every step: :attr:`dense_nodes`.

    Args:
        model: of one window ``(1, ...)``; copied, in evaluation, with its weights of now.
        example_window: ``(1, ...)``; quantisers without a step take it from this window.
        axis: of time in the window.
        hop: steps by which the window moves on.
        dtype: of states and arithmetic: float32 or float64; None takes the model's.

    Attributes:
        dense_nodes: names of the calls that run on the whole window.
        n_macs: multiply-accumulates of a step in layers of weights, their zeros and those of padding included.
        n_macs_dense: the same of ``model(window)``.

    Raises:
        FrontendError: the model's forward cannot be followed, or its output depends on no window.
        InputError: windows of a batch, a forward of several arguments or results, another dtype, no such axis, or a hop that is
            no number of steps of the window.

    Example:
        >>> model = nn.Sequential(nn.Conv1d(3, 4, 5), nn.ReLU(), nn.Conv1d(4, 2, 3), nn.AdaptiveAvgPool1d(1))
        >>> stream = WindowStream(model, torch.zeros(1, 3, 100))
        >>> stream.step(torch.ones(1, 3, 1)).shape, stream.n_macs, stream.n_macs_dense
        (torch.Size([1, 2, 1]), 84, 8016)
    """

    def __init__(
        self, model: nn.Module, example_window: Tensor, *, axis: int = -1, hop: int = 1, dtype: torch.dtype | None = None
    ) -> None:
        dtype = choose_dtype(model, example_window) if dtype is None else dtype
        _require_options(example_window, axis, hop, dtype)
        self._keep_all(model, example_window.to(dtype), axis % example_window.ndim, hop)
        names = [kept.call.name for kept in self._nodes if isinstance(kept, Whole)]
        self.dense_nodes = tuple(find_path(name) or name for name in names)
        self.reset()
        counts = [_count(kept) for kept in self._nodes]
        self.n_macs, self.n_macs_dense = (sum(count[which] for count in counts) for which in (0, 1))

    def reset(self, window: Tensor | None = None) -> None:
        """Begin another stream, with a window ``(1, ...)`` of what came before, or of zeros.

        Raises:
            InputError: another shape.
        """
        kept, moving = self._window, self._moving
        window = torch.zeros(moving.shape) if window is None else window
        _require_shape(window, moving.shape, "reset")
        part = window.detach().to(moving.dtype).narrow(moving.axis, kept.start, kept.stop - kept.start)
        kept.values = part.clone()
        with torch.inference_mode():
            for node in self._nodes:
                node.load()

    def step(self, entering: Tensor) -> Tensor:
        """Move the window on and return its output.

        Args:
            entering: ``(1, ...)``, of ``hop`` places along time.

        Returns:
            ``(1, ...)``, in the stream's dtype; the caller's to keep.

        Raises:
            InputError: another shape.
        """
        shape, axis = self._moving.shape, self._moving.axis
        _require_shape(entering, (*shape[:axis], self._moving.hop, *shape[axis + 1 :]), "step")
        try:
            with torch.inference_mode():
                self._window.enter(entering.detach().to(self._moving.dtype))
                for node in self._nodes:
                    node.follow()
        except BaseException:
            self.reset()
            raise
        output: Tensor = self._output.copy_whole()
        return output

    def _keep_all(self, model: nn.Module, example: Tensor, axis: int, hop: int) -> None:
        """Find the window, all other signals in the order of the graph, and what is kept of each."""
        module, results = trace_copy(model, example, where="WindowStream")
        graph, calls = read_partly(module, results, WINDOWED)
        (name,), (output,), shape = graph.inputs, graph.outputs, tuple(example.shape)
        self._moving = Moving(shape, example.dtype, axis, hop, 0, shape[axis] - hop)
        self._window = Window(moving=self._moving)
        kept: dict[str, Signal] = {name: self._window}
        self._nodes: list[Followed | Whole] = []
        with torch.inference_mode():
            for node in graph.nodes:
                kept[node.name] = one = _keep(node, calls[node.name], kept, graph.types[node.name])
                self._nodes.append(one)
            self._output = kept[output]
            if isinstance(self._output, MovingSignal):
                self._output.widen(0, self._output.moving.size)
            for one in reversed(self._nodes):
                one.widen_sources()
        self._window.widen(shape[axis] - 1, shape[axis])  # where steps enter


def _keep(node: Node, call: TorchCall, kept: Mapping[str, Signal], kind: TensorType) -> Followed | Whole:
    sources = {name: kept[name] for name in dict.fromkeys(node.inputs) if name in kept}
    moving = {name: source for name, source in sources.items() if isinstance(source, MovingSignal)}
    if 0 < len(moving) == len(sources) and kind.dtype != "object":
        way = find_way(node.operation, call, {name: source.moving for name, source in moving.items()}, (1, *kind.shape))
        if way is not None:
            return Followed(moving=way.out, call=call, sources=moving, way=way)
    return Whole(call=call, sources=sources)


def _count(kept: Followed | Whole) -> tuple[int, int]:
    """Count a layer's multiply-accumulates of a step and of a window."""
    module: Any = kept.call.module
    if not is_layer(module):
        return 0, 0
    (source,) = kept.sources.values()
    values = source.copy_whole() if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d) else kept.copy_whole()
    n_macs = module.weight.numel() * values.numel() // values.shape[1 if module.weight.ndim > 2 else -1]
    if isinstance(kept, Whole):
        return n_macs, n_macs
    return n_macs * sum(part.stop - part.start for part in kept.parts) // kept.moving.size, n_macs


def _require_shape(given: Tensor, shape: tuple[int, ...], call: str) -> None:
    if tuple(given.shape) != shape:
        raise InputError(
            "the stream cannot take these steps",
            where=f"WindowStream.{call}",
            measured=str(tuple(given.shape)),
            limit=str(shape),
            fix="give step() what enters the window, and reset() a whole one",
        )


def _require_options(example: Tensor, axis: int, hop: int, dtype: torch.dtype) -> None:
    is_window = example.ndim >= 2 and example.shape[0] == 1 and example.numel() > 0
    if not is_window or axis not in {*range(1, example.ndim), *range(1 - example.ndim, 0)}:
        raise InputError(
            "a stream has one window, and time along an axis of it",
            where="WindowStream",
            measured=f"{tuple(example.shape)}, axis={axis}",
            limit="(1, ...), an axis behind the first",
            fix="give a window with a batch of 1, and axis=-1 where time comes last",
        )
    if not 1 <= hop <= example.shape[axis] or dtype not in (torch.float32, torch.float64):
        raise InputError(
            "a window cannot be moved so",
            where="WindowStream",
            measured=f"hop={hop}, dtype={dtype}",
            limit=f"1 to {example.shape[axis]} steps; float32 or float64",
            fix="give hop=1, dtype=torch.float32",
        )

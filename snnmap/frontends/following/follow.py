"""Following a forward by running it: loops, lists and states as Python has them, whatever their form."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from snnmap.core.errors import FrontendError
from snnmap.frontends.following.again import Learn, MisfitError, OtherLayout, refuse_unknown_size
from snnmap.frontends.following.framework import Framework
from snnmap.frontends.following.layers import Layer, Layers
from snnmap.frontends.following.operations import (
    CONSTANT,
    LINEAR,
    MOVING,
    PICKING,
    READING,
    Call,
    UnreadableError,
    list_written,
    move,
    passes,
    run_with_batch_of_one,
)
from snnmap.frontends.following.pools import Pools, require_one_for_all
from snnmap.frontends.following.signal import Signal, join, make_constant
from snnmap.frontends.following.steps import InputSteps
from snnmap.frontends.following.twin import take_spikes
from snnmap.frontends.following.values import Values
from snnmap.frontends.torch.modules import as_array

__all__ = ["Follower"]

_USABLE = (
    "use Linear, Conv1d, Conv2d, BatchNorm, AvgPool, Flatten, cat, sums and products with numbers, and the framework's neurons"
)


_LAST = "return the values before it, of which the largest is the class all the same; cross_entropy takes those"
_FIXES = dict.fromkeys(("argmax", "log_softmax", "sigmoid", "softmax"), _LAST)
_WEIGHING = ("linear", "matmul", "__matmul__", "mm", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")


class Follower(TorchFunctionMode):
    """Keeps, beside each tensor of a run, what it is made of.

    Attributes:
        values: what the tensors are made of.
        layers: the neurons found so far.
        pools: the MaxPools found so far.
        inputs: arguments of forward, and on which axis they have steps; -1 for none.
        unknown: names of inputs whose number of channels is not known.
        steps: which ones of the inputs neurons take.
    """

    def __init__(self, framework: Framework) -> None:
        super().__init__()
        self.framework = framework
        self.values = Values()
        self.layers = Layers(self.values)
        self.pools = Pools(framework, self.layers)
        self.inputs: dict[str, tuple[Tensor, int]] = {}
        self.unknown: set[str] = set()
        self.steps = InputSteps()
        self._stack: list[tuple[str, nn.Module]] = []

    def watch(self, path: str, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a module's forward; neurons are not followed inside, but known."""
        kind, args = self.framework.find_kind(module), take_spikes(module, self.framework, args)
        args = tuple(map(_as_double, args))  # a layer inside of neurons gets the spikes as these keep them
        self._stack.append((path, module))
        try:
            return forward(*args, **kwargs) if kind is None else self._run_neurons(path, module, kind, forward, args, kwargs)
        finally:
            self._stack.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
        name = getattr(func, "__name__", str(func))
        if name in CONSTANT or not any(map(self.values.is_followed, leaves)):
            return func(*args, **kwargs)
        if name in ("__getitem__", "unbind", "__iter__", "select") and self._takes_sample(args):
            raise OtherLayout
        if name in READING or (name in PICKING and any(map(self._is_followed_index, leaves))):
            raise FrontendError(
                "what forward does depends on the values of spikes, states or inputs",
                where=self._where(),
                measured=f"'{name.strip('_')}' of a tensor",
                fix="write forward without branches over data",
            )
        args, kwargs = tree_map(lambda leaf: leaf if self.values.is_followed(leaf) else _as_double(leaf), (args, kwargs))
        if passes(func, name, args, kwargs):
            return args[0]
        if _writes(name):
            self._keep_constant(args[0])
        result = self._run(func, name, args, kwargs)
        results = [args[0]] if result is None else [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, Tensor)]
        if results and all(tensor.is_floating_point() for tensor in results):
            self._note(func, name, args, kwargs, results)
        elif results:
            for tensor in results:
                self.values.follow(tensor, self._refuse_result(name, leaves))
        return result

    def _keep_constant(self, tensor: Tensor) -> None:
        """Keep what a tensor that is about to be written to is made of, where it was constant so far."""
        for part in (tensor, tensor._base):
            if part is not None and not self.values.is_followed(part):
                self.values.follow(part, make_constant(as_array(part).reshape(-1)))

    def _is_followed_index(self, leaf: Tensor) -> bool:
        """Say whether a tensor of a call says by followed values which values are taken, as a mask or places."""
        return not leaf.is_floating_point() and self.values.is_followed(leaf)

    def _takes_sample(self, args: Any) -> bool:
        """Say whether one sample of a batch is taken, which is a step in truth."""
        index = args[1] if len(args) > 1 else 0
        first = index[0] if isinstance(index, tuple) and index else index
        return any(known is args[0] and axis == -1 for known, axis in self.inputs.values()) and isinstance(first, int)

    def _note(self, func: Any, name: str, args: Any, kwargs: Any, results: list[Tensor]) -> None:
        """Follow what a function gave."""
        try:
            signals = self._find_results(func, name, args, kwargs, results[0])
        except UnreadableError as error:
            signals = [self._refuse_operation(name, str(error), error.fix)] * len(results)
        except FrontendError as error:  # of an operand
            signals = [error] * len(results)
        for tensor, signal in zip(results, signals, strict=True):
            self.values.follow(tensor, signal)
        is_written = results[0] is args[0] or results[0] is kwargs.get("out")
        if is_written and results[0]._base is not None:
            self._write_through(results[0], results[0]._base, signals[0])

    def _write_through(self, view: Tensor, base: Tensor, signal: Signal | FrontendError) -> None:
        """Follow the tensor of which a part was written to through a view."""
        if isinstance(signal, Signal) and self.values.find_error(base) is None:
            signal = join([self.values.find(base), signal]).pick(list_written(view, base))
        self.values.follow(base, signal)

    def _find_results(self, func: Any, name: str, args: Any, kwargs: Any, result: Tensor) -> list[Signal | FrontendError]:
        call = Call(name=name, args=args, kwargs=kwargs, result=result, path=self._path(), find=self.values.find)
        if name in ("view", "reshape"):
            return [self.values.find(args[0])]
        if name in MOVING:
            return [*move(func, args, kwargs, self.values.find)]
        if name in LINEAR:
            return [LINEAR[name](call)]
        if name in ("max_pool1d", "max_pool2d"):
            return [self.pools.read(call)]
        return [self._refuse_result(name, tree_flatten((args, kwargs))[0])]

    def _run(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        first = args[0]
        if name in _WEIGHING and self.values.is_followed(first):
            self._learn_size(first, name, args[1])
        try:
            return func(*args, **kwargs)
        except IndexError:
            if name == "__getitem__":
                self._learn_steps(first, args[1])
            raise
        except RuntimeError as error:
            again = run_with_batch_of_one(func, name, args, kwargs)
            if again is not None:
                return again
            if name in _WEIGHING:
                raise MisfitError(
                    "a layer does not fit the size of its input",
                    where=self._where(),
                    measured=f"input {tuple(first.shape)}, batch included",
                    limit=f"weights {tuple(args[1].shape)}",
                    fix="check the layer, and input_sizes: channels, or the shape of a step without the batch",
                ) from error
            raise

    def _learn_size(self, tensor: Tensor, name: str, weight: Tensor) -> None:
        """Tell the channels of an input of which they were not known."""
        found = {part.source.name for part in self.layers.sources.split(self.values.find(tensor)) if part.source.kind == "input"}
        for unknown in sorted(found & self.unknown):
            if name.startswith("conv"):
                sides = "width" if weight.ndim == 3 else "height, width"
                raise refuse_unknown_size(unknown, f"({weight.shape[1]}, {sides})")
            raise Learn(unknown, size=int(weight.shape[-1 if name == "linear" else 0]))

    def _learn_steps(self, tensor: Tensor, index: Any) -> None:
        """Tell that forward asks for a step beyond those that were given."""
        for name, (known, axis) in self.inputs.items():
            if axis < 0:
                continue
            place = index[axis] if isinstance(index, tuple) and len(index) > axis else index if axis == 0 else None
            if known is tensor and isinstance(place, int) and place >= tensor.shape[axis]:
                raise Learn(name, steps=place + 1)

    def _run_neurons(self, path: str, module: nn.Module, kind: str, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        names, returned = self.framework.states[kind]
        given = {**dict(zip(("input", *names), args, strict=False)), **kwargs}
        if "state" in kwargs:
            given[names[0]] = kwargs["state"]
        tensor, *states = args[0] if args else kwargs[next(iter(kwargs))], *(given.get(name) for name in names)
        found = {name: state for name, state in zip(names, _spread(states), strict=False) if state is not None}
        pool = self.pools.find(tensor)
        signal, shape = (self.values.find(tensor), tuple(tensor.shape)) if pool is None else (pool.signal, (pool.signal.size,))
        self._learn_neurons(path, module, signal)
        layer = self.layers.find_chain(path, kind, found) if found else self.layers.find_own(path, kind, module, names)
        if pool is not None:
            require_one_for_all(path, module, tensor.numel(), names)
        spikes = self._take_steps(layer, module, signal, shape)  # what they are is looked at before they run
        if pool is not None:
            spikes = self.pools.move_behind(layer, replace(pool, signal=spikes))
        with torch._C.DisableTorchFunction():
            result = forward(*[_as_double(part) for part in args], **{name: _as_double(part) for name, part in kwargs.items()})
        if not found:
            self.layers.memories.keep(path, module)
        values, structure = tree_flatten(result)
        values = [value.double().clone() for value in values]
        self.values.follow(values[0], spikes)
        self._follow_membranes(layer, module)
        layer.gives_states |= len(values) > 1 or (layer.neurons is not None and not layer.neurons.max_count)
        if self.framework.time_axis(module) is None:
            for name, state in zip(returned, values[1:], strict=False):
                self.values.follow(
                    state, self.layers.sources.add(layer.name, "state", state.numel(), step=len(layer.inputs) - 1, state=name)
                )
        return tree_unflatten(values, structure)

    def _follow_membranes(self, layer: Layer, module: nn.Module) -> None:
        """Follow the membranes that a module keeps, of as many steps as it keeps."""
        last, all_steps = self.framework.membranes(module)
        if last is None:
            return
        for step in range(len(layer.membranes), len(layer.inputs)):
            layer.membranes.append(self.layers.sources.add(layer.name, "state", last.numel(), step=step, state="mem"))
        self.values.follow(last, layer.membranes[-1])
        layer.gives_states |= all_steps is not None or self.framework.time_axis(module) is None
        if all_steps is not None:
            self.values.follow(all_steps, join(layer.membranes[-len(all_steps) :]))

    def _take_steps(self, layer: Layer, module: nn.Module, signal: Signal, shape: tuple[int, ...]) -> Signal:
        """Let neurons take what came in, of one step or of several in one call, and return what they give."""
        axis = self.framework.time_axis(module)
        places = np.arange(signal.size).reshape(shape)
        steps = [places] if axis is None else list(np.moveaxis(places, axis, 0))
        given = []
        for step in steps:
            now = signal.pick(step.reshape(-1))
            self._require_now(layer.path, now, len(layer.inputs))
            self.steps.require_one_run(layer.path, len(layer.inputs), self.framework.reset_call)
            layer.neurons = layer.neurons or self.framework.read(layer.path, module, layer.kind, now.size)
            given.append(self.layers.add_step(layer, now))
        order = np.argsort(np.concatenate([step.reshape(-1) for step in steps]))
        return given[0] if axis is None else join(given).pick(order)

    def _learn_neurons(self, path: str, module: nn.Module, signal: Signal) -> None:
        """Tell the channels of an input that neurons take without weights."""
        size = max((part.numel() for part in (*module.parameters(), *module.buffers())), default=1)
        for part in self.layers.sources.split(signal):
            if part.source.kind == "input" and part.source.name in self.unknown:
                if size == 1:
                    raise FrontendError("the number of neurons is unknown", where=f"module '{path}'", fix="give input_sizes")
                raise Learn(part.source.name, size=size)

    def _require_now(self, path: str, signal: Signal, step: int) -> None:
        """Check that neurons take what there is in their step."""
        parts = list(self.layers.sources.split(signal))
        for part in parts:
            if part.source.kind == "state":
                raise FrontendError(
                    "neurons take a state as their input", where=f"module '{path}'", fix="give them currents or spikes"
                )
            is_later = part.source.step is not None and part.source.step > step
            if is_later and part.source.kind != "input":
                raise OtherLayout
        if self.steps.mixes(path, step, parts):
            raise OtherLayout

    def _path(self) -> str:
        return self._stack[-1][0] if self._stack else ""

    def _where(self) -> str:
        return f"module '{self._path()}'" if self._path() else "forward"

    def _refuse_operation(self, name: str, what: str = "", fix: str = "") -> FrontendError:
        module = self._stack[-1][1] if self._stack else None
        is_torchs = type(module).__module__.startswith("torch.nn.modules") and not isinstance(module, nn.Sequential)
        noun = f"module {type(module).__name__}" if is_torchs else f"operation '{name.strip('_')}'"
        fix = fix or _FIXES.get(name.strip("_"), "")
        return self._refuse(f"{noun} has no counterpart on the chip{': ' if what else ''}{what}", fix)

    def _refuse_result(self, name: str, operands: Sequence[object]) -> FrontendError:
        """Return the error about an operation; where it takes what another made of followed values, as a mask, about that."""
        first = next((operand for operand in operands if isinstance(operand, Tensor) and self._is_followed_index(operand)), None)
        known = None if first is None else self.values.find_error(first)
        return known or self._refuse_operation(name)

    def _refuse(self, what: str, fix: str = "") -> FrontendError:
        return FrontendError(what, where=self._where(), fix=fix or _USABLE)


def _writes(name: str) -> bool:
    """Say whether a function writes to its first argument."""
    return name in ("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__") or (
        name.endswith("_") and not name.endswith("__")
    )


def _as_double(leaf: Any) -> Any:
    is_short = isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dtype != torch.float64
    return leaf.double() if is_short else leaf


def _spread(states: list[Any]) -> list[Any]:
    """Return states one by one, those of a tuple that holds all of them too."""
    return [*states[0]] if states and isinstance(states[0], tuple) else states

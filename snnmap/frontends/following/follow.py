"""Following a forward by running it: loops, lists and states as Python has them, whatever their form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from snnmap.core.errors import FrontendError
from snnmap.core.record import IntArray
from snnmap.frontends.following.framework import Framework, NeuronModule
from snnmap.frontends.following.operations import (
    CONSTANT,
    LINEAR,
    MOVING,
    PICKING,
    READING,
    Call,
    UnreadableError,
    find_plane,
    find_pool,
    list_written,
    move,
    passes,
    run_with_batch_of_one,
    spread_over_batch,
)
from snnmap.frontends.following.signal import Part, Signal, Source, Sources, join, make_constant
from snnmap.frontends.following.twin import take_spikes
from snnmap.frontends.torch.modules import as_array

__all__ = [
    "Follower",
    "Layer",
    "Learn",
    "MisfitError",
    "OtherLayout",
    "refuse_unknown_size",
]

_USABLE = (
    "use Linear, Conv1d, Conv2d, BatchNorm, AvgPool, Flatten, cat, sums and products with numbers, and the framework's neurons"
)
_POOL = "put the MaxPool behind the neurons, whose spikes are 0 or 1, and train on, or use AvgPool2d"
_MOVE = "; or pools='after' in snnmap.load, which moves it there and measures what that changes"


_WEIGHING = ("linear", "matmul", "__matmul__", "mm", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")


class MisfitError(FrontendError):
    """Weights and their input have other sizes: of the user's, or because batch and time have another order."""


class OtherLayout(Exception):  # noqa: N818 (no error: another order of batch and time is tried)
    """The arguments of forward have batch and time in another order."""


@dataclass
class Learn(Exception):  # noqa: N818 (no error: forward is run again)
    """What running forward taught about an argument: its number of channels, that it is a state, or more steps."""

    name: str
    size: int = 0
    owner: str = ""
    steps: int = 0


@dataclass
class Layer:
    """Neurons that forward runs, once a step.

    Attributes:
        name: by which sources call their spikes.
        path: of the module.
        kind: the class of the neurons; ``pool`` for the largest of several spikes.
        states_from: whether their states are the module's own, arguments of forward, or made in forward.
        neurons: what they compute; None for pools.
        gives_states: whether the module returns its membrane.
        inputs: what came in, by step.
    """

    name: str
    path: str
    kind: str
    states_from: Literal["module", "argument", "forward"]
    neurons: NeuronModule | None = None
    gives_states: bool = False
    inputs: list[Signal] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.inputs[0].size


@dataclass(frozen=True, slots=True)
class _Pool:
    """A MaxPool: what goes in, ``(n_in, n_out)`` ones where a value is in a window, and the name of its neurons."""

    signal: Signal
    windows: Any
    path: str


class Follower(TorchFunctionMode):
    """Keeps, beside each tensor of a run, what it is made of.

    Attributes:
        sources: all that values are made of.
        layers: found so far, in order.
        states: arguments of forward that are states.
        inputs: arguments of forward, and on which axis they have steps; -1 for none.
        unknown: names of inputs whose number of channels is not known.
        moved: names of the pools that were put behind the neurons, and of these neurons.
    """

    def __init__(self, framework: Framework) -> None:
        super().__init__()
        self.framework = framework
        self.states: dict[str, Tensor] = {}
        self.inputs: dict[str, tuple[Tensor, int]] = {}
        self.unknown: set[str] = set()
        self.sources = Sources()
        self.layers: dict[str, Layer] = {}
        self.moved: dict[str, str] = {}
        self._pooled: dict[int, tuple[Tensor, _Pool]] = {}
        self._values: dict[int, tuple[Tensor, Signal | FrontendError]] = {}
        self._stack: list[tuple[str, nn.Module]] = []
        self._chains: dict[Any, str] = {}
        self._owners: dict[str, str] = {}

    def follow(self, tensor: Tensor, value: Signal | FrontendError) -> Tensor:
        """Say what a tensor is made of."""
        self._values[id(tensor)] = (tensor, value)
        return tensor

    def find(self, tensor: Tensor) -> Signal:
        """Return what a tensor is made of; one that was not followed is constant.

        Raises:
            FrontendError: of an operation that has no counterpart.
        """
        known = self._values.get(id(tensor))
        if known is None or known[0] is not tensor:
            return make_constant(as_array(tensor).reshape(-1))
        if isinstance(known[1], FrontendError):
            raise known[1]
        return known[1]

    def is_followed(self, value: object) -> bool:
        """Say whether a value is a tensor that depends on what is followed."""
        return isinstance(value, Tensor) and id(value) in self._values and self._values[id(value)][0] is value

    def watch(self, path: str, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a module's forward; neurons are not followed inside, but known."""
        kind, args = self.framework.kinds.get(type(module)), take_spikes(module, self.framework, args)
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
        if name in CONSTANT or not any(map(self.is_followed, leaves)):
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
        args, kwargs = tree_map(lambda leaf: leaf if self.is_followed(leaf) else _as_double(leaf), (args, kwargs))
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
                self.follow(tensor, self._refuse_result(name, leaves))
        return result

    def _keep_constant(self, tensor: Tensor) -> None:
        """Keep what a tensor that is about to be written to is made of, where it was constant so far."""
        for part in (tensor, tensor._base):
            if part is not None and not self.is_followed(part):
                self.follow(part, make_constant(as_array(part).reshape(-1)))

    def _is_followed_index(self, leaf: Tensor) -> bool:
        """Say whether a tensor of a call says by followed values which values are taken, as a mask or places."""
        return not leaf.is_floating_point() and self.is_followed(leaf)

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
            self.follow(tensor, signal)
        is_written = results[0] is args[0] or results[0] is kwargs.get("out")
        if is_written and results[0]._base is not None:
            self._write_through(results[0], results[0]._base, signals[0])

    def _write_through(self, view: Tensor, base: Tensor, signal: Signal | FrontendError) -> None:
        """Follow the tensor of which a part was written to through a view."""
        known = self._values.get(id(base))
        if isinstance(signal, Signal) and not (known is not None and isinstance(known[1], FrontendError)):
            signal = join([self.find(base), signal]).pick(list_written(view, base))
        self.follow(base, signal)

    def _find_results(self, func: Any, name: str, args: Any, kwargs: Any, result: Tensor) -> list[Signal | FrontendError]:
        call = Call(name=name, args=args, kwargs=kwargs, result=result, path=self._path(), find=self.find)
        if name in ("view", "reshape"):
            return [self.find(args[0])]
        if name in MOVING:
            return [*move(func, args, kwargs, self.find)]
        if name in LINEAR:
            return [LINEAR[name](call)]
        if name in ("max_pool1d", "max_pool2d"):
            return [self._pool(call)]
        return [self._refuse_result(name, tree_flatten((args, kwargs))[0])]

    def _run(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        first = args[0]
        if name in _WEIGHING and self.is_followed(first):
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
        found = {part.source.name for part in self.sources.split(self.find(tensor)) if part.source.kind == "input"}
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

    def _pool(self, call: Call) -> Signal:
        """Add neurons that fire where one of several spikes does; remember the largest of several currents."""
        if call.argument(5, "ceil_mode", False) or call.argument(6, "return_indices", False):
            raise UnreadableError("this form of MaxPool", "use ceil_mode=False and return_indices=False")
        from snnmap.core.spatial import lower_pooling

        value = call.args[0]
        window, shape = find_pool(call, call.argument(4, "dilation", 1)), find_plane(value, "1d" in call.name)
        matrix, _ = lower_pooling(window, 1.0, shape, call.path or "forward")
        pool = _Pool(self.find(value), spread_over_batch(matrix, value), self._path() or call.name)
        if self._are_spikes(pool.signal):
            return self._fire_where_any(pool)
        if self.framework.pools == "after":
            self._pooled[id(call.result)] = (call.result, pool)
        what = "the largest of several currents is no sum of spikes, of which neurons are made"
        raise UnreadableError(what, _POOL + (_MOVE if self.framework.pools == "exact" else ""))

    def _are_spikes(self, signal: Signal) -> bool:
        """Say whether values are spikes of 0 or 1, all times the same factor above 0."""
        parts = list(self.sources.split(signal))
        plain = all(self._is_binary(part.source) and (part.weights.data == part.weights.data[0]).all() for part in parts)
        single = plain and bool(parts) and not (np.diff(signal.matrix.indptr) > 1).any() and not signal.constant.any()
        return single and bool(parts[0].weights.data[0] > 0)

    def _fire_where_any(self, pool: _Pool) -> Signal:
        """Add neurons that fire where one of the spikes in their window does."""
        parts = list(self.sources.split(pool.signal))
        height = float(parts[0].weights.data[0])
        inputs = pool.signal.through(pool.windows, path=self._path())
        inputs = inputs.scale(np.full(inputs.size, 1.0 / height))
        names = tuple(dict.fromkeys(part.source.name for part in parts))
        layer = self._find_layer(("pool", pool.path, names), pool.path, "pool", "module")
        places = self._list_places(inputs)
        given = join([self._add_step(layer, inputs.pick(now)) for now in places]).pick(np.argsort(np.concatenate(places)))
        return given.scale(np.full(inputs.size, height))

    def _list_places(self, signal: Signal) -> list[IntArray]:
        """Return the places of the values of each step, where a call has several, in order."""
        steps = np.zeros(signal.size, np.int64)
        for part in self.sources.split(signal):
            steps[np.unique(part.weights.indices)] = part.source.step or 0
        return [np.flatnonzero(steps == step) for step in np.unique(steps)]

    def _is_binary(self, source: Source) -> bool:
        """Say whether a source gives 0 or 1, times a factor."""
        neurons = self.layers[source.name].neurons if source.kind == "spikes" else None
        return source.kind == "spikes" and (neurons is None or neurons.max_count == 1)

    def _run_neurons(self, path: str, module: nn.Module, kind: str, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        names, returned = self.framework.states[kind]
        given = {**dict(zip(("input", *names), args, strict=False)), **kwargs}
        if "state" in kwargs:
            given[names[0]] = kwargs["state"]
        tensor, *states = args[0] if args else kwargs[next(iter(kwargs))], *(given.get(name) for name in names)
        found = {name: state for name, state in zip(names, _spread(states), strict=False) if state is not None}
        pool = self._find_pooled(tensor)
        signal, shape = (self.find(tensor), tuple(tensor.shape)) if pool is None else (pool.signal, (pool.signal.size,))
        self._learn_neurons(path, module, signal)
        layer = self._find_chain(path, kind, found)
        if pool is not None:
            _require_one_for_all(path, module, tensor.numel(), names)
        spikes = self._take_steps(layer, module, signal, shape)  # what they are is looked at before they run
        if pool is not None:
            spikes = self._move_behind(layer, replace(pool, signal=spikes))
        with torch._C.DisableTorchFunction():
            result = forward(*[_as_double(part) for part in args], **{name: _as_double(part) for name, part in kwargs.items()})
        values, structure = tree_flatten(result)
        values = [value.double().clone() for value in values]
        self.follow(values[0], spikes)
        layer.gives_states = len(values) > 1 or (layer.neurons is not None and not layer.neurons.max_count)
        if self.framework.time_axis(module) is None:
            for name, state in zip(returned, values[1:], strict=False):
                self.follow(state, self.sources.add(layer.name, "state", state.numel(), step=len(layer.inputs) - 1, state=name))
        return tree_unflatten(values, structure)

    def _find_pooled(self, tensor: Tensor) -> _Pool | None:
        """Return the pool of currents that gave a tensor, if one is to be moved behind the neurons."""
        known = self._pooled.get(id(tensor))
        return known[1] if known is not None and known[0] is tensor else None

    def _move_behind(self, layer: Layer, pool: _Pool) -> Signal:
        """Add a pool's neurons behind those that took its currents."""
        is_read = layer.neurons is not None and layer.neurons.is_readout
        if is_read or not self._are_spikes(pool.signal):
            why = "that are read by their membrane" if is_read else "whose spikes are not all worth the same"
            what = f"a MaxPool of currents cannot be moved behind neurons {why}"
            raise FrontendError(what, where=f"module '{layer.path}'", fix=_POOL)
        spikes = self._fire_where_any(pool)
        self.moved[self._chains["pool", pool.path, (layer.name,)]] = layer.name
        return spikes

    def _take_steps(self, layer: Layer, module: nn.Module, signal: Signal, shape: tuple[int, ...]) -> Signal:
        """Let neurons take what came in, of one step or of several in one call, and return what they give."""
        axis = self.framework.time_axis(module)
        places = np.arange(signal.size).reshape(shape)
        steps = [places] if axis is None else list(np.moveaxis(places, axis, 0))
        given = []
        for step in steps:
            now = signal.pick(step.reshape(-1))
            self._require_now(layer.path, now, len(layer.inputs))
            layer.neurons = layer.neurons or self.framework.read(layer.path, module, layer.kind, now.size)
            given.append(self._add_step(layer, now))
        order = np.argsort(np.concatenate([step.reshape(-1) for step in steps]))
        return given[0] if axis is None else join(given).pick(order)

    def _learn_neurons(self, path: str, module: nn.Module, signal: Signal) -> None:
        """Tell the channels of an input that neurons take without weights."""
        size = max((part.numel() for part in (*module.parameters(), *module.buffers())), default=1)
        for part in self.sources.split(signal):
            if part.source.kind == "input" and part.source.name in self.unknown:
                if size == 1:
                    raise FrontendError("the number of neurons is unknown", where=f"module '{path}'", fix="give input_sizes")
                raise Learn(part.source.name, size=size)

    def _require_now(self, path: str, signal: Signal, step: int) -> None:
        """Check that neurons take what there is in their step."""
        for part in self.sources.split(signal):
            if part.source.kind == "state":
                raise FrontendError(
                    "neurons take a state as their input", where=f"module '{path}'", fix="give them currents or spikes"
                )
            if part.source.step is not None and part.source.step > step:
                raise OtherLayout

    def _find_chain(self, path: str, kind: str, states: Mapping[str, Tensor]) -> Layer:
        """Return the neurons that go on from states, or start from zeros."""
        if not states:
            return self._find_layer((path, "own"), path, kind, "module")
        owners = {self._own_state(path, name, tensor) for name, tensor in states.items()}
        known = {owner for owner in owners if owner in self.layers}
        if len(owners) == 1 and known:
            layer = self.layers[known.pop()]
            if layer.path == path:
                return layer
        if known:
            raise FrontendError(
                "the states are those of other neurons",
                where=f"module '{path}'",
                measured=", ".join(sorted(known)),
                fix="give each module its own states, all of one step",
            )
        origin: Literal["argument", "forward"] = "argument" if "an argument" in owners else "forward"
        return self._find_layer((path, len(self.layers)), path, kind, origin)

    def _own_state(self, path: str, what: str, tensor: Tensor) -> str:
        """Return which layer a state is of, after its last step; "" for zeros."""
        owner = f"{what} of '{path}'"
        if not self.is_followed(tensor):
            name = self._argument_of(tensor)
            if name is None and not bool((tensor == 0).all()):
                raise FrontendError(
                    f"the state '{what}' does not start at zero",
                    where=f"module '{path}'",
                    fix="start it at zeros, as reset_mem()",
                )
            if name is not None and self._owners.setdefault(name, owner) != owner:
                raise refuse_second_use(name, path, f"as {owner} and {self._owners[name]}")
            return "" if name is None else "an argument"
        parts = list(self.sources.split(self.find(tensor)))
        if parts and all(part.source.kind == "input" and part.source.name == parts[0].source.name for part in parts):
            raise Learn(parts[0].source.name, owner=owner)
        if len(parts) == 1 and self._is_last(parts[0], what):
            return parts[0].source.name
        raise FrontendError(
            f"the state '{what}' is changed or taken from elsewhere inside forward",
            where=f"module '{path}'",
            fix="give the neurons the state that they returned in the step before, or use init_hidden=True",
        )

    def _is_last(self, part: Part, what: str) -> bool:
        source = part.source
        layer = self.layers.get(source.name)
        wanted = "spikes" if what == "spk" else "state"
        fits = source.kind == wanted and (wanted == "spikes" or source.state == what) and part.scales is not None
        return fits and layer is not None and source.step == len(layer.inputs) - 1

    def _argument_of(self, tensor: Tensor) -> str | None:
        return next((name for name, state in self.states.items() if state is tensor), None)

    def _find_layer(self, key: Any, path: str, kind: Any, origin: Any) -> Layer:
        if key not in self._chains:
            name, number = path or "neurons", 2
            while name in self.layers:
                name, number = f"{path or 'neurons'}_{number}", number + 1
            self._chains[key] = name
            self.layers[name] = Layer(name, path, kind, origin)
        return self.layers[self._chains[key]]

    def _add_step(self, layer: Layer, signal: Signal) -> Signal:
        layer.inputs.append(signal)
        step, neurons = len(layer.inputs) - 1, layer.neurons
        if neurons is not None and not neurons.max_count:
            return self.sources.add(layer.name, "state", signal.size, step=step, state="mem")
        spikes = self.sources.add(layer.name, "spikes", signal.size, step=step)
        return spikes if neurons is None or (neurons.scale == 1).all() else spikes.scale(neurons.scale)

    def _path(self) -> str:
        return self._stack[-1][0] if self._stack else ""

    def _where(self) -> str:
        return f"module '{self._path()}'" if self._path() else "forward"

    def _refuse_operation(self, name: str, what: str = "", fix: str = "") -> FrontendError:
        module = self._stack[-1][1] if self._stack else None
        is_torchs = type(module).__module__.startswith("torch.nn.modules") and not isinstance(module, nn.Sequential)
        noun = f"module {type(module).__name__}" if is_torchs else f"operation '{name.strip('_')}'"
        return self._refuse(f"{noun} has no counterpart on the chip{': ' if what else ''}{what}", fix)

    def _refuse_result(self, name: str, operands: Sequence[object]) -> FrontendError:
        """Return the error about an operation; where it takes what another made of followed values, as a mask, about that."""
        first = next((operand for operand in operands if isinstance(operand, Tensor) and self._is_followed_index(operand)), None)
        known = None if first is None else self._values[id(first)][1]
        return known if isinstance(known, FrontendError) else self._refuse_operation(name)

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


def _require_one_for_all(path: str, module: nn.Module, n_pooled: int, states: Sequence[str]) -> None:
    """Refuse parameters of each value of a pool, of which there are more neurons in front of it."""
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    single = [name for name, value in own if value.numel() == n_pooled > 1 and name not in states]
    if single:
        raise FrontendError(
            "a MaxPool of currents cannot be moved behind neurons with parameters of their own",
            where=f"module '{path}'",
            measured=f"'{single[0]}' of {n_pooled} values",
            limit="1 value",
            fix=f"give one for all, or {_POOL}",
        )


def _spread(states: list[Any]) -> list[Any]:
    """Return states one by one, those of a tuple that holds all of them too."""
    return [*states[0]] if states and isinstance(states[0], tuple) else states


def refuse_unknown_size(name: str, example: str) -> FrontendError:
    """Return the error about an input of which no layer says the shape."""
    return FrontendError(
        f"the size of input '{name}' is unknown", fix=f"give input_sizes=[{example}], the shape of a step without the batch"
    )


def refuse_second_use(name: str, path: str, measured: str) -> FrontendError:
    """Return the error about an argument of forward that is two things."""
    return FrontendError(
        f"argument '{name}' of forward is used twice",
        where=f"module '{path}'",
        measured=measured,
        fix="give each state its own argument",
    )

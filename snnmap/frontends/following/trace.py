"""One run of a module's forward, followed: its neurons, and what each takes in a step."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from snnmap.core.errors import FrontendError, OptionError, SnnmapError
from snnmap.frontends.following.again import Learn, MisfitError, OtherLayout, refuse_unknown_size
from snnmap.frontends.following.follow import Follower
from snnmap.frontends.following.framework import Framework
from snnmap.frontends.following.layers import Layer
from snnmap.frontends.following.signal import Signal, Sources, join
from snnmap.frontends.following.steps import OtherStepsError
from snnmap.frontends.following.twin import watch
from snnmap.nn.tracing import user_line

__all__ = ["Input", "Layout", "Trace", "trace_forward"]

Layout = Literal["time first", "batch first", "time without batch", "one step"]
_LAYOUTS: tuple[Layout, ...] = ("time first", "batch first", "time without batch", "one step")
_FEWEST, _MOST = 7, 4096
"""Steps that forward is given where it asks for no more, and the most that it may ask for."""
_LONGEST = 32
"""Steps of a run that is long enough to tell a long delay from all steps so far."""
_FIX = (
    "give forward(x) of one step or with a loop over x[step] or x[:, step], and input_sizes, the shape of x in a step without the"
    " batch; or the layers as nn.Sequential(fc1, lif1, ...), which is the function of one step"
)


@dataclass(slots=True)
class Input:
    """An argument of forward.

    Attributes:
        name: in forward's signature.
        shape: of a step without the batch; None where it is not known yet.
        owner: which state it is; "" for an input.
    """

    name: str
    shape: tuple[int, ...] | None
    owner: str = ""

    @property
    def size(self) -> int:
        """Number of channels."""
        return int(np.prod(self.shape or (1,)))

    def shape_counts(self, layout: Layout, counts: npt.ArrayLike) -> Tensor:
        """Return counts, ``(n_steps, channels)``, as the argument has them; zeros of no size for a state.

        Of one step, the rows are samples.
        """
        if self.owner:
            return torch.zeros(0, dtype=torch.float64)
        values = torch.tensor(np.asarray(counts, np.float64))
        n_steps = len(values)
        shapes = {
            "time first": (n_steps, 1),
            "batch first": (1, n_steps),
            "time without batch": (n_steps,),
            "one step": (n_steps,),
        }
        sides = shapes[layout]
        return values.reshape(*sides, *(self.shape or (1,)))


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run of forward showed.

    Attributes:
        layers: neurons by name, in the order in which they ran first.
        sources: of which signals are made.
        outputs: what forward returns, or why that has no counterpart.
        inputs: arguments of forward.
        layout: of batch and time in them.
        n_steps: how often each layer ran.
        n_given: steps in the arguments, of a layout with time.
        order: of the neurons' steps in forward, by the names of layers.
        moved: names of pools that were put behind the neurons that take their currents, and of these neurons.
        run_again: runs forward with another number of steps in the arguments.
    """

    layers: Mapping[str, Layer]
    sources: Sources
    outputs: Sequence[tuple[Signal | FrontendError, tuple[int, ...]]]
    inputs: Sequence[Input]
    layout: Layout
    n_steps: int
    n_given: int
    order: Sequence[str]
    moved: Mapping[str, str]
    run_again: "Callable[[int], Trace]"


def trace_forward(twin: nn.Module, framework: Framework, shapes: Sequence[tuple[int, ...]] | None) -> Trace:
    """Follow a module's forward.

    Args:
        twin: copy of the module, in float64 and evaluation mode.
        framework: of its neurons.
        shapes: of the inputs in a step, without the batch; None where layers tell them.

    Raises:
        FrontendError: forward fails, or does what has no counterpart.
    """
    inputs = _list_inputs(twin, shapes)
    last: Exception = OtherLayout()
    other_steps: OtherStepsError | None = None  # the first one says more than what goes wrong in other layouts
    for layout in _LAYOUTS:
        if layout == "one step" and other_steps:
            break
        try:
            return _trace_layout(twin, framework, inputs, layout)
        except OtherLayout as error:
            last = error if isinstance(last, OtherLayout) else last
        except OtherStepsError as error:
            other_steps = other_steps or error
        except MisfitError as error:
            last = error
        except SnnmapError as error:
            raise (other_steps or error) from None
        except Exception as error:  # whatever the user's forward lets through
            last = error
    last = other_steps or last
    if isinstance(last, SnnmapError):
        raise last
    if isinstance(last, OtherLayout):
        raise FrontendError(
            "forward takes other steps of its input than that of the neurons' own step",
            where=type(twin).__name__,
            limit="step t of x in step t: (time, batch, ...), (batch, time, ...), or (batch, ...) in all steps",
            fix=_FIX,
        )
    where = f"{type(twin).__name__}{user_line(last)}"
    raise FrontendError.from_failure("the module's forward cannot be followed", last, where=where, fix=_FIX) from last


def _list_inputs(twin: nn.Module, shapes: Sequence[tuple[int, ...]] | None) -> list[Input]:
    empty, kinds = inspect.Parameter.empty, (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(twin.forward).parameters.values())
    names = [p.name for p in parameters if p.default is empty and p.kind in (*kinds, inspect.Parameter.KEYWORD_ONLY)]
    takes_any = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    if shapes is not None and len(shapes) > len(names) and not takes_any:
        raise OptionError(
            "there are more sizes than inputs of forward",
            where="input_sizes",
            measured=str(shapes),
            limit=", ".join(names),
            fix="give one for each input; a shape is one tuple: input_sizes=[(2, 34, 34)]",
        )
    return [Input(name, shapes[k] if shapes is not None and k < len(shapes) else None) for k, name in enumerate(names)]


def _trace_layout(twin: nn.Module, framework: Framework, inputs: list[Input], layout: Layout) -> Trace:
    """Run forward until it has told all that its arguments are."""
    n_steps, n_runs = _FEWEST, 0
    while True:
        try:
            trace = _run(twin, framework, inputs, layout, n_steps)
            if trace.n_steps == n_runs or not _reaches_first_step(trace):
                return trace
            if n_steps > _LONGEST:
                raise FrontendError(
                    "forward takes what all steps so far gave, of which a chip keeps no list",
                    where=", ".join(f"module '{layer.path}'" for layer in trace.layers.values()),
                    measured=f"{n_steps - 1} steps before",
                    limit=f"{_LONGEST - 1}",
                    fix="let neurons take what their own step gave, and a fixed number of steps before",
                )
            n_steps, n_runs = 2 * n_steps, trace.n_steps
        except Learn as learnt:
            if learnt.steps:
                n_steps = max(2 * n_steps, learnt.steps)
                if n_steps > _MOST:
                    raise FrontendError(
                        "forward asks for more steps than are followed", measured=str(learnt.steps), limit=str(_MOST),
                        fix="let it loop over x.size(0) steps",
                    ) from learnt  # fmt: skip
                continue
            found = next(one for one in inputs if one.name == learnt.name)
            if learnt.owner:
                found.owner = learnt.owner
            else:
                found.shape = (learnt.size,)


def _run(twin: nn.Module, framework: Framework, inputs: list[Input], layout: Layout, n_steps: int) -> Trace:
    follower = Follower(framework)
    follower.steps.n_given = 0 if layout == "one step" else n_steps
    rng = np.random.default_rng(0)
    n_drawn = 1 if layout == "one step" else n_steps
    given = {one.name: one.shape_counts(layout, rng.poisson(1.0, (n_drawn, one.size))) for one in inputs}
    for one in inputs:
        _announce(follower, one, given[one.name], layout, n_steps)
    framework.restart(twin)
    try:
        with watch(twin, framework, follower.watch), follower:
            returned = twin(**given) if not _is_positional(twin) else twin(*given.values())
    except (Learn, OtherLayout):
        raise
    except Exception:
        follower.steps.require_own()
        raise
    follower.steps.require_own()
    leaves = [leaf for leaf in tree_flatten(returned)[0] if isinstance(leaf, Tensor)]
    outputs = [(_find(follower, leaf), tuple(leaf.shape)) for leaf in leaves]
    layers = follower.layers
    counts = {len(layer.inputs) for layer in layers.found.values()}
    if layout != "one step" and counts and max(counts) < 2:
        raise OtherLayout
    _require_same_runs(layers.found)
    _require_known(follower, outputs, inputs)
    n_runs = max(counts, default=1)
    return Trace(
        layers=layers.found, sources=layers.sources, outputs=outputs, inputs=inputs, layout=layout, n_steps=n_runs,
        n_given=n_steps, order=layers.order, moved=follower.pools.moved, run_again=partial(_run, twin, framework, inputs, layout),
    )  # fmt: skip


def _reaches_first_step(trace: Trace) -> bool:
    """Say whether neurons take in their last step what the first gave, as it looks where they take all steps so far."""
    lasts = [layer.inputs[-1] for layer in trace.layers.values()]
    return trace.n_steps > 1 and any(part.source.step == 0 for signal in lasts for part in trace.sources.split(signal))


def _is_positional(twin: nn.Module) -> bool:
    kinds = {p.kind for p in inspect.signature(type(twin).forward).parameters.values()}
    return inspect.Parameter.POSITIONAL_ONLY in kinds


def _find(follower: Follower, leaf: Tensor) -> Signal | FrontendError:
    try:
        return follower.values.find(leaf)
    except FrontendError as error:
        return error


def _announce(follower: Follower, one: Input, tensor: Tensor, layout: Layout, n_steps: int) -> None:
    """Let a follower know an argument of forward."""
    if one.owner:
        follower.layers.arguments[one.name] = tensor
        return
    if one.shape is None:
        follower.unknown.add(one.name)
    follower.inputs[one.name] = (tensor, {"batch first": 1, "one step": -1}.get(layout, 0))
    if layout == "one step":
        follower.values.follow(tensor, follower.layers.sources.add(one.name, "input", one.size, step=None))
        return
    steps = [follower.layers.sources.add(one.name, "input", one.size, step=step) for step in range(n_steps)]
    follower.values.follow(tensor, join(steps))


def _require_same_runs(layers: Mapping[str, Layer]) -> None:
    counts = {name: len(layer.inputs) for name, layer in layers.items()}
    if len(set(counts.values())) > 1:
        raise FrontendError(
            "the neurons are not all run once in each step",
            where=", ".join(f"module '{layers[name].path}'" for name in counts),
            measured=", ".join(f"{count} runs" for count in counts.values()),
            fix="run each once in every step; give a module that stands in several places states of its own for each, or copies",
        )


def _require_known(follower: Follower, outputs: Sequence[tuple[Any, Any]], inputs: Sequence[Input]) -> None:
    """Refuse inputs that are used and whose size nothing told."""
    used = [signal for layer in follower.layers.found.values() for signal in layer.inputs[:1]]
    used += [signal for signal, _ in outputs if isinstance(signal, Signal)]
    names = {part.source.name for signal in used for part in follower.layers.sources.split(signal) if part.source.kind == "input"}
    for one in inputs:
        if one.name in names and one.shape is None:
            raise refuse_unknown_size(one.name, "10")

"""Trial runs: forward itself beside the network that following it gave."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from snnmap.core.errors import FrontendError
from snnmap.core.record import FloatArray, IntArray, record
from snnmap.frontends.following.framework import Framework
from snnmap.frontends.following.layers import Layer
from snnmap.frontends.following.numbers import FEWEST_STEPS
from snnmap.frontends.following.operations import passes, run_with_batch_of_one
from snnmap.frontends.following.signal import Signal
from snnmap.frontends.following.trace import Trace
from snnmap.frontends.following.twin import take_spikes, watch
from snnmap.network import Network, simulate_network

__all__ = ["Run", "count_layers", "count_spikes", "count_steps", "require_no_other_memory", "require_same_spikes", "run_forward"]

_RATES = (0.5, 3.0, 15.0)
"""Counts a channel and step; the last where neurons were silent at the others."""
_CLOSE = 1e-9
"""What the order of sums in float64 may make of a membrane, as a share of the largest."""
_MOST_TOLD = 8
"""Steps of neurons that an error names."""
_RUN_AGAIN = "let it take any number of steps, and keep nothing from run to run besides the states of the framework's neurons"

Force = Callable[[str, Tensor], Tensor]
"""Gives spikes in the place of those that the module of a path gives."""


@record
class Run:
    """A run of forward on counts, from zero states.

    Attributes:
        twin: the module, in float64.
        framework: of its neurons.
        trace: of it.
        rasters: counts ``(n_steps, size)`` by argument; silence for others.
        n_steps: of the run.
        input_scale: what a count is worth as a value of forward's input.
        forced: spikes that stand in the place of those that neurons give, by module path; their own where there are none.
    """

    twin: nn.Module
    framework: Framework
    trace: Trace
    rasters: Mapping[str, IntArray]
    n_steps: int
    input_scale: float
    forced: "Force | None" = None


def require_same_spikes(
    twin: nn.Module,
    framework: Framework,
    trace: Trace,
    network: Network,
    names: tuple[Mapping[str, str], Mapping[str, str]],
    input_scale: float,
    n_trial: int = FEWEST_STEPS,
) -> None:
    """Run forward and the network on drawn counts.

    Args:
        twin: the module, in float64.
        framework: of its neurons.
        trace: of it.
        network: that was built from the trace.
        names: populations by layer, and input ports by argument.
        input_scale: what a count is worth as a value of forward's input.
        n_trial: steps of a forward that takes any number.

    Raises:
        FrontendError: neurons spike otherwise.
    """
    if trace.layout == "one step":
        _require_samples_apart(twin, framework, trace)
    populations, ports = names
    known = {name: population for name, population in populations.items() if trace.layers[name].kind != "pool"}
    read = {name: part for name, part in known.items() if not np.isfinite(network.population(part).threshold).any()}
    silent = known.keys() - read.keys()
    for number, rate in enumerate(_RATES):
        if rate == _RATES[-1] and not silent:
            break
        rng = np.random.default_rng(number)
        is_long = trace.layout != "one step"  # of one step, what takes long to show is seen as another memory
        n_steps = count_steps(trace, n_trial if is_long else FEWEST_STEPS)
        rasters = {one.name: rng.poisson(rate, (n_steps, one.size)) for one in trace.inputs if one.name in ports}
        if trace.layout == "one step" and trace.n_steps > 1:
            rasters = {name: np.repeat(raster[:1], n_steps, axis=0) for name, raster in rasters.items()}
        run = Run(twin=twin, framework=framework, trace=trace, rasters=rasters, n_steps=n_steps, input_scale=input_scale)
        wanted, _ = run_forward(run)
        n_steps = min((len(given) for given, *_ in wanted.values()), default=n_steps)
        given = {ports[name]: raster[np.newaxis, :n_steps] for name, raster in rasters.items()}
        found = simulate_network(network, given, counts_of=list(known.values()), states_of=list(read.values()))
        for name, population in known.items():
            first, last, _ = wanted[name]
            if name in read:
                _compare_membranes(trace.layers[name], first, last, found.potentials[population][0])
            else:
                _compare(trace.layers[name].path, count_spikes(trace.layers[name], first), found.counts[population][0])
        silent = {name for name in silent if not found.counts[known[name]].any()}


def require_no_other_memory(
    twin: nn.Module, framework: Framework, trace: Trace, input_scale: float, n_trial: int = FEWEST_STEPS
) -> None:
    """Refuse a forward of one step whose outputs, or what neurons take, are not what neurons and inputs of that step give.

    It is run as it is, and with drawn spikes in the place of those that its neurons give: what stands behind neurons that are
    silent on drawn inputs is seen too.

    Raises:
        FrontendError: something besides the framework's neurons keeps values from step to step.
    """
    if trace.layout != "one step" or trace.n_steps > 1:
        return
    for forced in (None, _draw_spikes(trace)):
        rng, n_steps = np.random.default_rng(0), n_trial if forced else FEWEST_STEPS
        rasters = {one.name: rng.poisson(_RATES[1], (n_steps, one.size)) for one in trace.inputs if not one.owner}
        run = Run(
            twin=twin, framework=framework, trace=trace, rasters=rasters, n_steps=n_steps, input_scale=input_scale, forced=forced
        )  # fmt: skip
        kept, returned = run_forward(run)
        pools = {neurons: pool for pool, neurons in trace.moved.items()}  # whose values are what the module's neurons give
        counts = {pools.get(name, name): sent for name, sent in count_layers(trace, kept).items()}
        now: dict[tuple[str, str], Any] = {("input", name): raster * input_scale for name, raster in rasters.items()}
        now |= {("spikes", name): sent for name, sent in counts.items()}
        for where, values, signal in _list_values(trace, returned, kept):
            wanted = _evaluate(trace, signal, now, n_steps)
            if wanted is not None:
                most = np.maximum(np.abs(wanted).max(axis=1, initial=0.0), 1.0)
                wrong = np.flatnonzero(np.abs(values - wanted).max(axis=1, initial=0.0) > _CLOSE * most)
                if wrong.size:
                    raise _refuse_memory(framework, where, int(wrong[0]))


def _draw_spikes(trace: Trace) -> Force:
    """Return what draws spikes in the place of those that a module gives, each as much worth as the module's own."""
    rng = np.random.default_rng(1)
    neurons = {layer.path: layer.neurons for layer in trace.layers.values() if layer.neurons is not None}

    def draw(path: str, values: Tensor) -> Tensor:
        known = neurons.get(path)
        if known is None or not known.max_count:
            return values
        drawn = torch.tensor(rng.integers(0, 2, tuple(values.shape)), dtype=torch.float64)
        return drawn * torch.tensor(known.scale).reshape(values.shape[1:]) if (known.scale != 1).any() else drawn

    return draw


def _list_values(
    trace: Trace, returned: Sequence[Sequence[FloatArray]], kept: Mapping[str, tuple[FloatArray, ...]]
) -> Iterator[tuple[str, FloatArray, Signal]]:
    """Yield what neurons take and forward returns: where, the values ``(n_steps, size)``, and what they were read as."""
    moved = set(trace.moved.values())
    for name, layer in trace.layers.items():
        if name in kept and name not in moved:
            yield f"what module '{layer.path}' takes", kept[name][2], layer.inputs[-1]
    for place, (values, (signal, _)) in enumerate(zip(zip(*returned, strict=True), trace.outputs, strict=True)):
        if isinstance(signal, Signal):
            yield f"output {place}", np.stack(values), signal


def _evaluate(trace: Trace, signal: Signal, now: Mapping[tuple[str, str], Any], n_steps: int) -> FloatArray | None:
    """Return a signal's values ``(n_steps, size)`` from those of its sources in the same steps; None where it has states."""
    values = np.repeat(signal.constant[np.newaxis], n_steps, axis=0)
    for part in trace.sources.split(signal):
        given = now.get((part.source.kind, part.source.name))
        if given is None:
            return None
        values += given @ part.weights
    return values


def _refuse_memory(framework: Framework, where: str, step: int) -> FrontendError:
    known = ", ".join(sorted({cls.__name__ for cls in framework.kinds}))
    steps = f"or, where these are spikes, {framework.fix_of_steps}"
    other = "or return what stands before, and do the rest outside" if where.startswith("output") else steps
    return FrontendError(
        "forward keeps values from step to step besides the states of neurons that are read",
        where=where,
        measured=f"another value in step {step} than that step's spikes and inputs give",
        limit="what a step gives",
        fix=f"keep them in {framework.name}'s {known}; {other}",
    )


def count_steps(trace: Trace, n_trial: int = FEWEST_STEPS) -> int:
    """Return how many steps a run on drawn inputs has: those of a loop of fixed length, else as many as a trial."""
    return n_trial if trace.n_steps in (1, trace.n_given) else trace.n_steps


def _compare_membranes(layer: Layer, first: FloatArray, last: FloatArray, found: FloatArray) -> None:
    """Compare potentials that are read; neurons that never fire give theirs first, others beside their spikes, last."""
    wanted = last if layer.neurons is not None and layer.neurons.max_count else first
    scale = max(float(np.abs(wanted).max()), 1e-30)
    if layer.gives_states and np.abs(wanted - found).max() > _CLOSE * scale:
        raise FrontendError(
            "the module gives other membranes than what was read of its forward",
            where=f"module '{layer.path}'",
            measured=f"{np.abs(wanted - found).max() / scale:.1e} of the largest",
            limit=f"{_CLOSE:.0e}",
            fix="leave out what changes weights, states or inputs besides the framework's neurons and torch's layers",
        )


def _require_samples_apart(twin: nn.Module, framework: Framework, trace: Trace) -> None:
    """Refuse a forward that does something else with one sample than with the same one in a batch of two: it is of steps then."""
    rng = np.random.default_rng(0)
    counts = {one.name: rng.poisson(2.0, (2, one.size)) for one in trace.inputs}
    returned: list[list[Tensor]] = []
    try:
        alone, beside = (_watch(twin, framework, partial(_call_batch, twin, trace, counts, n, returned)) for n in (1, 2))
    except Exception:  # a forward that names the batch of its training takes no two samples
        return
    same = alone.keys() == beside.keys() and all(len(alone[path][0]) == len(beside[path][0]) for path in alone)
    if not same or any(_differ(alone[path][0], beside[path][0]) for path in alone) or _mixes(*returned):
        raise FrontendError(
            "forward mixes the samples of its batch, as if they were steps",
            where=type(twin).__name__,
            limit="step t of x in step t: (time, batch, ...), (batch, time, ...), or (batch, ...) in all steps",
            fix=framework.fix_of_steps,
        )


def _differ(alone: Sequence[FloatArray], beside: Sequence[FloatArray]) -> bool:
    """Say whether values differ by more than products of one row and of two may, which add up in another order."""
    pairs = ((one, two[: one.size]) for one, two in zip(alone, beside, strict=True))
    return any(np.abs(one - two).max(initial=0.0) > _CLOSE * np.abs(two).max(initial=0.0) for one, two in pairs)


def _mixes(alone: Sequence[Tensor], beside: Sequence[Tensor]) -> bool:
    """Say whether what is returned of one sample is not a part of what is returned of it and another; numbers may be of both."""
    if len(alone) != len(beside):
        return True
    for one, two in zip(alone, beside, strict=True):
        axes = [axis for axis, sides in enumerate(zip(one.shape, two.shape, strict=False)) if sides[1] == 2 * sides[0]]
        part = two.narrow(axes[0], 0, one.shape[axes[0]]) if axes else two
        if one.numel() > 1 and (one.shape != part.shape or bool(((one - part).abs() > _CLOSE * one.abs().max()).any())):
            return True
    return False


def _call_batch(
    twin: nn.Module, trace: Trace, counts: Mapping[str, IntArray], n_samples: int, returned: list[list[Tensor]]
) -> None:
    returned.append(_list_tensors(twin(*(one.shape_counts("one step", counts[one.name][:n_samples]) for one in trace.inputs))))


def _compare(path: str, wanted: IntArray, found: IntArray) -> None:
    different = np.argwhere(wanted != found)
    if different.size:
        step, neuron = different[0]
        raise FrontendError(
            "the module gives other spikes than what was read of its forward",
            where=f"module '{path}'",
            measured=f"{len(different)} of {wanted.size} counts differ, the first at step {step}, neuron {neuron}",
            limit="0",
            fix="leave out what changes weights, states or inputs besides the framework's neurons and torch's layers",
        )


class _Runner(TorchFunctionMode):
    """Keeps numbers in float64, and takes the batch to be 1."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        if any(_is_short(leaf) for leaf in args):
            args = tuple(leaf.double() if _is_short(leaf) else leaf for leaf in args)
        if passes(func, name, args, kwargs):
            return args[0]
        try:
            return func(*args, **kwargs)
        except RuntimeError:
            again = run_with_batch_of_one(func, name, args, kwargs)
            if again is None:
                raise
            return again


def _is_short(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.dtype != torch.float64 and leaf.is_floating_point()


def run_forward(run: Run) -> tuple[dict[str, tuple[FloatArray, ...]], list[list[FloatArray]]]:
    """Run forward over all steps.

    Returns:
        What the neurons of each layer give first and last, spikes and perhaps membranes, ``(n_steps, size)`` each; and what a
        forward of one step returns, step by step, nothing for another.

    Raises:
        FrontendError: forward fails in a run of other length than the one that was followed.
    """
    returned: list[list[FloatArray]] = []
    try:
        kept = _watch(run.twin, run.framework, lambda: returned.extend(_call(run)), run.forced)
    except FrontendError:
        raise
    except Exception as error:
        raise FrontendError.from_failure(
            f"the module's forward fails in a second run, of {run.n_steps} steps",
            error,
            where=type(run.twin).__name__,
            fix=_RUN_AGAIN,
        ) from error
    runs: dict[str, list[str]] = {}
    for name in run.trace.order:
        runs.setdefault(run.trace.layers[name].path, []).append(name)
    found: dict[str, list[tuple[FloatArray, ...]]] = {}
    for path, order in runs.items():
        steps = [*zip(*kept.get(path, ()), strict=True)]
        for name, step in zip(_attribute(order, len(steps)), steps, strict=True):
            found.setdefault(name, []).append(step)
    return {name: tuple(np.stack(values) for values in zip(*steps, strict=True)) for name, steps in found.items()}, returned


def _attribute(order: Sequence[str], n_steps: int) -> list[str]:
    """Return which layer runs in each step of a module, of which a shorter run showed the order: loop by loop."""
    names = list(dict.fromkeys(order))
    n_now, n_before = n_steps // len(names), len(order) // len(names)
    return [name for turn in _list_loops(order, n_before) for name in turn * n_now]


def _list_loops(order: Sequence[str], n_steps: int) -> Iterator[list[str]]:
    """Yield what each of several loops over so many steps runs in a turn, in the order of the loops."""
    start = 0
    while start < len(order):
        rest = list(order[start:])
        size = next((n for n in range(1, len(rest) // n_steps + 1) if rest[:n] * n_steps == rest[: n * n_steps]), 0)
        if not size:
            raise FrontendError(
                "the neurons of one module run in another order in one step than in another",
                where="forward",
                measured=", ".join(rest[:_MOST_TOLD]),
                fix="use the same layers in the same order in every step, or give each place a module of its own",
            )
        yield rest[:size]
        start += size * n_steps


def _watch(
    twin: nn.Module,
    framework: Framework,
    call: Callable[[], object],
    forced: Force | None = None,
) -> dict[str, tuple[list[FloatArray], ...]]:
    """Return what the neurons of each module give first and last, and take, in a run from zero states, step by step."""
    kept: dict[str, tuple[list[FloatArray], ...]] = {}

    def keep(path: str, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = [part.double() if _is_short(part) else part for part in take_spikes(module, framework, args)]
        if framework.find_kind(module) is None:
            return forward(*given, **kwargs)
        with torch._C.DisableTorchFunction():
            found = forward(*given, **kwargs)
        values, structure = tree_flatten(found)
        values = [value.double() for value in values]
        values[0] = values[0] if forced is None else forced(path, values[0])
        axis, taken = framework.time_axis(module), given[0] if given else next(iter(kwargs.values()))
        firsts, lasts, taken = (_list_steps(value, axis) for value in (values[0], values[-1], taken))
        membranes = _list_membranes(framework, module, len(firsts))
        for known, steps in zip(kept.setdefault(path, ([], [], [])), (firsts, membranes or lasts, taken), strict=True):
            known.extend(steps)
        return tree_unflatten(values, structure)

    framework.restart(twin)
    with watch(twin, framework, keep), _Runner():
        call()
    return kept


def _list_membranes(framework: Framework, module: nn.Module, n_steps: int) -> list[FloatArray]:
    """Return what a module keeps of its membranes in its last steps; nothing where it keeps the last of several alone."""
    last, all_steps = framework.membranes(module)
    if all_steps is not None:
        return _list_steps(all_steps[-n_steps:], 0)
    return [last.reshape(-1).numpy()] if last is not None and n_steps == 1 else []


def _list_steps(values: Tensor, axis: int | None) -> list[FloatArray]:
    steps = [values] if axis is None else values.unbind(axis)
    return [step.reshape(-1).numpy() for step in steps]


def count_layers(trace: Trace, kept: Mapping[str, tuple[FloatArray, ...]]) -> dict[str, IntArray]:
    """Return counts, ``(n_steps, size)`` by layer, of a run; of neurons behind which a pool was moved, as many as it has."""
    moved = set(trace.moved.values())
    return {
        name: (first > 0).astype(np.int64) if name in moved else count_spikes(trace.layers[name], first)
        for name, (first, *_) in kept.items()
    }


def count_spikes(layer: Layer, values: FloatArray) -> IntArray:
    """Return counts, ``(n_steps, size)``, from the spikes that neurons gave."""
    scale = np.ones(1) if layer.neurons is None else np.where(layer.neurons.scale == 0, 1.0, layer.neurons.scale)
    return np.rint(values / scale).astype(np.int64)


def _call(run: Run) -> Iterator[list[FloatArray]]:
    """Run forward over all steps; of one step a call, yield what each returns."""
    trace, n_steps = run.trace, run.n_steps
    silent = np.zeros((n_steps, 1))
    values = {one.name: run.rasters.get(one.name, np.repeat(silent, one.size, axis=1)) * run.input_scale for one in trace.inputs}
    if trace.layout != "one step" or trace.n_steps > 1:
        n_given = max(n_steps, trace.n_given) if trace.layout != "one step" else 1
        run.twin(*(one.shape_counts(trace.layout, np.resize(values[one.name], (n_given, one.size))) for one in trace.inputs))
        return
    call = _call_with_states if run.framework.passes_states else _call_with_arguments
    for leaves in call(run, values):
        yield [leaf.reshape(-1).numpy().copy() for leaf in leaves]


def _call_with_states(run: Run, values: Mapping[str, Any]) -> Iterator[list[Tensor]]:
    """Run each step with the states that the one before returned behind its output."""
    carried: tuple[Any, ...] = ()
    for step in range(run.n_steps):
        given = [one.shape_counts("one step", values[one.name][step : step + 1]) for one in run.trace.inputs]
        try:
            found = run.twin(*given, *carried)
            _, *carried_on = found
        except TypeError as error:
            if not carried:
                raise
            raise FrontendError(
                "forward gives states that it does not take",
                where=type(run.twin).__name__,
                measured=str(error),
                fix="write forward(x, state), which hands each neuron its state, as Norse's SequentialState does",
            ) from error
        carried = tuple(carried_on)
        yield _list_tensors(found)


def _call_with_arguments(run: Run, values: Mapping[str, Any]) -> Iterator[list[Tensor]]:
    """Run each step with the states that the one before returned as the arguments that they are."""
    places, inputs = _find_states(run.trace), run.trace.inputs
    states = {one.name: one.shape_counts("one step", ()) for one in inputs if one.owner}
    for step in range(run.n_steps):
        now = {one.name: one.shape_counts("one step", values[one.name][step : step + 1]) for one in inputs}
        leaves = _list_tensors(run.twin(*(now | states).values()))
        yield leaves
        states = {name: leaves[places[name]] for name in states}


def _list_tensors(returned: object) -> list[Tensor]:
    return [leaf.detach() for leaf in tree_flatten(returned)[0] if isinstance(leaf, Tensor)]


def _find_states(trace: Trace) -> dict[str, int]:
    """Return which of the returned tensors is the next value of each argument that is a state.

    Raises:
        FrontendError: forward does not return it.
    """
    owners: dict[str, int] = {}
    for place, (signal, _) in enumerate(trace.outputs):
        parts = list(trace.sources.split(signal)) if isinstance(signal, Signal) else []
        if len(parts) == 1 and parts[0].source.kind != "input":
            source = parts[0].source
            owners[f"{source.state or 'spk'} of '{trace.layers[source.name].path}'"] = place
    for one in trace.inputs:
        if one.owner and one.owner not in owners:
            raise FrontendError(
                f"forward takes a state and does not return it: {one.owner}",
                where=f"argument '{one.name}'",
                fix="return it as well",
            )
    return {one.name: owners[one.owner] for one in trace.inputs if one.owner}

"""From a module and its framework to a network: followed, built, and run beside the module."""

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import ConversionWarning, FrontendError, OptionError
from snnmap.core.record import IntArray
from snnmap.frontends.following.build import Builder
from snnmap.frontends.following.framework import Framework
from snnmap.frontends.following.moved import describe_move
from snnmap.frontends.following.numbers import count_trial_steps
from snnmap.frontends.following.trace import Trace, trace_forward
from snnmap.frontends.following.trial import Run, count_layers, require_no_other_memory, require_same_spikes, run_forward
from snnmap.frontends.following.twin import make_twin
from snnmap.frontends.torch.accept import unwrap
from snnmap.frontends.torch.modules import require_class_forward, require_class_methods
from snnmap.network import MOVED_POOLS, N_MOVED_POOLS, Network

__all__ = ["Sizes", "read_module"]

_FIX_OF_MOVED = (
    "train on with the MaxPool behind the neurons; calibration= gives samples of typical use on which this is measured"
)

Sizes = Sequence[int | Sequence[int]] | None
"""Channels of each input of forward, or its shape in a step without the batch."""


def read_module(
    module: Any,
    framework: Framework,
    *,
    input_sizes: Sizes,
    outputs: Sequence[str] | None = None,
    readout: Literal["spikes", "potential"] | None = None,
    input_scale: float = 1.0,
    name: str | None = None,
    dt: float = 0.0,
    known: Mapping[str, str],
    describe: Callable[[Builder], Mapping[str, str]] = Builder.describe_steps,
    is_exact: bool = True,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
) -> Network:
    """Turn a module into a network that gives the same spikes; it is run beside the module where it ``is_exact``.

    Its provenance is what is ``known`` before, and then what there is to ``describe`` of the forward that was followed.

    Raises:
        FrontendError: an operation or option has no counterpart, or the two differ; it says which and where.
        InputError: calibration data of which the module's steps cannot be made.

    Warns:
        ConversionWarning: pools were moved behind neurons, and what that changes.
    """
    from torch import nn

    sizes = _read_sizes(input_sizes)
    _require_scale(input_scale)
    module = unwrap(module)
    title = name or type(module).__name__
    is_layer = isinstance(module, (nn.Linear, *framework.neurons))
    module = nn.Sequential(module) if is_layer and not framework.passes_states else module
    for path, part in module.named_modules():
        if framework.find_kind(part) is not None:
            require_class_methods(path, part, framework.find_class(part))
            require_class_forward(path, part, type(part), own=framework.own_functions)
        elif isinstance(part, framework.neurons):
            names = ", ".join(sorted({cls.__name__ for cls in framework.kinds}))
            raise FrontendError(
                f"module {type(part).__name__} has no counterpart on the chip",
                where=f"module '{path}'",
                fix=framework.fixes.get(type(part).__name__, f"use {framework.name}'s {names}"),
            )
    twin = make_twin(module, framework)
    trace = trace_forward(twin, framework, sizes)
    builder = Builder(trace, readout, input_scale)
    builder.build(outputs)
    if sizes is not None and len(builder.ports) > len(sizes):
        limit = str(input_sizes)
        raise FrontendError("forward has more inputs than sizes were given", measured=", ".join(builder.ports), limit=limit)
    network = builder.parts.to_network(title, dt, {**known, **describe(builder), **_advise(builder, framework)})
    n_trial, wanted = count_trial_steps(twin, framework, network)
    if n_trial < wanted:
        told = f"its forward was tried for {n_trial} steps; it holds numbers up to {wanted}, from which on it may do otherwise"
        network = replace(network, provenance={**network.provenance, "trial": told})
    require_no_other_memory(twin, framework, trace, input_scale, n_trial)
    if trace.moved:
        run = partial(_run_counts, twin, framework, trace, input_scale)
        told = describe_move(run, trace, network, (builder.populations, builder.ports), calibration)
        warnings.warn(f"{told}\n  fix: {_FIX_OF_MOVED}", ConversionWarning, stacklevel=3)
        moved = {MOVED_POOLS: told, N_MOVED_POOLS: str(len(trace.moved))}
        return replace(network, provenance={**network.provenance, **moved})
    if is_exact:
        try:
            require_same_spikes(twin, framework, trace, network, (builder.populations, builder.ports), input_scale, n_trial)
        except FrontendError as error:
            raise _tell_version(framework, error) from error
    return network


def _advise(builder: Builder, framework: Framework) -> dict[str, str]:
    """Return, in the framework's words, what to do about synapses without a memory, where there are some."""
    instant = framework.fix_of_instant and any((one.alpha == 0).any() for one in builder.parts.populations)
    return {"fix of synapses without memory": framework.fix_of_instant} if instant else {}


def _read_sizes(given: Sizes) -> list[tuple[int, ...]] | None:
    """Return the shape of each input in a step, as the option of that name says it."""
    if given is None:
        return None
    try:
        sizes = [(size,) if isinstance(size, int) else tuple(map(operator.index, size)) for size in given]
    except TypeError:
        sizes = []
    if not sizes or not all(size and min(size) >= 1 for size in sizes):
        raise OptionError(
            "these are no sizes of inputs",
            where="input_sizes",
            measured=repr(given),
            limit="for each input a number of channels, or a shape",
            fix="give such as input_sizes=[64], or input_sizes=[(2, 34, 34)]",
        )
    return sizes


def _require_scale(scale: object) -> None:
    if isinstance(scale, int | float | np.number) and 0 < scale < np.inf:
        return
    raise OptionError(
        "this is no value that an input spike stands for",
        where="input_scale",
        measured=repr(scale),
        limit="a number above 0",
        fix="give such as input_scale=0.0625",
    )


def _tell_version(framework: Framework, error: FrontendError) -> FrontendError:
    """Return the error, with the version of the framework where it is another than the one that was tried."""
    try:
        found = version(framework.package)
    except PackageNotFoundError:  # a tree that was not installed
        return error
    if found == framework.tried:
        return error
    return error.advising(f"or install {framework.package}=={framework.tried}, as which {framework.name} {found} is read")


def _run_counts(
    twin: Any, framework: Framework, trace: Trace, input_scale: float, rasters: Mapping[str, IntArray], n_steps: int
) -> dict[str, IntArray]:
    """Return a module's own spikes, ``(n_steps, size)`` by layer."""
    run = Run(twin=twin, framework=framework, trace=trace, rasters=rasters, n_steps=n_steps, input_scale=input_scale)
    spikes, _ = run_forward(run)
    return count_layers(trace, spikes)

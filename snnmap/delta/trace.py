"""A user's module as a stream runs it: a copy, traced, and what its nodes give for an example."""

import copy
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn

from snnmap.core.errors import FrontendError, InputError
from snnmap.frontends.torch.own_layers import list_own_layers
from snnmap.frontends.torch.partial import record_results
from snnmap.nn.delta.inference import DeltaNetwork
from snnmap.nn.delta.masked import MaskedConv1d, MaskedConv2d, MaskedLinear
from snnmap.nn.event_linear import EventLinear
from snnmap.nn.tracing import refuse_hooks, trace_module

__all__ = ["choose_dtype", "find_path", "is_layer", "trace_copy"]

Results: TypeAlias = dict[fx.Node, Any]

_LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d),
    *(MaskedLinear, MaskedConv1d, MaskedConv2d, EventLinear),
)
_FORWARDS: tuple[object, ...] = tuple(layer.forward for layer in _LAYERS)


def trace_copy(model: nn.Module, example: Tensor, *, where: str) -> tuple[fx.GraphModule, Results]:
    """Copy and trace a model, in evaluation and of an example's dtype, and run the example.

    Args:
        model: of one input and one output.
        example: ``(1, ...)``.
        where: for errors.

    Raises:
        FrontendError: the forward cannot be followed, or not run on the example.
        InputError: the model does not take one tensor and give one.
    """
    _require_model(model, where)
    owner = nn.Sequential(_copy_without_hooks(model)).eval().to(example.dtype)
    module = fx.GraphModule(owner, trace_module(owner, list_own_layers()))
    return module, _run_example(module, example, where)


def choose_dtype(model: nn.Module, example: Tensor) -> torch.dtype:
    """Return the type of the model's first floating-point parameter, or else the example's."""
    return next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), example.dtype)


def is_layer(module: nn.Module | None) -> bool:
    """Say whether a module is a layer of weights whose forward is known: a subclass may have another."""
    return isinstance(module, _LAYERS) and type(module).forward in _FORWARDS


def find_path(name: str) -> str:
    """Return a module's path in the model, without that of the model in its owner."""
    return name.partition(".")[2]


def _require_model(model: nn.Module, where: str) -> None:
    refuse_hooks(model)
    if isinstance(model, DeltaNetwork):
        raise InputError(
            "the model runs by delta inference already",
            where=where,
            measured="DeltaNetwork",
            fix="give the model it was made of",
        )


def _copy_without_hooks(model: nn.Module) -> nn.Module:
    """Copy a model whose hooks are all our own, of counters and penalties, which have no part in a stream."""
    result = copy.deepcopy(model)
    for module in result.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return result


def _run_example(module: fx.GraphModule, example: Tensor, where: str) -> Results:
    """Return what each node of a model of one input and one output gives for a frame."""
    output = _find_output(module, where)
    try:
        results = record_results(module, example)
    except RuntimeError as error:
        fix = "give a frame (1, ...) that model(frame) takes"
        raise FrontendError.from_failure("the model cannot run the example", error, where=where, fix=fix) from error
    if not isinstance(results[output], Tensor):
        raise InputError(
            "a stream gives one tensor a frame",
            where=where,
            measured=type(results[output]).__name__,
            limit="a tensor",
            fix="wrap the model so that its forward gives one",
        )
    return results


def _find_output(module: fx.GraphModule, where: str) -> fx.Node:
    nodes = module.graph.nodes
    n_inputs = sum(node.op == "placeholder" for node in nodes)
    (output,) = (node.args[0] for node in nodes if node.op == "output")
    if n_inputs != 1 or not isinstance(output, fx.Node):
        raise InputError(
            "a stream has one input and one output a frame",
            where=where,
            measured=f"{n_inputs} inputs, output {output}",
            limit="one tensor each",
            fix="wrap the model so that its forward takes one tensor and gives one",
        )
    return output

"""Following the forward of a torch module with torch.fx: what the frontends of torch-based models share."""

from typing import TYPE_CHECKING

import numpy as np

from snnmap.ir import FloatArray

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

__all__ = ["as_array", "locate", "trace"]


def trace(
    module: "nn.Module", leaves: tuple[type["nn.Module"], ...], *, fix: str = "write forward without branches or loops over data"
) -> "fx.Graph":
    """Give the operations of a module's forward, in order.

    Args:
        module: to follow; one that is a leaf itself is followed as a ``Sequential`` of one.
        leaves: classes whose own forward is not followed, beside those of torch itself.
        fix: what the error tells the user to do.

    Returns:
        The graph; its leaf calls name the module's path.

    Raises:
        FrontendError: forward depends on data or fails; the error names the user's line.
    """
    from torch import nn

    from snnmap.nn.tracing import trace_module

    return trace_module(nn.Sequential(module) if isinstance(module, leaves) else module, leaves, fix=fix)


def locate(node: "fx.Node") -> str:
    """Say where in the user's module an operation is."""
    stack = node.meta.get("nn_module_stack", {})
    paths = [str(entry[0]) for entry in stack.values() if entry[0]]
    return f"module '{paths[-1]}', {node.name}" if paths else f"forward, {node.name}"


def as_array(tensor: "Tensor") -> FloatArray:
    """Copy a tensor of any device and dtype to float64."""
    return np.array(tensor.detach().cpu().double().numpy(), np.float64)

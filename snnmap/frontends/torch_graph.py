"""Places and tensors of torch modules: what the frontends of torch-based models share."""

from typing import TYPE_CHECKING

import numpy as np

from snnmap.ir import FloatArray

if TYPE_CHECKING:
    from torch import Tensor, fx

__all__ = ["as_array", "locate"]


def locate(node: "fx.Node") -> str:
    """Say where in the user's module an operation is."""
    stack = node.meta.get("nn_module_stack", {})
    paths = [str(entry[0]) for entry in stack.values() if entry[0]]
    return f"module '{paths[-1]}', {node.name}" if paths else f"forward, {node.name}"


def as_array(tensor: "Tensor") -> FloatArray:
    """Copy a tensor of any device and dtype to float64."""
    return np.array(tensor.detach().cpu().double().numpy(), np.float64)

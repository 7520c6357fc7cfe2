"""Rates of neurons as functions of their current, as nengo has them."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from snnmap.graph.operation import Array, Operation, Role, TensorType, operation

__all__ = ["Rates"]


@operation
class Rates(Operation):
    """``factor`` times the rate of neurons at a current J.

    It is ``amplitude max(J, 0)``, ``sigmoid(J) / tau_ref`` or ``tanh(J) / tau_ref``; that of a leaky integrate-and-fire
    neuron (LIFRate) is ``amplitude / (tau_ref + tau_rc log(1 + 1 / (J - 1)))`` where J > 1, else 0.
    """

    role: ClassVar[Role] = "Act"
    domain: ClassVar[str] = "snnmap"

    curve: Literal["RectifiedLinear", "LIFRate", "Sigmoid", "Tanh"]
    amplitude: float = 1.0
    tau_rc: float = 0.0
    tau_ref: float = 0.0
    factor: float = 1.0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return inputs[0]

    def run(self, inputs: Sequence[Array]) -> Array:
        current = inputs[0]
        if self.curve == "RectifiedLinear":
            rates = self.amplitude * np.maximum(current, 0)
        elif self.curve == "LIFRate":
            above = np.where(current > 1, current - 1, 1)
            rates = np.where(current > 1, self.amplitude / (self.tau_ref + self.tau_rc * np.log1p(1 / above)), 0)
        else:
            squashed = np.tanh(current) if self.curve == "Tanh" else 0.5 + 0.5 * np.tanh(current / 2)
            rates = squashed / self.tau_ref
        return np.asarray(self.factor * rates)

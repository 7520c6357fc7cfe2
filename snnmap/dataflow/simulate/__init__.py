"""Pipelines in time and in values: the steady state in closed form, and runs that hold it to the word."""

from snnmap.dataflow.simulate.run import DeadlockError, Occupancy, Simulation, simulate_timing
from snnmap.dataflow.simulate.steady import SteadyState, find_steady_state, size_buffers
from snnmap.dataflow.simulate.values import find_differences, simulate_values

__all__ = [
    "DeadlockError", "Occupancy", "Simulation", "SteadyState", "find_differences", "find_steady_state", "simulate_timing",
    "simulate_values", "size_buffers",
]  # fmt: skip

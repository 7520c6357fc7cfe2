"""Temporal sparsity: networks that compute with changes, trained to change little, and counts of what that saves."""

from snnmap.nn.delta.activation import (
    DeltaActivation,
    delta_activation_layer,
    differences,
    insert_delta,
    run_frames,
    sparsity_penalty,
    temporal_delta_layer,
)
from snnmap.nn.delta.counts import DeltaCounter, LayerCount
from snnmap.nn.delta.inference import DeltaNetwork, DeltaSynapse
from snnmap.nn.delta.quantisers import FixedPoint, StepQuantiser, count_integer_bits

__all__ = [
    # delta inference
    "DeltaNetwork",
    "DeltaSynapse",
    # layers to train with
    "DeltaActivation",
    "FixedPoint",
    "StepQuantiser",
    "count_integer_bits",
    "delta_activation_layer",
    "differences",
    "insert_delta",
    "run_frames",
    "sparsity_penalty",
    "temporal_delta_layer",
    # counts of work
    "DeltaCounter",
    "LayerCount",
]

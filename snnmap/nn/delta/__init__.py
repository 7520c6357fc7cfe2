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
from snnmap.nn.delta.masked import MaskedConv1d, MaskedConv2d, MaskedLinear, mask_layers
from snnmap.nn.delta.post_training import fit_steps, search_steps
from snnmap.nn.delta.quantisers import FixedPoint, StepQuantiser, count_integer_bits
from snnmap.nn.delta.sigma_delta import SigmaDeltaQuantiser
from snnmap.nn.delta.synaptic_signal import EtaSchedule, SynapticSignals

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
    # sigma-delta networks and their masks
    "EtaSchedule",
    "MaskedConv1d",
    "MaskedConv2d",
    "MaskedLinear",
    "SigmaDeltaQuantiser",
    "SynapticSignals",
    "fit_steps",
    "mask_layers",
    "search_steps",
    # counts of work
    "DeltaCounter",
    "LayerCount",
]

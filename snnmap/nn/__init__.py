"""Torch modules to train with; the torch frontend turns them into networks, count for count."""

from snnmap.nn.chip import ChipCodes, ChipIntegrator, ChipLIF, ChipNetwork, ChipPopulation, ChipProjection, ChipRun, torch_engine
from snnmap.nn.compose import LeadIn, Residual, record_counts, record_outputs
from snnmap.nn.delta import (
    DeltaActivation,
    DeltaCounter,
    DeltaNetwork,
    DeltaSynapse,
    EtaSchedule,
    FixedPoint,
    LayerCount,
    MaskedConv1d,
    MaskedConv2d,
    MaskedLinear,
    SigmaDeltaQuantiser,
    StepQuantiser,
    SynapticSignals,
    count_integer_bits,
    delta_activation_layer,
    differences,
    fit_steps,
    insert_delta,
    mask_layers,
    run_frames,
    search_steps,
    sparsity_penalty,
    temporal_delta_layer,
)
from snnmap.nn.event_linear import EventLinear
from snnmap.nn.neurons import LIF, LeakyIntegrator, Surrogate, SurrogateName, count_spikes
from snnmap.nn.quantised import QuantisedReLU, step_from_data
from snnmap.nn.readout import Readout, ReadoutName, collate_sequences

__all__ = [
    # neurons
    "LIF",
    "LeakyIntegrator",
    # weights
    "EventLinear",
    # neurons in the chip's integers
    "ChipCodes",
    "ChipIntegrator",
    "ChipLIF",
    # networks in the chip's integers
    "ChipNetwork",
    "ChipPopulation",
    "ChipProjection",
    "ChipRun",
    # images, run on torch's devices
    "torch_engine",
    # composition
    "LeadIn",
    "Residual",
    "record_counts",
    "record_outputs",
    # readouts
    "Readout",
    "ReadoutName",
    "collate_sequences",
    # activations to convert
    "QuantisedReLU",
    "step_from_data",
    # delta inference
    "DeltaNetwork",
    "DeltaSynapse",
    # delta layers
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
    # surrogate gradients
    "Surrogate",
    "SurrogateName",
    "count_spikes",
]

"""The back end for dataflow pipelines: quantised layer graphs to hardware of their own for every layer, simulated to the word."""

from snnmap.dataflow.build import build_pipeline
from snnmap.dataflow.device import Device, list_devices, load_device
from snnmap.dataflow.lower import NoTemplateError
from snnmap.dataflow.options import PipelineOptions
from snnmap.dataflow.pipeline import Buffer, Pipeline
from snnmap.dataflow.report import format_html, format_pipeline
from snnmap.dataflow.simulate import DeadlockError, Simulation, find_differences, simulate_timing, simulate_values

__all__ = [
    # the device
    "Device",
    "list_devices",
    "load_device",
    # building
    "Buffer",
    "NoTemplateError",
    "Pipeline",
    "PipelineOptions",
    "build_pipeline",
    # simulating
    "DeadlockError",
    "Simulation",
    "find_differences",
    "simulate_timing",
    "simulate_values",
    # looking at it
    "format_html",
    "format_pipeline",
]

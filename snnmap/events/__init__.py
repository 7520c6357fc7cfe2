"""Streams of event cameras: read, simulated, and as histograms of the last events. Needs no torch."""

from snnmap.events.camera import Camera, simulate_events
from snnmap.events.events import Events
from snnmap.events.files import read_events, write_events
from snnmap.events.histograms import (
    HistogramChanges,
    HistogramOptions,
    SlidingHistogram,
    histogram_changes,
    histogram_frames,
)
from snnmap.events.saccades import Saccades, saccade_frames, simulate_saccades

__all__ = [
    # the data
    "Events",
    # files
    "read_events",
    "write_events",
    # windows of the last events
    "HistogramChanges",
    "HistogramOptions",
    "SlidingHistogram",
    "histogram_changes",
    "histogram_frames",
    # simulated cameras
    "Camera",
    "Saccades",
    "saccade_frames",
    "simulate_events",
    "simulate_saccades",
]

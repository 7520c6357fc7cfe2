"""The streaming engines of delta networks: one stream, of which only what changes, or what enters a window, is computed."""

from snnmap.delta.stream import DeltaStream
from snnmap.delta.window import WindowStream

__all__ = ["DeltaStream", "WindowStream"]

"""The streaming engine of delta networks: one stream, of which only what changes is computed."""

from snnmap.delta.stream import DeltaStream

__all__ = ["DeltaStream"]

"""How an image is fed and read, for who loads it without snnmap."""

import json
from typing import Any

import numpy as np

from snnmap.lif.program import Image, OutputReadout, Place

__all__ = ["export_readout"]


def export_readout(image: Image) -> dict[str, bytes]:
    """Return ``readout.json`` by its name, the same bytes for equal images; nothing for an image without a manifest."""
    manifest = image.manifest
    if manifest is None:
        return {}
    head = {name: getattr(manifest, name) for name in ("model", "model_digest", "chip", "image_digest", "edited", "settle_steps")}
    inputs = [_describe_input(place) for place in manifest.places if place.row == "input"]
    outputs = [_describe_output(readout) for readout in manifest.readouts]
    described = {**head, "max_count": image.chip.inputs.max_count, "inputs": inputs, "outputs": outputs}
    return {"readout.json": (json.dumps(described, indent=2) + "\n").encode()}


def _describe_input(place: Place) -> dict[str, Any]:
    channels, neurons = place.to_pairs()
    return {"port": place.source, "channels": channels[np.argsort(neurons)].tolist()}


def _describe_output(readout: OutputReadout) -> dict[str, Any]:
    return {
        "port": readout.port,
        "readout": readout.readout,
        "decision": readout.decision,
        "neurons": readout.slots.tolist(),
        "lag_steps": readout.lags.tolist(),
        "units": readout.units.tolist(),
    }

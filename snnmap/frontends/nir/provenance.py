"""The choices that a NIR graph was read with, as text for the report."""

import json
from collections.abc import Mapping
from typing import Any

from snnmap.frontends.nir.options import NirOptions

__all__ = ["describe_choices"]


def describe_choices(version: str, options: NirOptions, recurrence: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the provenance of a network: NIR's version, every choice, loops, and where a written network came from."""
    choices = {
        "framework": f"nir {version}",
        "dt": f"{options.dt_s:g} s" if options.dt_s is not None else "not needed",
        "time unit": options.time_unit or "not needed",
        "integrator": options.integrator or "not needed",
        "integrator gain": options.if_gain or "not needed",
        "reset": options.reset or "not needed",
        "reset delay": f"{options.reset_delay_steps} steps",
        "fires": f"{options.fires} the threshold",
        "max count": str(options.max_count),
        "input latency": f"{options.input_latency_steps} steps",
        "layer latency": f"{options.layer_latency_steps} steps",
        "spike scale": f"{options.spike_scale:g}",
        "constant current": options.constant_current,
        "initial potential": "0" if options.initial_potential == "zero" else options.initial_potential,
        "written by": options.written_by,
        "loops without Delay": f"one step late: {recurrence}" if recurrence else "none",
    }
    before = json.loads(metadata.get("snnmap_provenance", "{}"))
    return choices | {f"before NIR: {key}": value for key, value in before.items()}

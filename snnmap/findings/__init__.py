"""What becomes of findings: which are told, which are waived or known, and in which form they leave. Neutral ground."""

from snnmap.findings.baseline import Baseline, format_baseline, read_baseline
from snnmap.findings.config import Config, find_config, read_config
from snnmap.findings.formats import list_formats, render
from snnmap.findings.run import Checked, CheckRun
from snnmap.findings.selection import Selection
from snnmap.findings.waivers import Waiver, WaiverError, apply_waivers

__all__ = [
    # what was found
    "CheckRun",
    "Checked",
    "list_formats",
    "render",
    # what is told of it
    "Baseline",
    "Config",
    "Selection",
    "Waiver",
    "WaiverError",
    "apply_waivers",
    "find_config",
    "format_baseline",
    "read_baseline",
    "read_config",
]

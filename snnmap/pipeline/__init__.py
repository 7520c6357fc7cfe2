"""The order of the stages: from a model to a bitstream, with everything in between to look at."""

from snnmap.pipeline.artifacts import Artifacts, CheckResult
from snnmap.pipeline.build import check_model, compile_model
from snnmap.pipeline.evaluate import Evaluation, evaluate_image
from snnmap.pipeline.fit import ChipFit, Fit, find_smallest_chip, fit_model, sweep_model
from snnmap.pipeline.fix import FixResult, fix_model, is_fixed
from snnmap.pipeline.folder import FAILED_BUILD, mark_failure, require_same_build
from snnmap.pipeline.options import CompileOptions, Rasters

__all__ = [
    "FAILED_BUILD",
    "Artifacts",
    "CheckResult",
    "ChipFit",
    "CompileOptions",
    "Evaluation",
    "Fit",
    "FixResult",
    "Rasters",
    "check_model",
    "compile_model",
    "evaluate_image",
    "find_smallest_chip",
    "fit_model",
    "fix_model",
    "is_fixed",
    "mark_failure",
    "require_same_build",
    "sweep_model",
]

"""The order of the stages: from a model to a bitstream, with everything in between to look at."""

from snnmap.pipeline.artifacts import Artifacts, CheckResult
from snnmap.pipeline.build import FIRST_STAGE, check_model, compile_model
from snnmap.pipeline.evaluate import Evaluation, evaluate_image
from snnmap.pipeline.fit import ChipFit, Fit, find_smallest_chip, fit_model, refuse_all, sweep_model
from snnmap.pipeline.fix import FixResult, fix_model, is_fixed
from snnmap.pipeline.folder import FAILED_BUILD, mark_failure, require_same_build
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.stages import Stage, StageProfile

__all__ = [
    "FAILED_BUILD",
    "FIRST_STAGE",
    "Artifacts",
    "CheckResult",
    "ChipFit",
    "CompileOptions",
    "Evaluation",
    "Fit",
    "FixResult",
    "Rasters",
    "Stage",
    "StageProfile",
    "check_model",
    "compile_model",
    "evaluate_image",
    "find_smallest_chip",
    "fit_model",
    "fix_model",
    "is_fixed",
    "mark_failure",
    "refuse_all",
    "require_same_build",
    "sweep_model",
]

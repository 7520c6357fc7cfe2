"""Which chip holds a model, and at what cost: every chip beside the others, what a limit is worth, and the smallest."""

from snnmap.pipeline.fit.fit import Variant, fit_model, fit_variants, refuse_all
from snnmap.pipeline.fit.rows import ChipFit, Fit
from snnmap.pipeline.fit.smallest import find_smallest_chip
from snnmap.pipeline.fit.sweep import require_field, sweep_model, vary_fields

__all__ = [
    "ChipFit",
    "Fit",
    "Variant",
    "find_smallest_chip",
    "fit_model",
    "fit_variants",
    "refuse_all",
    "require_field",
    "sweep_model",
    "vary_fields",
]

"""Design rules of accelerators with crossbars: a function a rule, in its family's module; its docstring is what users read."""

from snnmap.crossbar.drc import capacity, fidelity, model, numeric
from snnmap.crossbar.drc.engine import (
    RULES,
    Held,
    OnArchitecture,
    check_image,
    check_layers,
    check_mapped,
    check_model,
    check_program,
)

__all__ = [
    # running
    "check_image",
    "check_layers",
    "check_mapped",
    "check_model",
    "check_program",
    # the rules
    "RULES",
    "Held",
    "OnArchitecture",
    # the families
    "capacity",
    "fidelity",
    "model",
    "numeric",
]

"""The chips' integer arithmetic, one module a family; engines, quantiser, training and rules ask the family of a chip's record.

A module of this package that has a ``FAMILY`` is one, and nothing else names it. To add one: write such a module (the rules in
plain integers, the same rules of float operations for training, and what :class:`Family` asks about codes, factors and drift; it
may import another family's functions), and give a chip's record its name as ``arithmetic``.
"""

from snnmap.chip.arithmetic.compiled import compile_integer_rules, named_after
from snnmap.chip.arithmetic.family import Codes, Factors, Family, FloatOps, FloatRules, IntegerRules, Value
from snnmap.chip.arithmetic.table import DEFAULT_FAMILY, find_family, list_families
from snnmap.chip.arithmetic.words import WIDE, saturate, wrap

__all__ = [
    # what a family answers
    "Codes",
    "Factors",
    "Family",
    "FloatOps",
    "FloatRules",
    "IntegerRules",
    "Value",
    "compile_integer_rules",
    "named_after",
    # the table of families
    "DEFAULT_FAMILY",
    "find_family",
    "list_families",
    # words
    "WIDE",
    "saturate",
    "wrap",
]

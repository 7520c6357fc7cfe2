"""Neutral ground for every back end: errors, diagnostics, files, records, sparse matrices."""

from snnmap.core.csr import CsrMatrix
from snnmap.core.record import BoolArray, FloatArray, IntArray, record
from snnmap.core.report import Report

__all__ = [
    "CsrMatrix",
    "Report",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "record",
]

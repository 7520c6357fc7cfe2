"""Neutral ground for every back end: errors, diagnostics, files, records, sparse matrices."""

from snnmap.core.allowance import Allowance
from snnmap.core.csr import CsrMatrix, list_places, order_alike, split_near, take_places
from snnmap.core.record import BoolArray, FloatArray, IntArray, record, seal
from snnmap.core.report import Report

__all__ = [
    "Allowance",
    "CsrMatrix",
    "Report",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "list_places",
    "order_alike",
    "record",
    "seal",
    "split_near",
    "take_places",
]

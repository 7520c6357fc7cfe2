"""Architectural templates, of which a layer takes the one with the best return."""

from snnmap.dataflow.templates.catalog import TEMPLATES, list_fitting
from snnmap.dataflow.templates.template import Legal, Parallelism, Template

__all__ = ["TEMPLATES", "Legal", "Parallelism", "Template", "list_fitting"]

"""The layer graph: an ANN as its author wrote it, on which every back end stands; it knows nothing of spikes or chips."""

from snnmap.graph import operations as operations  # which registers them
from snnmap.graph.build import BATCHES, GraphBuilder, Unreadable, UnreadableError, UnreadableModelError
from snnmap.graph.draw import format_mermaid
from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.joins import name_choice, plan_choice, plan_join
from snnmap.graph.moved import follow_batch, refuse_moved
from snnmap.graph.operation import OPERATIONS, Operation, Role, TensorType, operation
from snnmap.graph.passes.canonical import canonicalise
from snnmap.graph.passes.fold_affine import fold_affine
from snnmap.graph.passes.fuse_steps import fuse_steps, unfuse_steps
from snnmap.graph.passes.join_quantised import has_integer_form, join_quantised
from snnmap.graph.passes.leave_to_host import leave_to_host
from snnmap.graph.passes.remove_identity import remove_identity
from snnmap.graph.passes.shift_signed import shift_signed
from snnmap.graph.passes.split_quantised import split_quantised
from snnmap.graph.run import measure_difference, require_same, run_graph
from snnmap.graph.text import format_graph, parse_graph

__all__ = [
    # the graph
    "LayerGraph",
    "Node",
    "TensorType",
    # operations
    "OPERATIONS",
    "Operation",
    "Role",
    "operation",
    # making one
    "BATCHES",
    "GraphBuilder",
    "Unreadable",
    "UnreadableError",
    "UnreadableModelError",
    "follow_batch",
    "name_choice",
    "plan_choice",
    "plan_join",
    "refuse_moved",
    # running and comparing
    "measure_difference",
    "require_same",
    "run_graph",
    # passes
    "canonicalise",
    "fold_affine",
    "fuse_steps",
    "has_integer_form",
    "join_quantised",
    "leave_to_host",
    "remove_identity",
    "shift_signed",
    "split_quantised",
    "unfuse_steps",
    # looking at it
    "format_graph",
    "format_mermaid",
    "parse_graph",
]

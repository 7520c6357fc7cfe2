"""Nengo's networks of rectified neurons and direct connections, as ANNs."""

from typing import Any

import numpy as np

from snnmap.convert.affine import scale
from snnmap.convert.ann import Affine, Ann, ReluLayer
from snnmap.convert.layers import RESERVED
from snnmap.convert.lower import Lowering, Place, lower_graph
from snnmap.convert.nengo_neurons import check_on_chip
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo.build import unique_name
from snnmap.frontends.nengo.rates import RateReader, name_objects
from snnmap.graph import Node

__all__ = ["find_nengo_place", "read_nengo"]


def read_nengo(network: Any, *, input_node: Any = None) -> Ann:
    """Read a feed-forward nengo.Network of rectified neurons and direct connections as an ANN.

    Neurons are RectifiedLinear, SpikingRectifiedLinear or RegularSpiking(RectifiedLinear); connections go between Nodes and
    ``ensemble.neurons`` without a synapse, through Dense, Sparse or Convolution transforms. Gains and biases are those of
    nengo's builder, amplitudes are folded. Constant Nodes beside the input are biases. The one Node or ensemble that sends
    to nothing is the output. Probes are ways of looking at the network and play no part, nor do their synapses.

    Args:
        network: ``nengo.Network``.
        input_node: the Node that inputs come from; may be left out where the network has one Node without an input.

    Returns:
        ReLU layers named by the ensembles' labels, and the output.

    Raises:
        FrontendError: nengo is missing, or something cannot live on a deterministic LIF chip; it says what, where and why.
    """
    nengo = import_nengo()
    if not isinstance(network, nengo.Network):
        raise FrontendError("this is not a nengo.Network", measured=type(network).__name__, fix="give a nengo.Network")
    for ensemble, name in name_objects(network).items():
        if isinstance(ensemble, nengo.Ensemble):
            check_on_chip(ensemble.neuron_type, f"ensemble '{name}'")
    reader = RateReader(network, input_node)
    graph = reader.read()
    return lower_graph(graph, lambda node: find_nengo_place(reader, node), "", lowerings={"Rates": _rectify})


def find_nengo_place(reader: RateReader, node: Node) -> Place:
    """Tell an ensemble by its label, which gets a number where it is a port's name."""
    label = reader.labels.get(node.name, node.name)
    name = unique_name(label, {*RESERVED, *reader.names.values()}) if label in RESERVED else label
    return Place(name=name, noun=f"curve of {label}", where=f"ensemble '{label}'")


def _rectify(lowering: Lowering, node: Node) -> Affine:
    """Lower rectified neurons; amplitudes are folded."""
    value, factor = lowering.value(node), getattr(node.operation, "amplitude", 1.0) * getattr(node.operation, "factor", 1.0)
    incoming = scale(value, np.full(value.size, factor), np.zeros(value.size))
    return lowering.layers.rectify(ReluLayer(name=lowering.name(node), incoming=incoming))

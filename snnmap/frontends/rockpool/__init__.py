"""From a Rockpool module or computational graph to a network, and from a chip's image to XyloSim's specification."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.rockpool.modules import find_own_forwards, require_known_forward, walk_modules
from snnmap.frontends.rockpool.neurons import is_filter, make_filter_part
from snnmap.frontends.rockpool.reader import GraphReader
from snnmap.frontends.rockpool.specification import to_specification
from snnmap.frontends.rockpool.trial import require_same_outputs
from snnmap.network import OTHERWISE, Network

__all__ = ["load", "to_specification"]


def load(module_or_graph: Any, *, dt: float | None = None, max_count: int | None = None, name: str | None = None) -> Network:
    """Turn a Rockpool module or graph into a network that gives the same spike counts, layer for layer.

    Modules are read through ``as_graph()``: LIFTorch and LIF (recurrent, any number of synapses, any leak mode), LinearTorch
    and Linear, Sequential, Residual, SynNet, and what passes its input on. A graph may have any connections between neurons,
    weights and aliases. Neither is changed. Rockpool's synapses decay after their input arrives, so that weights are
    multiplied by the decay of the synapse they enter. The bias of a Linear layer becomes a neuron that fires in each step.

    Weights from the outputs of neurons to their own inputs are their recurrent weights, a step late; they carry the neurons'
    own spikes alone, also where a Residual adds its input at the same nodes.

    Outputs are read as membrane potentials, after each step, where the model gives no spikes: neurons whose thresholds are
    32767 or more, as SynNet sets them for ``output="vmem"``; ExpSynTorch and ExpSyn (synapse and output of a neuron without
    membrane decay); and weights behind which no neurons are (neurons without any memory). States start at zero.

    A module with a forward of its own is run on drawn spike counts, as a copy, and must give what its graph says.

    Args:
        module_or_graph: a module of ``rockpool.nn``, or a graph as ``as_graph()`` gives it.
        dt: length of a step in seconds, for a graph whose neurons have none.
        max_count: the most spikes a neuron may send in a step, where its ``max_spikes_per_dt`` (65536 unless set) allows more
            than the chip does; changes nothing as long as none sends more.
        name: of the network; the module's class name where left out.

    Returns:
        The network: populations named by module path, in float64.

    Raises:
        FrontendError: Rockpool is missing, or a part or option has no counterpart, or a module computes something else than
            its graph says; it says which and where.
    """
    rockpool = import_package("rockpool", called="Rockpool")
    graphs = importlib.import_module("rockpool.graph")
    if max_count is not None and not (isinstance(max_count, int) and max_count >= 1):
        raise FrontendError("max_count lets no neuron fire", measured=repr(max_count), limit="a whole number from 1")
    graph, root = _read_graph(module_or_graph, graphs)
    title = name or type(graph if root is None else root).__name__
    reader = GraphReader(graph, graphs, root, dt, max_count)
    reader.read()
    if root is module_or_graph and (own := find_own_forwards(root)):
        unlimited = GraphReader(graph, graphs, root, dt, None)
        unlimited.read()
        require_same_outputs(root, unlimited.parts.to_network(title, unlimited.dt_s, {}), own)
    provenance = {
        "framework": f"rockpool {rockpool.__version__}",
        "dt": f"{reader.dt_s} s",
        "integrator": "exponential Euler, synapses decay after their input",
        "reset": "subtract",
        "reset delay": "0 steps",
        "largest count": "max_spikes_per_dt" if max_count is None else f"max_spikes_per_dt, at most {max_count}",
        "input latency": "0 steps",
        **({} if max_count is None else {OTHERWISE: f"max_count={max_count} in snnmap.load"}),
        "readout": "; ".join(reader.readouts),
        **reader.advise(),
    }
    return reader.parts.to_network(title, reader.dt_s, provenance)


def _read_graph(given: Any, graphs: Any) -> tuple[Any, Any]:
    """Return the graph, and the module that it was made of where that is known."""
    if isinstance(given, graphs.GraphModuleBase):
        root = given.computational_module
        _require_known_forwards(root)
        return given, root
    if not hasattr(given, "as_graph"):
        raise FrontendError(
            "this is neither a Rockpool module nor a graph",
            measured=type(given).__name__,
            fix="put its layers into rockpool.nn.combinators.Sequential, or Residual",
        )
    _require_known_forwards(given)
    try:
        with _graphs_of_filters(given, graphs):
            return given.as_graph(), given
    except Exception as error:
        fix = "use Linear, LinearTorch, LIF, LIFTorch, ExpSynTorch, Sequential, Residual and SynNet; a class of your own needs an"
        fix += " as_graph(), which joins those of its modules (rockpool.graph.connect_modules)"
        raise FrontendError.from_failure("as_graph() of the module fails", error, where=type(given).__name__, fix=fix) from error


def _require_known_forwards(root: Any) -> None:
    for path, module in walk_modules(root):
        require_known_forward(module, path)


@contextmanager
def _graphs_of_filters(root: Any, graphs: Any) -> Iterator[None]:
    """Let exponential synapses, of which Rockpool makes no graph, give one while the block runs."""
    filters = [module for _, module in walk_modules(root) if is_filter(module)]
    for module in filters:
        object.__setattr__(module, "as_graph", lambda module=module: make_filter_part(module, graphs))
    try:
        yield
    finally:
        for module in filters:
            object.__delattr__(module, "as_graph")

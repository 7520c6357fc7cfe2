"""NIR graphs and `.nir` files to networks and back, through the `nir` package alone."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from snnmap.core.errors import ConversionWarning, FrontendError, SnnmapError
from snnmap.core.packages import import_package
from snnmap.frontends.nir.exporters import describe_lost
from snnmap.frontends.nir.graph import flatten_graph, read_file, type_name
from snnmap.frontends.nir.options import NirOptions
from snnmap.frontends.nir.read import read_graph
from snnmap.frontends.nir.write import save, to_nir
from snnmap.frontends.nir.written import read_options
from snnmap.network import Network

__all__ = ["NirOptions", "load", "save", "to_nir"]


def load(
    source: Any, options: NirOptions | None = None, *, like: str | None = None, name: str | None = None, **choices: Any
) -> Network:
    """Turn a NIR graph into the network that gives the same spikes under the chosen rules.

    Linear nodes in a row (Linear, Affine, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten) become one sparse
    projection; I, LI and CubaLI are neurons that never fire, read as potentials; an Output that no neuron feeds directly
    becomes neurons without memory, read as potentials. Shapes are flattened channel first. A loop without Delay comes round
    one step later; every potential starts at 0.

    Args:
        source: a ``nir.NIRGraph``, or the path of a `.nir` file; a file that :func:`save` wrote holds its own choices.
        options: the choices that NIR leaves open; ``NirOptions.like("norse", dt_s=1e-4)`` for those of a framework.
        like: framework whose rules these are, as :meth:`NirOptions.like` takes it, where no options are given.
        name: of the network; the file's name where left out.
        **choices: fields of :class:`NirOptions` to set or change.

    Returns:
        The network; its provenance records every choice, its sources name the nodes.

    Warns:
        ConversionWarning: what the exporter of the framework cannot write into the graph, and how it is read.

    Raises:
        FrontendError: nir is missing, a choice that the graph needs is missing, or the graph is malformed or has no
            counterpart; it says where.
        NetworkError: a convolution or pooling does not fit its input.
    """
    import_package("nir")
    if options is not None and not isinstance(options, NirOptions):
        raise FrontendError(
            "options are given as NirOptions", measured=type(options).__name__, fix='write NirOptions.like("norse", dt_s=...)'
        )
    if like is not None:
        if options is not None:
            raise FrontendError("options and like are given", measured=f"like={like!r}", fix="give one of them")
        options = NirOptions.like(like)
    path = Path(source) if isinstance(source, str | Path) else None
    graph = source if path is None else read_file(path)
    if type_name(graph) != "NIRGraph":
        raise FrontendError("the source is no NIR graph", measured=type_name(graph), fix="give a nir.NIRGraph or a path")
    try:
        flat = flatten_graph(graph)
        used = read_options(flat.metadata, options, choices)
        network = read_graph(flat, used, name or (path.stem if path else ""))
    except SnnmapError as error:
        if path is None:
            raise
        raise error.within(str(path)) from error
    lost = describe_lost({type_name(node) for node in flat.nodes.values()}, used)
    if lost is not None:
        told, fix = lost
        warnings.warn(f"{told}\n  fix: {fix}", ConversionWarning, stacklevel=2)
        return replace(network, provenance={**network.provenance, "not in the file": told})
    return network

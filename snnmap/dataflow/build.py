"""The whole way: a quantised layer graph to a pipeline within budgets."""

from collections.abc import Callable
from dataclasses import replace

from snnmap.dataflow.allocate import list_choices
from snnmap.dataflow.device import Device, load_device
from snnmap.dataflow.lower import lower_graph
from snnmap.dataflow.options import PipelineOptions
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.refuse import make_refusal
from snnmap.dataflow.search import Search
from snnmap.graph import LayerGraph

__all__ = ["build_pipeline"]


def build_pipeline(
    graph: LayerGraph,
    device: str | Device,
    *,
    options: PipelineOptions | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Pipeline:
    """Give every layer of a quantised graph hardware of its own, within budgets, and buffers that never stall it.

    Args:
        graph: with activations in uint8.
        device: its name, the path of its TOML file, or itself.
        options: budgets, target, and how they are searched.
        on_stage: is told each stage.

    Raises:
        NoTemplateError: nodes have no template; it tells all of them.
        NetworkError: no parallelism meets the budgets; it tells the least that would do.
    """
    tell, chosen = on_stage or (lambda _: None), options or PipelineOptions()
    target = _set_budgets(load_device(device) if isinstance(device, str) else device, chosen)
    tell("lowering to integers")
    network = lower_graph(graph, target)
    tell("listing what each layer can be")
    legal, streams = chosen.parallelism, chosen.stream_weights and chosen.cut is None  # a unit has the link to itself
    choices = [list_choices(layer, target, legal=legal, streams=streams) for layer in network.layers]
    tell("dividing the budgets")
    search = Search(network=network, device=target, options=chosen, choices=choices)
    found = search.find()
    if found is None:
        tell("looking for the least that would do")
        raise make_refusal(search)
    return found


def _set_budgets(device: Device, options: PipelineOptions) -> Device:
    """Return a device that has as much as the budgets say."""
    memory = replace(device.memory, blocks=options.memory_blocks or device.memory.blocks)
    return replace(device, multipliers=options.multipliers or device.multipliers, memory=memory)

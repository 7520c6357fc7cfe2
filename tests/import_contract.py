"""The layers of pyproject.toml as `lint-imports` reads them: back ends need not be named there."""

from dataclasses import replace
from typing import Any

from importlinter.contracts.layers import Layer, LayersContract, ModuleTail

__all__ = ["RoomsContract"]


class RoomsContract(LayersContract):
    """import-linter's layers; a package with a ``drc`` that none of them names is a back end, beside those that are named."""

    type_name = "rooms"

    def check(self, graph: Any, verbose: bool) -> Any:
        """Check the imports, new back ends among them."""
        containers = [container.expression for container in self.containers]
        rooms = {
            child.rpartition(".")[2]
            for one in containers
            for child in graph.find_children(one)
            if f"{child}.drc" in graph.modules
        }
        named = {tail.name for layer in self.layers for tail in layer.module_tails}
        new = {ModuleTail(name=room) for room in rooms - named}
        self.layers = [_widen(layer, new) if _holds(layer, rooms & named) else layer for layer in self.layers]
        return super().check(graph, verbose)


def _holds(layer: Layer, rooms: set[str]) -> bool:
    return any(tail.name in rooms for tail in layer.module_tails)


def _widen(layer: Layer, rooms: set[ModuleTail]) -> Layer:
    return replace(layer, module_tails=layer.module_tails | rooms)

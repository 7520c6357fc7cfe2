"""Which words a firing needs, and from when on nobody needs them: against the places that each window sees."""

from typing import Any

import numpy as np
import pytest
from pipeline_cases import SMALL
from random_quantised import make_random
from random_wide import make_wide

from snnmap.dataflow.lower import Layer, group_firings, lower_graph
from snnmap.frontends.onnx import read_layer_graph


def list_layers(seed: int) -> list[tuple[Layer, Any]]:
    """The layers of a random network whose windows slide, and the sides of their inputs."""
    network = lower_graph(read_layer_graph((make_random, make_wide)[seed % 2](seed)), SMALL)
    streams = network.streams
    found = [layer for layer in network.layers if layer.kind in ("convolution", "depthwise", "pointwise", "pool")]
    return [(layer, (streams[layer.sources[0]].height, streams[layer.sources[0]].width)) for layer in found]


def list_seen(layer: Layer, sides: tuple[int, int]) -> list[set[int]]:
    """The words that each window sees, from the windows' own view of a picture of numbers."""
    operation: Any = layer.node.operation
    numbers = np.arange(sides[0] * sides[1]).reshape(1, 1, *(sides if len(operation.kernel_shape) == 2 else sides[1:]))
    seen = operation.windows().view(numbers, -1)
    return [set(row) - {-1} for row in seen.reshape(layer.flow.n_firings, -1).tolist()]


@pytest.mark.parametrize("seed", range(40))
def test_words_have_come_and_are_there_as_long_as_they_are_needed(seed: int) -> None:
    for layer, sides in list_layers(seed):
        (needs,), (frees,) = layer.flow.needs, layer.flow.frees
        seen, n_words = list_seen(layer, sides), sides[0] * sides[1]
        most = -1
        for firing, words in enumerate(seen):
            most = max(most, *words, -1) if words else most
            later = [word for other in seen[firing + 1 :] for word in other]
            assert needs[firing] >= most + 1
            assert frees[firing] <= min(later, default=n_words)
        assert frees[-1] == n_words
        assert layer.flow.gives.tolist() == list(range(1, len(seen) + 1))


@pytest.mark.parametrize("seed", range(20))
def test_no_word_is_awaited_or_kept_for_nothing(seed: int) -> None:
    """Where every window sees a word that is no pad, which is all but for odd pads."""
    for layer, sides in list_layers(seed):
        seen = list_seen(layer, sides)
        if all(seen):
            (needs,), (frees,) = layer.flow.needs, layer.flow.frees
            assert needs.tolist() == np.maximum.accumulate([max(words) + 1 for words in seen]).tolist()
            kept = [min(words) for words in seen[1:]] + [sides[0] * sides[1]]
            assert frees.tolist() == np.minimum.accumulate(kept[::-1])[::-1].tolist()


@pytest.mark.parametrize("n_places", [2, 3, 8])
def test_firings_of_several_places_wait_for_their_last_and_free_behind_it(n_places: int) -> None:
    for layer, _ in list_layers(2):
        width = layer.target.width
        grouped = group_firings(layer.flow, width, n_places)
        assert grouped.n_firings == layer.target.height * -(-width // n_places)
        assert grouped.gives[-1] == layer.flow.n_firings
        ends = grouped.gives - 1
        assert grouped.needs[0].tolist() == layer.flow.needs[0][ends].tolist()
        assert grouped.frees[0].tolist() == layer.flow.frees[0][ends].tolist()

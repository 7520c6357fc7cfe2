"""Pruning before converting: the chip's fan-in is kept, the least goes, convolutions stay convolutions, the cost is measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fan_in_models import make_small_chip
from torch import Tensor, nn

import snnmap
from snnmap.convert import Ann, ConvertOptions, convert_ann, read_ann, run_ann
from snnmap.convert.ann import apply_affine
from snnmap.convert.pools import count_fan_in
from snnmap.convert.prune import prune_ann
from snnmap.core.errors import InputError

VALUES = np.random.default_rng(0).uniform(0, 1, (60, 2, 8, 8))
CHIP = make_small_chip(10, 20, 30)
N_INPUT, N_RECURRENT, N_OUTPUT = 10 - 3, 20 - 3, 30 - 1  # less clock, hold and release, and the repeated clock


def make_cnn() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 4, 3, padding=1), nn.ReLU6(), nn.Conv2d(4, 5, 3, 2, padding=1), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(80, 3)).eval()


def read_cnn() -> Ann:
    return read_ann(make_cnn(), (2, 8, 8))


def list_kernels(ann: Ann, layer: str, source: str, side: int, stride: int) -> list[dict[tuple[int, int, int], bool]]:
    """Give, for each place of each output channel, which weights of the kernel are kept, where the kernel lies on the input."""
    (found,) = (one.incoming for one in ann.layers if one.name == layer)
    weights, (n_channels, height, width) = found.terms[source].toarray(), found.shape
    n_sources = len(weights) // side**2
    held = weights.reshape(n_sources, side, side, n_channels, height, width) != 0.0
    kernels = []
    for channel in range(n_channels):
        for y, x in np.ndindex(height, width):
            seen = {}
            for c, dy, dx in np.ndindex(n_sources, 3, 3):
                top, left = stride * y + dy - 1, stride * x + dx - 1
                if 0 <= top < side and 0 <= left < side:
                    seen[c, dy, dx] = bool(held[c, top, left, channel, y, x])
            kernels.append(seen)
    return kernels


def test_a_convolution_stays_one() -> None:
    ann = read_cnn()
    pruned, _ = prune_ann(ann, VALUES, CHIP)
    for layer, source, stride in (("1", "input", 1), ("3", "1", 2)):
        kernels = list_kernels(pruned, layer, source, 8, stride)
        n_places = 64 // stride**2
        for start in range(0, len(kernels), n_places):
            masks: dict[tuple[int, int, int], set[bool]] = {}
            for kernel in kernels[start : start + n_places]:
                for place, kept in kernel.items():
                    masks.setdefault(place, set()).add(kept)
            assert all(len(kept) == 1 for kept in masks.values())
            assert {True} in masks.values()
            assert {False} in masks.values()


def test_no_neuron_has_more_than_the_chip_stores_and_what_is_dropped_is_counted() -> None:
    ann = read_cnn()
    pruned, lost = prune_ann(ann, VALUES, CHIP)
    for layer in pruned.layers:
        assert count_fan_in(layer.incoming).max() == (N_INPUT if "input" in layer.incoming.terms else N_RECURRENT)
    assert (count_fan_in(pruned.output) == N_OUTPUT).all()
    assert lost.dropped["output"] == 3 * (80 - N_OUTPUT)
    assert lost.weights["output"] == 240
    wanted, found = (run_ann(one, VALUES)["output"] for one in (ann, pruned))
    assert lost.agreement == np.mean(wanted.argmax(axis=1) == found.argmax(axis=1)) < 1.0
    spread = np.sqrt(((wanted - wanted.mean(axis=0)) ** 2).mean())
    assert lost.relative_error == pytest.approx(np.sqrt(((wanted - found) ** 2).mean()) / spread)


def test_the_least_contributions_go_and_their_mean_stays() -> None:
    torch.manual_seed(0)
    ann = read_ann(nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3)).eval(), (12,))
    values = np.random.default_rng(1).uniform(0, 1, (40, 12)) * np.linspace(0.1, 2.0, 12)
    pruned, _ = prune_ann(ann, values, CHIP)
    before, after = ann.layers[0].incoming, pruned.layers[0].incoming
    weights, kept = (one.terms["input"].toarray() for one in (before, after))
    score = np.abs(weights) * np.sqrt((values**2).mean(axis=0))[:, np.newaxis]
    for neuron in range(5):
        largest = np.argsort(-score[:, neuron])[:N_INPUT]
        assert sorted(largest) == np.flatnonzero(kept[:, neuron]).tolist()
        assert np.array_equal(kept[largest, neuron], weights[largest, neuron])
    means = (apply_affine(one, {"input": values}).mean(axis=0) for one in (before, after))
    assert np.allclose(*means)


def test_of_equal_weights_no_more_go_than_must() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 3)).eval()
    with torch.no_grad():
        model[0].weight.fill_(0.25)
    pruned, lost = prune_ann(read_ann(model, (2, 8, 8)), np.ones((20, 2, 8, 8)), CHIP)
    assert (count_fan_in(pruned.layers[0].incoming) == N_INPUT).all()
    assert lost.dropped["1"] == 108 * (18 - N_INPUT)


def test_what_fits_is_left_alone() -> None:
    ann = read_cnn()
    pruned, lost = prune_ann(ann, VALUES, make_small_chip(100, 100, 100))
    assert (lost.dropped, lost.relative_error, lost.agreement) == ({}, 0.0, 1.0)
    assert "none" in str(lost)
    assert np.array_equal(run_ann(pruned, VALUES)["output"], run_ann(ann, VALUES)["output"])


def test_a_pruned_conversion_fits_and_is_held_against_the_whole_model() -> None:
    model, bright = make_cnn(), np.random.default_rng(1).uniform(0, 1, (60, 1, 1, 1)) * VALUES
    lax = ConvertOptions(error_limit=1e9)
    broken = snnmap.check_model(convert_ann(model, bright, options=lax), CHIP).report
    assert {error.rule for error in broken.errors} == {"SNN204"}
    for overshoot in ("allow", "hold"):
        conversion = convert_ann(model, bright, options=replace(lax, prune=True, overshoot=overshoot), chip=CHIP)
        report = snnmap.check_model(conversion, CHIP, options=snnmap.CompileOptions(allow=("SNN6",))).report
        assert not report.errors
        assert conversion.pruning is not None
        assert conversion.pruning.dropped.keys() == {"1", "1.excess", "3", "output"}
        wanted = model(torch.tensor(bright, dtype=torch.float32)).detach().numpy()
        assert np.allclose(conversion.expected, wanted, atol=1e-5)


def test_inputs_past_a_layer_count_where_relays_bring_them() -> None:
    class Skip(nn.Module):
        """A layer that takes another's values and the input's."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(9, 12), nn.Linear(21, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            joint = torch.cat([torch.relu(self.first(x)), x], dim=1)
            outputs: Tensor = self.last(torch.relu(self.second(joint)))
            return outputs

    torch.manual_seed(0)
    values = np.random.default_rng(0).uniform(0, 1, (40, 9))
    options = ConvertOptions(error_limit=1e9, prune=True)
    conversion = convert_ann(Skip().eval(), values, options=options, chip=CHIP)
    assert [int(count_fan_in(layer.incoming).max()) for layer in conversion.ann.layers] == [N_INPUT, N_RECURRENT]
    report = snnmap.check_model(conversion, CHIP, options=snnmap.CompileOptions(allow=("SNN6",))).report
    assert not report.errors


def test_pruning_needs_the_one_chip_that_it_is_for() -> None:
    with pytest.raises(InputError, match="pruned to the fan-in of one chip"):
        convert_ann(make_cnn(), VALUES, options=ConvertOptions(prune=True))

"""What data leave to compute, on operations whose products can be counted by hand or by broadcasting."""

from typing import Any

import numpy as np
import pytest
import torch
from quantised_networks import make_small
from torch import Tensor, nn

import snnmap
from snnmap.core.errors import InputError, NetworkError
from snnmap.frontends.onnx import read_layer_graph as read_onnx
from snnmap.frontends.torch import read_layer_graph
from snnmap.graph import join_quantised, run_graph
from snnmap.profile import ProfileOptions, Sparsity, measure_sparsity, profile_graph
from snnmap.profile.rows import list_rows

RNG = np.random.default_rng(0)


def measure_one(module: nn.Module, data: Any, options: ProfileOptions | None = None) -> Sparsity:
    (found,) = measure_sparsity(read_layer_graph(module, data.shape[1:]), data, options).values()
    return found


def sparse(*shape: int) -> Any:
    return RNG.normal(size=shape) * (RNG.random(shape) < 0.5)


def test_linear_layers_multiply_what_is_not_zero() -> None:
    layer, data = nn.Linear(6, 4, bias=False), sparse(5, 6)
    with torch.no_grad():
        layer.weight *= torch.rand(4, 6) < 0.5
    weight = layer.weight.detach().numpy() != 0
    found = measure_one(layer, data)
    assert found.active_macs == pytest.approx(((data != 0) @ weight.T.astype(int)).sum(axis=1).mean())
    changed = data[1:] != data[:-1]
    assert found.changed_macs == pytest.approx((changed @ weight.T.astype(int)).sum(axis=1).mean())


def test_linear_layers_of_sequences_too() -> None:
    layer, data = nn.Linear(6, 4, bias=False), sparse(3, 7, 6)
    assert measure_one(layer, data).active_macs == pytest.approx((data != 0).sum() / 3 * 4)


def test_transposed_convolutions_spread_what_is_not_zero() -> None:
    layer, data = nn.ConvTranspose2d(4, 6, 2, 2, groups=2, bias=False), sparse(2, 4, 3, 3)
    assert measure_one(layer, data).active_macs == pytest.approx((data != 0).sum() / 2 * 3 * 4)


class Product(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, x.transpose(1, 2))


def test_products_of_two_values_change_with_either() -> None:
    data = sparse(4, 3, 5)
    data[1, 0] = data[0, 0]
    found = measure_sparsity(read_layer_graph(Product(), (3, 5)), data)["matmul"]
    marks = (data != 0).astype(int)
    assert found.active_macs == pytest.approx((marks @ marks.transpose(0, 2, 1)).sum() / 4)
    same = (data[1:] == data[:-1]).astype(int)
    assert found.changed_macs == pytest.approx(45 - (same @ same.transpose(0, 2, 1)).sum() / 3)
    assert found.zero_weights is None


def test_sparse_products_count_stored_weights() -> None:
    module = nn.Upsample(scale_factor=2, mode="bilinear")
    graph, data = read_layer_graph(module, (1, 3, 3)), sparse(2, 1, 3, 3)
    (node,) = graph.select_kinds("SparseMatMul")
    starts = np.diff(graph.constants[node.inputs[3]])
    found = measure_sparsity(graph, data)[node.name]
    assert found.active_macs == pytest.approx(((data.reshape(2, 9) != 0) @ starts).mean())


def test_quantised_values_are_zero_at_their_zero_point() -> None:
    graph = read_onnx(make_small())
    data = RNG.normal(size=(3, 3, 12, 12)).astype(np.float32)
    found, values = measure_sparsity(graph, data), run_graph(graph, data, dtype=np.float32)
    for node in graph.select_kinds("QLinearConv", "QGemm"):
        taken, zero = values[node.inputs[0]], graph.constants[node.inputs[2]]
        assert found[node.name].zero_activations == pytest.approx((taken == zero).mean())
        assert found[node.name].active_macs > 0


def test_dense_values_save_only_what_padding_is() -> None:
    data = RNG.uniform(1, 2, (1, 2, 4, 4))
    inside = 10 * 10  # of (3 * 4)**2 places that the windows of a side see, 2 in each direction are padding
    assert measure_one(nn.Conv2d(2, 3, 3, padding=1), data).active_macs == 2 * 3 * inside
    assert measure_one(nn.Conv2d(2, 3, 3), data).active_macs == 2 * 3 * 9 * 4


def test_rounded_values_have_no_more_levels_than_their_bits() -> None:
    data = np.array([[0.0, 0.1, 0.6, 1.0], [0.1, 0.0, 0.4, 1.0]])
    exact = measure_one(nn.Linear(4, 2), data)
    rounded = measure_one(nn.Linear(4, 2), data, ProfileOptions(input_bits=1, rounded=True))  # 0 or 1
    assert (exact.zero_activations, exact.unchanged) == (0.25, 0.25)
    assert (rounded.zero_activations, rounded.unchanged) == (5 / 8, 0.75)


def test_weights_are_rounded_to_levels_around_zero() -> None:
    layer = nn.Linear(3, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[-1.0, 0.4, 0.6]]))
    found = measure_one(layer, np.ones((1, 3)), ProfileOptions(weight_bits=2, rounded=True))  # -1, 0, 1
    assert found.zero_weights == pytest.approx(1 / 3)
    assert found.active_macs == 2.0


def test_one_sample_tells_nothing_of_changes() -> None:
    found = measure_one(nn.Linear(3, 2), np.ones((1, 3)))
    assert found.unchanged is None
    assert found.changed_macs is None


def test_several_inputs_are_given_by_name() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(3, 4), nn.Linear(2, 4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.relu(self.one(x)) + self.two(y)

    graph = read_layer_graph(Two(), (3,), (2,))
    found = measure_sparsity(graph, {"input": np.ones((2, 3)), "y": np.zeros((2, 2))})
    assert found["two"].zero_activations == 1.0
    for data in ({"input": np.ones((2, 3))}, {"input": np.ones((2, 3)), "y": np.ones((1, 2))}, np.ones((2, 3))):
        with pytest.raises(InputError):
            measure_sparsity(graph, data)


def test_joined_and_unjoined_quantisation_give_the_same_products() -> None:
    graph = read_onnx(make_small())
    joined = join_quantised(graph)
    one, other = profile_graph(graph), profile_graph(joined)
    assert (one.macs, one.n_weights, one.n_biases) == (other.macs, other.n_weights, other.n_biases)


def test_every_layer_is_measured() -> None:
    graph = read_onnx(make_small())
    data = RNG.normal(size=(2, 3, 12, 12))
    sparsity = measure_sparsity(graph, data)
    assert sparsity.keys() == {row.main.name for row in list_rows(graph).rows}
    assert all(layer.sparsity is not None for layer in profile_graph(graph, data=data).layers)


def test_what_only_a_framework_runs_is_told_with_its_place() -> None:
    with pytest.raises(NetworkError, match="GELU"):
        snnmap.profile_model(nn.Sequential(nn.Linear(3, 3), nn.GELU()), (3,), data=np.ones((2, 3)))


BAD: dict[str, tuple[Any, str]] = {
    "no batch": (np.ones(3), "put one sample in an array"),
    "no samples": (np.ones((0, 3)), "n_samples"),
    "another shape": (np.ones((2, 4)), r"(?s)\(2, 4\).*\(n_samples, 3\).*--input-shape"),
    "not finite": (np.array([[1.0, np.nan, 2.0]]), "not finite"),
    "text": (np.array([["a", "b", "c"]]), "not finite numbers"),
    "another name": ({"z": np.ones((2, 3)), "y": np.ones((2, 3))}, "other inputs"),
    "another rate": ({"input": np.ones((2, 3)), "fps": 25}, r"(?s)25.*30.*--fps 25"),
}


@pytest.mark.parametrize("name", BAD)
def test_data_that_do_not_suit_are_told(name: str) -> None:
    data, message = BAD[name]
    with pytest.raises(InputError, match=message):
        snnmap.profile_model(nn.Linear(3, 2), (3,), data=data, options=ProfileOptions(fps=30))


def test_data_may_tell_their_rate() -> None:
    profile = snnmap.profile_model(nn.Linear(3, 2), (3,), data={"frames": np.ones((2, 3)), "fps": np.array(25.0)})
    assert profile.options.rate == 25.0

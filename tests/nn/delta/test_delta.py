"""Delta inference equals the frame-by-frame network; delta layers change only what they say."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import (
    DeltaActivation,
    DeltaNetwork,
    DeltaSynapse,
    QuantisedReLU,
    StepQuantiser,
    delta_activation_layer,
    differences,
    insert_delta,
    run_frames,
    sparsity_penalty,
    temporal_delta_layer,
)

ACTIVATIONS = [nn.ReLU(), nn.ReLU(inplace=True), nn.Tanh(), nn.Sigmoid(), nn.GELU(), nn.LeakyReLU()]


def draw_video(*shape: int, seed: int = 0) -> Tensor:
    """Frames of which most values stay."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(*shape, dtype=torch.float64, generator=generator)
    return (steps * (torch.rand(shape, generator=generator) < 0.3)).cumsum(1)


@st.composite
def networks(draw: Any) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A network of random layers in float64 and the shape of its frames."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    n_axes = draw(st.sampled_from([0, 1, 2]))
    frame = (4,) + (draw(st.integers(5, 7)),) * n_axes
    layers: list[nn.Module] = []
    n_before = 4
    for _ in range(draw(st.integers(1, 3))):
        n_after, bias = 2 * draw(st.integers(1, 3)), draw(st.booleans())
        if n_axes:
            options: dict[str, Any] = {
                "stride": draw(st.integers(1, 2)),
                "padding": draw(st.integers(1, 2)),
                "groups": draw(st.sampled_from([1, 2])),
                "padding_mode": draw(st.sampled_from(["zeros", "circular", "replicate"])),
            }
            if options["padding_mode"] == "circular":
                options["padding"] = 1
            layers.append((nn.Conv1d if n_axes == 1 else nn.Conv2d)(n_before, n_after, 3, bias=bias, **options))
        else:
            layers.append(nn.Linear(n_before, n_after, bias=bias))
        layers.append(copy.deepcopy(draw(st.sampled_from(ACTIVATIONS))))
        n_before = n_after
    if n_axes:
        layers += [nn.Flatten(), nn.LazyLinear(3)]
    model = nn.Sequential(*layers).double()
    model(torch.zeros(1, *frame, dtype=torch.float64))
    return model, frame


@settings(deadline=None)
@given(network=networks(), n_steps=st.integers(1, 12), batch=st.integers(1, 3), seed=st.integers(0, 99))
def test_equals_the_frame_by_frame_network_at_every_step(network: Any, n_steps: int, batch: int, seed: int) -> None:
    model, frame = network
    x = draw_video(batch, n_steps, *frame, seed=seed)
    delta = DeltaNetwork(model)
    with torch.no_grad():
        expected = torch.stack([model(x[:, step].clone()) for step in range(n_steps)], 1)
        torch.testing.assert_close(delta(x), expected, rtol=0, atol=1e-10)
        for step in range(n_steps):
            torch.testing.assert_close(delta.step(x[:, step]), expected[:, step], rtol=0, atol=1e-10)


class Block(nn.Module):
    """A residual block that shares its activation and adds in place, as torchvision's do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(2), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.relu(self.norm(self.first(x))))
        y += x
        result: Tensor = self.relu(y)
        return result


def test_residual_networks_run_by_delta_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), Block(), nn.MaxPool2d(2), Block(), nn.Flatten(), nn.Linear(18, 3)).double()
    x = draw_video(2, 6, 1, 8, 8)
    run_frames(model, x)  # sets the statistics of the batch normalisation
    model.eval()
    torch.testing.assert_close(DeltaNetwork(model)(x), run_frames(model, x), rtol=0, atol=1e-10)


def test_the_synapse_is_the_written_recursion() -> None:
    layer = nn.Linear(3, 2).double()
    synapse = DeltaSynapse(layer)
    x = draw_video(1, 4, 3)
    total, previous = layer.bias.detach(), torch.zeros(1, 3, dtype=torch.float64)
    for frame in x.unbind(1):
        total = total + (frame - previous) @ layer.weight.t()
        torch.testing.assert_close(synapse(frame), total)
        assert synapse.delta is not None
        assert torch.equal(synapse.delta, frame - previous)
        previous = frame


def test_a_caller_may_reuse_the_frame_s_memory() -> None:
    model, x = nn.Linear(3, 2).double(), draw_video(2, 4, 3)
    delta, buffer = DeltaNetwork(model), torch.empty(2, 3, dtype=torch.float64)
    for frame in x.unbind(1):
        torch.testing.assert_close(delta.step(buffer.copy_(frame)), model(frame))


def test_gradients_are_those_of_the_frame_by_frame_network() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    delta, x = DeltaNetwork(model), draw_video(2, 5, 4)
    (model(x) ** 2).sum().backward()
    (delta(x) ** 2).sum().backward()
    for ours, theirs in zip(delta.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def conv_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3)
    ).double()


def inserted(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if isinstance(module, DeltaActivation)]


def test_insertion_leaves_the_model_and_the_rest_alone() -> None:
    model = conv_net()
    before = copy.deepcopy(model.state_dict())
    plain = insert_delta(model, make=lambda _: DeltaActivation())
    x = draw_video(2, 3, 1, 8, 8)
    assert torch.equal(run_frames(plain, x), run_frames(model, x))
    assert inserted(plain) == ["1.1", "3.1", "6.1"]
    assert inserted(model) == []
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())


def test_where_chooses() -> None:
    model = conv_net()
    assert inserted(insert_delta(model, skip_first=True)) == ["3.1", "6.1"]
    assert inserted(insert_delta(model, skip_first=True, skip_last=True)) == ["3.1"]
    assert inserted(insert_delta(model, ["6", "1"])) == ["1.1", "6.1"]
    assert inserted(insert_delta(model, lambda _, module: isinstance(module, nn.Linear))) == ["5.1", "7.1"]
    shared = nn.ReLU()
    assert inserted(insert_delta(nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared))) == ["1.1", "3.1"]


def test_the_penalty_is_the_l1_norm_by_neuron() -> None:
    model = insert_delta(nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU())), make=lambda _: DeltaActivation())
    x = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [3.0, 5.0]]])  # changes 1, 2 and 5, in both layers
    model(x)
    assert sparsity_penalty(model).item() == pytest.approx(2 * (1 + 2 + 5) / 3 / 4)
    run_frames(model, x)  # again, folded: the former pass is forgotten
    assert sparsity_penalty(model).item() == pytest.approx(2 * (1 + 2 + 5) / 3 / 4)


def test_a_shared_activation_keeps_the_changes_of_all_calls() -> None:
    model = insert_delta(nn.Sequential(Block().double()), make=lambda _: DeltaActivation())
    run_frames(model, draw_video(2, 5, 2, 4, 4))
    (layer,) = (module for module in model.modules() if isinstance(module, DeltaActivation))
    assert [change.shape for change in layer.changes] == [(2, 5, 2, 4, 4)] * 2


@pytest.mark.parametrize("make", [temporal_delta_layer, delta_activation_layer])
def test_a_quantised_network_streams_as_it_was_trained(make: Any) -> None:
    model = insert_delta(conv_net(), make=lambda _: make(8), skip_last=True)
    x = draw_video(2, 6, 1, 8, 8)
    (run_frames(model, x).square().mean() + 0.1 * sparsity_penalty(model)).backward()  # sets the steps
    model.eval()
    expected = run_frames(model, x)
    with pytest.raises(InputError, match=r"train\(\) mode"):
        sparsity_penalty(model)
    difference = (DeltaNetwork(model)(x) - expected).abs().max().item()
    assert difference < 1e-10  # unless a value lies within rounding of a tie, and of these none does


def test_copies_leave_the_graph_behind() -> None:
    model = insert_delta(conv_net())
    run_frames(model, draw_video(1, 2, 1, 8, 8))
    twin = copy.deepcopy(model)
    with pytest.raises(InputError, match="no change was kept"):
        sparsity_penalty(twin)
    assert sparsity_penalty(model).item() > 0


def test_the_penalty_trains_temporal_sparsity_in() -> None:
    torch.manual_seed(0)
    x = draw_video(8, 12, 6).float()
    x = x + 0.05 * torch.randn_like(x)
    trained = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 2))
    target = torch.stack([x[..., 0], x[..., 1].abs()], -1)

    def fine_tune(factor: float) -> float:
        model = insert_delta(trained, make=lambda _: temporal_delta_layer(5))
        steps = [parameter for name, parameter in model.named_parameters() if name.endswith("step")]
        others = [parameter for name, parameter in model.named_parameters() if not name.endswith("step")]
        optimiser = torch.optim.Adam([{"params": others, "lr": 0.01}, {"params": steps, "lr": 1e-4}])
        for _ in range(150):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(model(x), target) + factor * sparsity_penalty(model)
            loss.backward()
            optimiser.step()
        activations = model[:2](x)  # type: ignore[index]
        return float((differences(activations) == 0).double().mean())

    assert fine_tune(1.0) > fine_tune(0.0) + 0.1


class Centred(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return nn.functional.linear(input, self.weight - self.weight.mean(), self.bias)


def hooked() -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.register_forward_hook(lambda _module, _inputs, output: 2.0 * output)
    return layer


@pytest.mark.parametrize("model", [Centred(3, 3), hooked(), nn.TransformerEncoderLayer(4, 2, 8), DeltaNetwork(nn.Linear(2, 2))])
def test_what_does_more_than_its_weights_is_refused(model: nn.Module) -> None:
    with pytest.raises(InputError, match=r"own forward or hooks|weights itself"):
        DeltaNetwork(nn.Sequential(model))


def test_a_layer_in_two_places_is_refused_at_its_second_use() -> None:
    layer = nn.Linear(3, 3)
    with pytest.raises(InputError, match="more than once a frame"):
        DeltaNetwork(nn.Sequential(layer, nn.ReLU(), layer)).step(torch.ones(1, 3))


def test_copies_leave_the_stream_behind() -> None:
    network = DeltaNetwork(nn.Linear(3, 2))
    network.step(torch.ones(1, 3, requires_grad=True))
    assert next(copy.deepcopy(network).synapses()).n_steps == 0


def test_a_block_in_two_places_gets_one_delta_layer() -> None:
    block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    assert inserted(insert_delta(nn.Sequential(block, block))) == ["0.1.1"]


def test_running_frames_leaves_the_layers_as_they_were() -> None:
    model = insert_delta(nn.Sequential(nn.ReLU()), make=lambda _path: DeltaActivation())
    x = torch.rand(4, 3, 5)
    model(x)
    expected = sparsity_penalty(model)
    run_frames(model, x[:, :2])
    model(x)
    torch.testing.assert_close(sparsity_penalty(model), expected)


def test_a_part_of_the_model_may_be_trained_alone() -> None:
    model = insert_delta(nn.Sequential(nn.Sequential(nn.Linear(5, 5), nn.ReLU()), nn.Linear(5, 2)))
    for _ in range(2):
        run_frames(model[0], torch.rand(4, 3, 5))
        sparsity_penalty(model[0]).backward()
    assert [parameter.grad is not None for parameter in (model[0][0].weight, model[1].weight)] == [True, False]


@given(batch=st.integers(1, 3), n_steps=st.integers(1, 5))
def test_differences_add_up_again(batch: int, n_steps: int) -> None:
    x = draw_video(batch, n_steps, 2, 3)
    found = differences(x)
    torch.testing.assert_close(found.cumsum(1), x)
    assert torch.equal(differences(x.flatten(0, 1), n_steps), found)


def change_shape() -> None:
    network = DeltaNetwork(nn.Linear(2, 2))
    network.step(torch.ones(1, 2))
    network.step(torch.ones(3, 2))


def use_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.layer(self.layer(x))
            return result

    DeltaNetwork(Twice()).step(torch.ones(1, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (change_shape, "shape changed within a stream"),
        (use_twice, "used more than once a frame"),
        (lambda: DeltaNetwork(nn.ReLU()), "needs a layer of weights"),
        (lambda: DeltaNetwork(nn.Linear(2, 2))(torch.ones(2)), "batch and a time axis"),
        (lambda: insert_delta(nn.Linear(2, 2)), "no place"),
        (lambda: insert_delta(conv_net(), ["1"], skip_first=True), "no place"),
        (lambda: insert_delta(conv_net(), ["1", "relu"]), "no such module"),
        (lambda: sparsity_penalty(insert_delta(conv_net())), "no change was kept"),
        (lambda: differences(torch.ones(5, 2), 2), "not a whole number of sequences"),
    ],
)
def test_what_cannot_run_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "fix:" in str(caught.value)


def test_functions_beside_modules_are_told() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.last = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.leaky_relu(self.last(self.act(self.first(x))).relu())

    with pytest.warns(UserWarning, match=r"Mixed: no delta layer follows relu, leaky_relu: .* nn.ReLU\(\)"):
        insert_delta(Mixed())
    insert_delta(Mixed(), ["act"])
    insert_delta(nn.Sequential(nn.Linear(3, 4), QuantisedReLU(7)))


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.SiLU(), nn.GELU(), nn.PReLU(4), nn.Hardtanh(), nn.Threshold(0.0, -1.0)])
def test_levels_from_zero_behind_negative_values_are_refused(activation: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(3, 4), activation)
    for make in (lambda _: delta_activation_layer(4), lambda _: StepQuantiser(4)):
        with pytest.raises(InputError, match=r"module '1'[\s\S]*signed=True"):
            insert_delta(model, make=make)
    for make in (lambda _: delta_activation_layer(4, signed=True), lambda _: temporal_delta_layer(4)):
        x = torch.randn(5, 3)
        delta = insert_delta(model, make=make)
        delta(x)
        torch.testing.assert_close(delta(x), model(x), rtol=0.0, atol=0.2)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Softplus(), nn.Hardtanh(0.0, 1.0)])
def test_levels_from_zero_follow_what_is_never_negative(activation: nn.Module) -> None:
    assert inserted(insert_delta(nn.Sequential(nn.Linear(3, 4), activation), make=lambda _: delta_activation_layer(4)))


def test_a_path_alone_is_one_place() -> None:
    model = nn.Sequential(*(nn.ReLU() for _ in range(13)))
    found = insert_delta(model, "12")
    assert [path for path, part in found.named_modules() if isinstance(part, DeltaActivation)] == ["12.1"]


@pytest.mark.parametrize("make", [temporal_delta_layer, temporal_delta_layer()])
def test_what_makes_no_layer_for_each_place_is_refused(make: Any) -> None:
    with pytest.raises(InputError, match=r"(?s)layer of its own.*make=lambda path"):
        insert_delta(nn.Sequential(nn.ReLU()), make=make)


def test_sequences_of_numpy_are_refused() -> None:
    clips: Any = torch.rand(2, 3, 4).numpy()
    with pytest.raises(InputError, match=r"(?s)numpy.ndarray.*torch.as_tensor"):
        run_frames(nn.ReLU(), clips)

"""Two streams: the differences, the fusion, and what both of them count."""

import pytest
import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import DeltaActivation, DeltaCounter, DeltaNetwork, insert_delta, sparsity_penalty
from snnmap.nn.models import ResNet, TwoStream, make_two_stream_resnet50, stack_differences


def draw_clip(n_steps: int = 5) -> Tensor:
    """A still background on which a square moves: ``(2, n_steps, 3, 16, 16)``."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(2, 1, 3, 16, 16, generator=generator, dtype=torch.float64).repeat(1, n_steps, 1, 1, 1)
    for step in range(n_steps):
        clip[:, step, :, 2:6, 2 * step : 2 * step + 4] = 1.0
    return clip


def make_model(*, n_stacked: int = 3, grey: bool = False) -> TwoStream:
    torch.manual_seed(0)
    spatial = ResNet((1, 1, 1, 1), 4, n_classes=5, small_stem=True)
    temporal = ResNet((1, 1, 1, 1), 4, n_channels=n_stacked if grey else 3 * n_stacked, n_classes=5, small_stem=True)
    return TwoStream(spatial, temporal, n_stacked=n_stacked, grey=grey).double().eval()


@pytest.mark.parametrize("grey", [False, True])
def test_a_stack_holds_the_last_differences_newest_first(grey: bool) -> None:
    clip = draw_clip()
    frames = clip.mean(2, keepdim=True) if grey else clip
    stack = stack_differences(clip, 3, grey=grey).unflatten(2, (3, -1))
    for step in range(clip.shape[1]):
        for age in range(3):
            now = step - age
            expected = frames[:, now] - frames[:, now - 1] if now >= 1 else torch.zeros_like(frames[:, 0])
            assert torch.equal(stack[:, step, age], expected), (step, age)


@pytest.mark.parametrize("grey", [False, True])
def test_scores_are_the_mean_over_streams_and_steps(grey: bool) -> None:
    model, clip = make_model(grey=grey), draw_clip()
    stack = stack_differences(clip, 3, grey=grey)
    scores = [
        network(x[:, step]).softmax(-1) for network, x in ((model.spatial, clip), (model.temporal, stack)) for step in range(5)
    ]
    torch.testing.assert_close(model(clip), torch.stack(scores).mean(0), rtol=0.0, atol=1e-12)


def test_delta_layers_in_both_streams_train() -> None:
    model = insert_delta(make_model()).train()
    scores = model(draw_clip())
    layers = [module for module in model.modules() if isinstance(module, DeltaActivation)]
    assert len(layers) == 2 * (1 + 3 * 4)
    assert all(len(layer.changes) == 1 and layer.changes[0].shape[:2] == (2, 5) for layer in layers)
    (nn.functional.nll_loss(scores.log(), torch.tensor([0, 1])) + sparsity_penalty(model)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_streams_run_by_delta_inference() -> None:
    model, clip = insert_delta(make_model()).eval(), draw_clip()
    expected = model(clip)
    delta = TwoStream(DeltaNetwork(model.spatial), DeltaNetwork(model.temporal), n_stacked=3)
    torch.testing.assert_close(delta(clip), expected, rtol=0.0, atol=1e-10)


def test_the_counts_are_those_of_the_rectifiers_outputs() -> None:
    model, clip = make_model(), draw_clip()
    changed: dict[str, int] = {}

    def watch(path: str) -> None:
        def count(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            frames = output.unflatten(0, (2, 5))
            after_first = sum(int((frames[:, step] != frames[:, step - 1]).sum()) for step in range(1, 5))
            changed[path] = after_first + int(frames[:, 0].count_nonzero())

        model.get_submodule(path).register_forward_hook(count)

    for path, module in model.named_modules():
        if isinstance(module, nn.ReLU):
            watch(path)
    with DeltaCounter(model, n_steps=5) as counter:
        model(clip)
    found = {layer.name: layer.n_changed for layer in counter.layers()}
    for stream in ("spatial", "temporal"):
        previous = f"{stream}.relu"
        for block in (f"{stream}.layer{stage}.0" for stage in (1, 2, 3, 4)):
            assert found[f"{block}.conv1"] == found[f"{block}.downsample.0"] == changed[previous] > 0
            assert found[f"{block}.conv2"] == changed[f"{block}.relu1"] > 0
            assert found[f"{block}.conv3"] == changed[f"{block}.relu2"] > 0
            previous = f"{block}.relu3"
    assert counter.total().n_changed == sum(found.values())
    assert len(found) == 2 * (1 + 4 * 4 + 1)


def test_the_paper_s_network_has_the_classes_and_the_channels() -> None:
    with torch.device("meta"):
        model = make_two_stream_resnet50(101, n_stacked=5)
        scores = model(torch.empty(1, 6, 3, 64, 64))
        grey = make_two_stream_resnet50(101, grey=True)
    assert scores.shape == (1, 101)
    assert model.temporal.conv1.in_channels == 15
    assert grey.temporal.conv1.in_channels == 10


@pytest.mark.parametrize(
    ("clip", "n_stacked"),
    [
        (torch.zeros(4, 3, 8, 8), 2),
        (torch.zeros(1, 0, 3, 8, 8), 2),
        (torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8), 2),
        (torch.zeros(1, 4, 3, 8, 8), 0),
    ],
)
def test_what_is_no_clip(clip: Tensor, n_stacked: int) -> None:
    with pytest.raises(InputError, match="stacked of clips"):
        stack_differences(clip, n_stacked)


def test_streams_of_other_classes() -> None:
    model = make_model()
    model.temporal.fc = nn.Linear(128, 4).double()
    with pytest.raises(InputError, match="other scores"):
        model(draw_clip())

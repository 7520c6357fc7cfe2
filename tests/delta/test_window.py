"""Windows that move: the network of the whole window at every step, and no more computed than what enters reaches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from snnmap.core.errors import FrontendError, InputError
from snnmap.delta import WindowStream
from snnmap.delta.kept import Followed
from snnmap.nn import StepQuantiser, mask_layers


class Calls(nn.Module):
    """Any forward, with some layers at hand."""

    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.called = forward
        self.conv, self.wide, self.linear = nn.Conv1d(3, 3, 3), nn.Conv1d(3, 3, 3, padding=4, dilation=2), nn.Linear(3, 3)
        self.place, self.gain = nn.Parameter(torch.rand(12)), nn.Parameter(torch.rand(3, 1))
        self.lstm, self.norm = nn.LSTM(3, 3, batch_first=True), nn.LayerNorm(3)

    def forward(self, x: Tensor) -> Any:
        return self.called(self, x)


class Causal(nn.Module):
    """Dilated convolutions that see no later step, of which the last step's output counts."""

    def __init__(self, n_layers: int = 4, n_channels: int = 5) -> None:
        super().__init__()
        sizes = [3] + [n_channels] * n_layers
        self.layers = nn.ModuleList(
            nn.Conv1d(sizes[n], sizes[n + 1], 3, padding=2 * 2**n, dilation=2**n) for n in range(n_layers)
        )
        self.head = nn.Linear(n_channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        for n, layer in enumerate(self.layers):
            x = torch.relu(layer(x)[:, :, : -2 * 2**n])
        return self.head(x[:, :, -1])


@torch.no_grad()
def require_equal(
    model: nn.Module, *shape: int, axis: int = -1, hop: int = 1, seed: int = 0, atol: float = 1e-12, **options: Any
) -> WindowStream:
    """Move a window of normal values by twice its length, the first steps from zeros."""
    generator, dtype = torch.Generator().manual_seed(seed), options.get("dtype", torch.float64)
    model.to(dtype).eval()
    window = torch.zeros(1, *shape, dtype=dtype)
    stream = WindowStream(model, torch.rand(1, *shape, generator=generator, dtype=dtype), axis=axis, hop=hop, **options)
    for _ in range(2 * window.shape[axis] // hop + 1):
        entering = torch.randn(window.narrow(axis, 0, hop).shape, generator=generator, dtype=dtype)
        window = torch.cat([window, entering], axis).narrow(axis, hop, window.shape[axis])
        found, expected = stream.step(entering), model(window)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0.0, atol=atol, equal_nan=True)
    return stream


def draw_layer(data: st.DataObject, n_channels: int) -> nn.Module:
    """Draw a layer of windows of at least five places."""
    kernel, dilation = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    stride, padding = data.draw(st.sampled_from([1, 1, 2])), data.draw(st.integers(0, 2))
    groups, half = data.draw(st.sampled_from([1, n_channels])), min(padding, kernel // 2)
    with_edges, counted = data.draw(st.booleans()), data.draw(st.booleans())
    kinds: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: nn.Conv1d(n_channels, n_channels, kernel, stride, padding, dilation, groups),
        "same": lambda: nn.Conv1d(n_channels, n_channels, kernel | 1, padding="same", dilation=dilation),
        "max": lambda: nn.MaxPool1d(kernel, stride, half, ceil_mode=with_edges),
        "average": lambda: nn.AvgPool1d(kernel, stride, half, ceil_mode=with_edges, count_include_pad=counted),
        "norm": lambda: nn.BatchNorm1d(n_channels), "relu": lambda: nn.ReLU(inplace=True), "gelu": nn.GELU,
        "pad": lambda: nn.ConstantPad1d((padding, kernel), 0.5), "reflect": lambda: nn.ReflectionPad1d(1),
        "levels": lambda: StepQuantiser(4, clip=False, step=1.0, signed=True),
    }  # fmt: skip
    return kinds[data.draw(st.sampled_from(list(kinds)))]()


@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_every_step_is_the_network_of_the_whole_window(data: st.DataObject, seed: int) -> None:
    torch.manual_seed(seed)
    size, hop = data.draw(st.integers(9, 40)), data.draw(st.integers(1, 4))
    layers: list[nn.Module] = []
    places = size
    for _ in range(data.draw(st.integers(1, 6))):
        layer = draw_layer(data, 4)
        with torch.no_grad():
            left = layer.eval()(torch.zeros(1, 4, places)).shape[-1] if places >= 5 else 0
        if left >= 1:
            layers, places = [*layers, layer], left
    heads = [nn.Identity(), nn.AdaptiveAvgPool1d(1), nn.Sequential(nn.Flatten(), nn.Linear(4 * places, 3))]
    require_equal(nn.Sequential(*layers, data.draw(st.sampled_from(heads))), 4, size, hop=hop, seed=seed)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("hop", [1, 2, 6])
def test_a_convolution_computes_the_places_that_what_enters_reaches(kernel: int, hop: int) -> None:
    torch.manual_seed(0)
    stream = require_equal(nn.Conv1d(3, 2, kernel), 3, 20, hop=hop)
    assert (stream.n_macs, stream.n_macs_dense) == (6 * kernel * hop, 6 * kernel * (21 - kernel))
    assert stream.dense_nodes == ()


def test_zeros_around_the_window_are_seen_anew_at_both_edges() -> None:
    torch.manual_seed(0)
    stream = require_equal(nn.Sequential(nn.Conv1d(3, 2, 5, padding=2), nn.ReLU(), nn.Conv1d(2, 2, 3, padding=1)), 3, 30)
    assert stream.n_macs == 3 * 2 * 5 * (2 + 3) + 2 * 2 * 3 * (3 + 4)


def test_a_causal_network_of_the_last_step_computes_one_place_a_layer() -> None:
    torch.manual_seed(0)
    for model in (Causal(), mask_layers(Causal())):
        stream = require_equal(model, 3, 32)
        assert stream.n_macs == 3 * 5 * 3 + 3 * (5 * 5 * 3) + 10
        assert len(stream.dense_nodes) == 2  # the last step, and the head
    require_equal(Causal(), 3, 24)  # which the network sees beyond


def test_time_may_be_any_axis_and_change_its_place() -> None:
    torch.manual_seed(0)
    model = Calls(lambda m, x: m.norm(m.linear(m.conv(x.transpose(1, 2)).permute(0, 2, 1))).mean(1))
    assert require_equal(model, 12, 3, axis=1).dense_nodes == ("mean",)
    spectra = nn.Sequential(
        nn.Conv2d(1, 4, (4, 3), (2, 1), padding=(1, 1)), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4),
        nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(4 * 7 * 5, 3),
    )  # fmt: skip
    assert require_equal(spectra, 1, 20, 8, axis=2, hop=2).dense_nodes == ("5", "6")
    assert require_equal(spectra, 1, 20, 8, axis=-2, hop=1).dense_nodes[0] == "0"  # the stride is 2
    assert require_equal(nn.Sequential(nn.Conv2d(1, 2, 3, (2, 1)), nn.ReLU()), 1, 9, 15).dense_nodes == ()


@pytest.mark.parametrize(
    ("forward", "dense"),
    [
        (lambda m, x: m.conv(x) * 2.0 - 1.0, ()),
        (lambda m, x: x + m.gain * torch.tanh(x), ()),
        (lambda m, x: F.silu(m.wide(x)[:, :, :-4]) + x, ()),
        (lambda m, x: m.conv(F.pad(x, (2, 0))) + x, ()),
        (lambda m, x: m.conv(F.pad(x, (2, 0), value=1.0))[..., 1:] + x.narrow(2, 1, 11), ()),
        (lambda m, x: torch.cat([x, m.conv(F.pad(x, (1, 1)))], 1), ()),
        (lambda _, x: x[:, :, ::2], ("getitem",)),
        (lambda _, x: x[:, 1:], ()),
        (lambda m, x: x + m.place, ("add",)),
        (lambda _, x: x * x.mean(2, keepdim=True), ("mean", "mul")),
        (lambda _, x: x.softmax(2), ("softmax",)),
        (lambda _, x: x.softmax(1), ()),
        (lambda _, x: x.cumsum(2), ("cumsum",)),
        (lambda _, x: x / torch.zeros(3, 1), ()),
        (lambda _, x: (x / 0.0).mean(2), ("mean",)),
        (lambda _, x: x.argmax(2) * 1.0, ("argmax", "mul")),
        (lambda m, x: x + 1e-9 * m.place, ("add",)),
        (lambda _, x: x.flip(2), ("flip",)),
        (lambda _, x: torch.roll(x, 1, 2), ("roll",)),
        (lambda _, x: torch.cat([x, x], 2), ("cat",)),
        (lambda _, x: x[:, :, -1], ("getitem",)),
        (lambda _, x: x[:, :, 0] + x[:, :, -1], ("getitem", "getitem_1", "add")),
        (lambda m, x: m.lstm(x.transpose(1, 2))[0][:, -1], ("lstm", "getitem", "getitem_1")),
        (lambda _, x: x.chunk(3, 1)[1] * 2, ("chunk", "getitem", "mul")),
        (lambda _, x: x.view(3, 12).view(1, 3, 12), ("view", "view_1")),
    ],
)  # fmt: skip
def test_what_does_not_move_runs_whole(forward: Any, dense: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    assert require_equal(Calls(forward), 3, 12).dense_nodes == dense


def test_places_that_are_skipped_move_with_a_hop_of_so_many() -> None:
    stream = require_equal(Calls(lambda m, x: m.conv(x[:, :, ::2])), 3, 12, hop=2)
    assert (stream.dense_nodes, stream.n_macs) == ((), 27)


def test_a_stream_may_begin_with_what_came_before_and_begin_anew() -> None:
    torch.manual_seed(0)
    model, before = Causal().eval(), torch.randn(1, 3, 40)
    stream = WindowStream(model, before, dtype=torch.float32)
    fresh = stream.step(before[..., :1])
    stream.reset(before)
    entering = torch.randn(1, 3, 1)
    moved = torch.cat([before[..., 1:], entering], 2)
    torch.testing.assert_close(stream.step(entering), model(moved).detach())
    stream.reset()
    assert torch.equal(stream.step(before[..., :1]), fresh)


def test_values_that_are_not_finite_leave_with_the_window() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 3), nn.ReLU()).eval()
    stream = WindowStream(model, torch.zeros(1, 1, 6))
    for value in (torch.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        found = stream.step(torch.full((1, 1, 1), value))
    torch.testing.assert_close(found, model(torch.arange(1.0, 7.0).reshape(1, 1, 6)).detach())


def test_outputs_are_the_callers_to_keep_and_the_model_is_left_alone() -> None:
    model = nn.Sequential(nn.Conv1d(2, 2, 3), nn.Dropout()).train()
    stream, entering = WindowStream(model, torch.zeros(1, 2, 8)), torch.ones(1, 2, 1)
    first = stream.step(entering)
    kept, second = first.clone(), stream.step(entering)
    first += 1.0
    stream.reset()
    with torch.no_grad():
        model[0].weight.zero_()
    assert model.training
    assert torch.equal(stream.step(entering), kept)
    assert torch.equal(stream.step(entering), second)


def test_a_step_that_fails_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, entering = WindowStream(nn.Conv1d(3, 2, 3), torch.zeros(1, 3, 8)), torch.ones(1, 3, 1)
    first = stream.step(entering)
    with monkeypatch.context() as patch:
        patch.setattr(Followed, "follow", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            stream.step(entering)
    assert torch.equal(stream.step(entering), first)


def raise_interrupt(_kept: Followed) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("window", "options", "match"),
    [
        (torch.zeros(2, 3, 8), {}, "has one window"),
        (torch.zeros(1), {}, "has one window"),
        (torch.zeros(1, 3, 8), {"axis": 0}, "has one window"),
        (torch.zeros(1, 3, 8), {"axis": 3}, "has one window"),
        (torch.zeros(1, 3, 8), {"axis": -3}, "has one window"),
        (torch.zeros(1, 3, 8), {"hop": 0}, "cannot be moved"),
        (torch.zeros(1, 3, 8), {"hop": 9}, "cannot be moved"),
        (torch.zeros(1, 3, 8), {"dtype": torch.float16}, "cannot be moved"),
    ],
)
def test_what_is_no_window_is_refused(window: Tensor, options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        WindowStream(nn.Conv1d(3, 2, 3), window, **options)


def test_steps_of_another_shape_are_refused_and_change_nothing() -> None:
    stream = WindowStream(nn.Conv1d(3, 2, 3), torch.zeros(1, 3, 8), hop=2)
    other = WindowStream(nn.Conv1d(3, 2, 3), torch.zeros(1, 3, 8))
    with pytest.raises(InputError, match=r"(?s)step.*measured: \(1, 3, 1\).*limit: \(1, 3, 2\)"):
        stream.step(torch.zeros(1, 3, 1))
    with pytest.raises(InputError, match=r"(?s)reset.*limit: \(1, 3, 8\)"):
        other.reset(torch.zeros(1, 3, 7))
    assert stream.step(torch.zeros(1, 3, 2)).shape == (1, 2, 6)


def test_forwards_that_cannot_be_followed_are_refused_by_name() -> None:
    with pytest.raises(FrontendError, match=r"(?s)cannot run the example.*WindowStream"):
        WindowStream(nn.Conv1d(2, 2, 3), torch.zeros(1, 3, 8))
    with pytest.raises(InputError, match=r"(?s)one tensor.*WindowStream|WindowStream.*one tensor"):
        WindowStream(Calls(lambda _, x: (x, x)), torch.zeros(1, 3, 8))

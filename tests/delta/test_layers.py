"""Layers that are followed: as torch computes them, counted as DeltaCounter counts, and no product with what did not change."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from frame_streams import draw_stream, make_dyadic, require_equal, settle
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.delta import DeltaStream, kernels, layers
from snnmap.nn import (
    DeltaCounter,
    EventLinear,
    QuantisedReLU,
    StepQuantiser,
    delta_activation_layer,
    insert_delta,
    mask_layers,
    run_frames,
)
from snnmap.nn.delta import DeltaSynapse


class EncoderDecoder(nn.Module):
    """Down by a strided convolution, up again, beside what was before: a UNet's way."""

    def __init__(self, down: nn.Module, middle: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.down, self.middle, self.up, self.head = down, middle, up, nn.LazyConv2d(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.middle(self.down(x)))
        return self.head(torch.cat([y, nn.functional.interpolate(x, size=y.shape[2:]), y.relu()], 1))


def draw_encoder_decoder(data: st.DataObject) -> nn.Module:
    """A network of 4x8x8 frames whose layers keep whole numbers whole, but for bilinear weights."""
    groups = data.draw(st.sampled_from([1, 2, 12]))
    kernel, dilation = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 2))
    options = {"padding": data.draw(st.integers(0, kernel * dilation - 1)) % 2, "dilation": dilation, "groups": groups}
    stride = data.draw(st.integers(1, 3))
    ups = [
        nn.ConvTranspose2d(12, 12, kernel, stride, output_padding=min(stride, dilation + 1) - 1, **options),
        nn.ConvTranspose2d(12, 24, (kernel, 2), (1, stride), groups=groups, bias=False),
        nn.Upsample(scale_factor=2),
        nn.Upsample((7, 9), mode="bilinear"),
        nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True),
        nn.UpsamplingNearest2d((9, 8)),
    ]
    middle = [nn.ReLU6(), nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.Hardtanh(-1.0, 2.0), nn.AvgPool2d(2)]
    chosen = data.draw(st.lists(st.sampled_from(middle), max_size=3, unique=True))
    return EncoderDecoder(nn.Conv2d(4, 12, 3, 2, 1), nn.Sequential(*chosen), data.draw(st.sampled_from(ups)))


@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_decoders_skip_and_are_equal(data: st.DataObject, seed: int) -> None:
    torch.manual_seed(seed)
    model, frames = draw_encoder_decoder(data), draw_stream(4, 8, 8, rate=data.draw(st.sampled_from([0.01, 0.2, 1.0])), seed=seed)
    try:
        model(frames[0].float())
    except RuntimeError:
        reject()  # torch has no output of no pixels
    is_bilinear = "bilinear" in str(model)
    stream = require_equal(make_dyadic(model), frames, atol=1e-12 if is_bilinear else 0.0)
    assert stream.dense_nodes == ()
    with DeltaCounter(model, n_steps=len(frames)) as counter:
        run_frames(model, torch.stack(frames, 1))
    if not is_bilinear:
        assert stream.counts() == counter.layers()


@pytest.mark.parametrize("up", [nn.Upsample(scale_factor=3, mode="linear"), nn.ConvTranspose1d(6, 6, 3, 2, groups=3)])
def test_one_dimensional_decoders(up: nn.Module) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(3, 6, 4, 2), nn.ReLU6(), up, nn.Conv1d(6, 2, 1))
    assert require_equal(model.double().eval(), draw_stream(3, 12)).dense_nodes == ()


def test_interpolations_that_are_none_of_a_channel_alone_run_densely() -> None:
    class Crossed(nn.Upsample):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
            return super().forward(input) + input.mean()

    Crossed.__module__ = nn.Upsample.__module__  # so that tracing takes it for torch's
    Crossed.__name__ = "Upsample"
    assert require_equal(Crossed(scale_factor=2).double(), draw_stream(2, 4, 4)).dense_nodes == ("",)


def test_bounds_around_bounds_and_levels() -> None:
    torch.manual_seed(0)
    for bounds in (
        (nn.Hardtanh(-5, -1), nn.ReLU()),
        (nn.ReLU6(), nn.Hardtanh(-1, 0.5)),
        (QuantisedReLU(7, step=0.75), nn.ReLU6()),
    ):
        model = nn.Sequential(nn.Conv2d(2, 5, 3), *bounds, nn.ReLU6(), nn.Conv2d(5, 2, 1))
        assert require_equal(make_dyadic(model), draw_stream(2, 6, 6, rate=0.5), atol=0.0).dense_nodes == ()


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 3, "groups": 3}])
def test_one_dimensional_networks(options: dict[str, int]) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv1d(3, 18, 4, **options), nn.BatchNorm1d(18), nn.ReLU(), nn.MaxPool1d(2), nn.AvgPool1d(2, padding=1))
    model = nn.Sequential(*layers, nn.Conv1d(18, 2, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    assert require_equal(settle(model), draw_stream(3, 31)).dense_nodes == ()


def test_quantisers_with_a_step_a_channel_after_a_flattening_run_densely() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), StepQuantiser(3, n_channels=27, step=0.5), nn.Linear(27, 2))
    assert require_equal(make_dyadic(model), draw_stream(2, 5, 5), atol=0.0).dense_nodes == ("2",)


@pytest.mark.parametrize("kept", [0.0, 0.03, 0.5])
def test_masked_layers_multiply_by_their_effective_weight(kept: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 16, 3), nn.ReLU(), nn.Conv2d(16, 24, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(torch.rand_like(parameter) < kept)
    masked, frames = make_dyadic(mask_layers(make_dyadic(model))), draw_stream(2, 8, 8)
    stream = require_equal(masked, frames)
    with DeltaCounter(masked, n_steps=len(frames)) as counter:
        run_frames(masked, torch.stack(frames, 1))
    assert [count.n_macs_dense for count in stream.counts()] == [count.n_macs_dense for count in counter.layers()]
    assert stream.counts()[0].n_macs == counter.layers()[0].n_macs


def test_functions_that_a_layer_does_too_skip_as_it_does() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.around, self.halves = nn.Conv2d(2, 4, 3, padding_mode="circular"), nn.AdaptiveAvgPool2d(2)

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.max_pool2d(self.around(x).clamp(min=0.0), 2, 1).clone()
            return self.halves(y.relu_()).view(1, -1)

    torch.manual_seed(0)
    assert require_equal(Pooled().double().eval(), draw_stream(2, 7, 7)).dense_nodes == ()


def test_event_layers_skip_and_layers_in_delta_inference_run_as_they_do() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(EventLinear(5, 4), nn.ReLU(), DeltaSynapse(nn.Linear(4, 3))).double().eval()
    plain = nn.Sequential(*model[:2], model[2].layer)
    frames = draw_stream(5, rate=0.5)
    stream = DeltaStream(model, frames[0])
    for frame in frames:
        torch.testing.assert_close(stream.step(frame), plain(frame).detach(), rtol=0.0, atol=1e-10)
    assert stream.dense_nodes == ("2",)
    assert [count.name for count in stream.counts()] == ["0"]


def test_inserted_delta_layers_skip() -> None:
    torch.manual_seed(0)
    base = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    model = insert_delta(base, make=lambda _path: delta_activation_layer(4))
    frames = draw_stream(2, 6, 6)
    model(frames[0].float())
    assert require_equal(make_dyadic(model), frames, atol=0.0).dense_nodes == ()


def test_nothing_is_multiplied_with_what_stays() -> None:
    """The weights of inputs that stay are made NaN, which any product would show."""
    for layer in (nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(12, 12, 3, groups=12)):
        n_channels = layer.in_channels
        frame = draw_stream(n_channels, 7, 7)[0]
        stream = DeltaStream(nn.Sequential(layer.double()), frame)
        stream.step(frame)
        changed = frame.clone()
        changed[0, 1, 3, 3] += 1.0
        expected = layer(changed)
        (follower,) = stream._plan._followers.values()
        rows, starts, _, lists, channelwise = inspect.getclosurevars(follower.run).nonlocals["weights"]
        for channel in (channel for channel in range(n_channels) if channel != 1):
            if starts.size:
                for first in range(3 * channel, 9 * n_channels, 3 * n_channels):  # of each row of the kernel
                    lists[starts[first] : starts[first + 3]] = np.nan
            elif channelwise.size:
                rows.reshape(9, -1)[:, channel] = np.nan
            else:
                rows.reshape(3, n_channels, 3, -1)[:, channel] = np.nan
        torch.testing.assert_close(stream.step(changed), expected)


def test_a_convolution_whose_input_mostly_changes_is_computed_anew_and_followed_after(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    convolutions = nn.Conv2d(24, 32, 3, padding=1), nn.Conv2d(32, 24, 3)
    for convolution in convolutions:
        nn.init.normal_(convolution.weight)
    model = make_dyadic(nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], QuantisedReLU(7, step=2.0)))
    assert all(convolution.weight.nbytes > layers.NEAR_BYTES for convolution in convolutions)
    frames = []
    for n, frame in enumerate(draw_stream(24, 8, 8, n_steps=12, rate=0.002)):
        frames.append(frame.roll(n // 4, 3) * (1 + n // 4))  # all changes at every fourth step
    n_anew = 0

    def settle_all(*arguments: Any) -> None:
        nonlocal n_anew
        n_anew += 1
        kernels.settle_all(*arguments)

    monkeypatch.setattr(layers, "settle_all", settle_all)
    stream = require_equal(model, frames, atol=0.0)
    assert n_anew == 4
    with DeltaCounter(model, n_steps=len(frames)) as counter:
        run_frames(model, torch.stack(frames, 1))
    assert stream.counts() == counter.layers()


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (2, 2), (1, 2), (2, 3), (4, 2)])
def test_runs_reach_what_a_kernel_reaches(stride: int, dilation: int) -> None:
    size, kernel, padding = 11, 5, 2
    out_size = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    axis = layers._Axis(size, out_size, kernel, stride, padding, dilation, is_transposed=False)
    starts, runs = axis.list_reach()
    found = {
        (place_in, int(target + n), int(axis.order[place + n]))
        for place_in in range(size)
        for target, place, n_runs in runs[starts[place_in] : starts[place_in + 1]]
        for n in range(n_runs)
    }
    reached = {(target * stride - padding + i * dilation, target, i) for target in range(out_size) for i in range(kernel)}
    assert found == {link for link in reached if 0 <= link[0] < size}
    assert dilation > 1 or len(runs) <= min(stride, kernel) * size


@pytest.mark.parametrize("n_channels", [1, 3, 16, 33, 200])
def test_frames_and_rows_of_any_size(n_channels: int) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(n_channels, n_channels, 3, padding=1), nn.ReLU(), nn.Conv2d(n_channels, 5, (2, 3), (1, 2)))
    for dtype in (torch.float32, torch.float64):
        frames = draw_stream(n_channels, 5, 7, rate=0.05)
        require_equal(make_dyadic(nn.Sequential(*layers)), frames, atol=0.0)
        stream = DeltaStream(nn.Sequential(*layers), frames[0], dtype=dtype)
        outputs = [stream.step(frame.to(dtype)).double() for frame in frames]
        expected = [nn.Sequential(*layers).double()(frame) for frame in frames]
        torch.testing.assert_close(torch.stack(outputs), torch.stack(expected), rtol=0.0, atol=0.0)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(40, 40, 3, padding=1),
        nn.Conv2d(40, 40, (3, 2), (2, 1), (2, 0), dilation=(2, 1)),
        nn.ConvTranspose2d(40, 40, 3, 2, 1),
        nn.Conv1d(40, 40, 5, padding=2),
        nn.Linear(90, 80),
    ],
)
@pytest.mark.parametrize("rate", [0.002, 0.1])
def test_weights_beyond_the_first_cache(layer: nn.Module, rate: float) -> None:
    shape = {1: (90,), 3: (40, 23), 4: (40, 9, 7)}[layer.weight.ndim if layer.weight.ndim > 2 else 1]
    assert 8 * layer.weight.numel() > kernels.NEAR_BYTES
    torch.manual_seed(0)
    nn.init.normal_(layer.weight)
    model = make_dyadic(nn.Sequential(layer, nn.ReLU()))
    assert require_equal(model, draw_stream(*shape, n_steps=12, rate=rate), atol=0.0).dense_nodes == ()


@pytest.mark.parametrize(("axis", "dense"), [(1, ()), (-3, ()), (2, ("cat",)), (3, ("cat",))])
def test_parts_side_by_side_along_another_axis_run_densely(axis: int, dense: tuple[str, ...]) -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, self.conv(x), x], axis).relu()

    torch.manual_seed(0)
    assert require_equal(make_dyadic(Beside()), draw_stream(3, 4, 5), atol=0.0).dense_nodes == dense

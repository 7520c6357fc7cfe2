"""Streams: the frame-by-frame network at every step, the counts of DeltaCounter, and nothing that adds up."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from frame_streams import Residual, draw_stream, make_dyadic, quantised_net, require_equal, settle
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.delta import DeltaStream
from snnmap.nn import (
    DeltaCounter,
    FixedPoint,
    StepQuantiser,
    run_frames,
)


class Written(nn.Module):
    """Functions and methods instead of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu(self.conv(x)).relu()
        y = nn.functional.dropout(y, 0.5, self.training)
        y = torch.add(y, y)
        return self.head(y.view(y.size(0), -1)) * 2.0


def draw_layers(data: st.DataObject) -> nn.Module:
    """A network of 4x9x9 frames: convolution, activation, maybe a residual block, a pool, a head."""
    channels, groups = data.draw(st.sampled_from([4, 16, 20])), data.draw(st.sampled_from([1, 2, 4]))
    options = {name: data.draw(st.integers(low, 2), label=name) for name, low in (("stride", 1), ("dilation", 1), ("padding", 0))}
    norm: list[Callable[[], nn.Module]] = [lambda: nn.BatchNorm2d(channels), nn.Identity]
    act: list[Callable[[], nn.Module]] = [nn.ReLU, lambda: nn.ReLU(inplace=True), nn.ReLU6, nn.Tanh, nn.Identity]
    block = nn.Sequential(data.draw(st.sampled_from(act))(), data.draw(st.sampled_from(norm))())
    pools = [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 1, 1, dilation=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Identity(),
    ]
    return nn.Sequential(
        nn.Conv2d(
            4, channels, data.draw(st.sampled_from([1, 2, (3, 2)])), groups=groups, bias=data.draw(st.booleans()), **options
        ),
        data.draw(st.sampled_from(norm))(),
        data.draw(st.sampled_from(act))(),
        Residual(nn.Conv2d(channels, channels, 3, padding="same"), block) if data.draw(st.booleans()) else nn.Identity(),
        data.draw(st.sampled_from(pools)),
        nn.Flatten(),
        nn.LazyLinear(17),
        nn.BatchNorm1d(17),
        nn.ReLU(),
        nn.Linear(17, 5),
    )


@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_every_step_is_the_frame_by_frame_network(data: st.DataObject, seed: int) -> None:
    torch.manual_seed(seed)
    model, frames = draw_layers(data), draw_stream(4, 9, 9, rate=data.draw(st.sampled_from([0.01, 0.2, 1.0])), seed=seed)
    model(frames[0].float().expand(2, -1, -1, -1))  # shapes the lazy layer
    stream = require_equal(settle(model), frames)
    assert all(isinstance(model.get_submodule(path), nn.Tanh) for path in stream.dense_nodes)


def test_quantised_networks_are_equal_exactly_and_so_are_their_counts() -> None:
    model, frames = make_dyadic(quantised_net()), draw_stream(2, 8, 8, n_steps=30, rate=0.03)
    model(frames[0])  # sets the fixed point
    stream = require_equal(model, frames, atol=0.0)
    assert stream.dense_nodes == ()
    with DeltaCounter(model, n_steps=len(frames)) as counter:
        run_frames(model, torch.stack(frames, 1))
    assert stream.counts() == counter.layers()
    assert stream.counts()[1].n_macs < stream.counts()[1].n_macs_static < stream.counts()[1].n_macs_dense


def test_any_other_node_runs_densely_and_is_named() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.around = nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")
            self.rows, self.gelu = nn.Linear(6, 5), nn.GELU()
            self.offset = nn.Parameter(torch.randn(1, 4, 6, 5))

        def forward(self, x: Tensor) -> Tensor:
            y = self.rows(self.gelu(self.around(x)))
            left, right = (y + self.offset).chunk(2, 1)
            return (left * right).flatten(1).softmax(1)

    torch.manual_seed(0)
    model, frames = Odd().double().eval(), draw_stream(2, 6, 6)
    stream = require_equal(model, frames)
    assert {"around", "gelu", "rows", "add"} <= set(stream.dense_nodes)
    around, rows = stream.counts()
    after_first = (len(frames) - 1) * around.n_macs_dense // len(frames)
    assert after_first < around.n_macs < around.n_macs_dense
    assert rows.n_macs == rows.n_macs_dense  # GELU leaves no zeros


def test_functions_methods_and_operations_in_place() -> None:
    torch.manual_seed(0)
    stream = require_equal(Written().double().eval(), draw_stream(2, 6, 6))
    assert stream.dense_nodes == ("mul",)


def test_calls_see_neither_copies_nor_constants_changed_in_place() -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start = nn.Parameter(torch.randn(3))

        def forward(self, x: Tensor) -> Tensor:
            y = x.clone().relu_()
            total = self.start * x.size(0)
            top, places = (y - x + total.add_(y[0])).sort(1)
            return top * places

    stream = require_equal(Changed().double(), draw_stream(3, rate=0.5), refresh_every=3)
    assert stream.dense_nodes[-4:] == ("sort", "getitem_1", "getitem_2", "mul_1")


def test_a_dropout_that_drops_in_evaluation_is_run() -> None:
    class Dropped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x, 1.0)

    stream = DeltaStream(Dropped(), torch.ones(1, 3))
    assert stream.dense_nodes == ("dropout",)
    assert not stream.step(torch.ones(1, 3)).any()


@pytest.mark.parametrize("give", [lambda x: x, lambda x: x.argmax(1), lambda x: x.sum()])
def test_the_output_may_be_the_frame_or_none(give: Callable[[Tensor], Tensor]) -> None:
    class Given(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return give(x)

    require_equal(Given(), draw_stream(3, rate=0.5))


def test_the_first_frame_calibrates_as_the_model_does() -> None:
    torch.manual_seed(0)
    model, frames = make_dyadic(nn.Sequential(nn.Linear(9, 20), FixedPoint(5, signed=True), nn.Linear(20, 2))), draw_stream(9)
    stream = DeltaStream(model, frames[0])
    assert not model[1].is_ready
    assert torch.equal(stream.step(frames[0]), model(frames[0]))
    assert torch.equal(stream.step(frames[1]), model(frames[1]))


def test_a_model_of_one_layer_is_a_stream() -> None:
    stream = require_equal(nn.Linear(7, 40).double(), draw_stream(7))
    assert [count.name for count in stream.counts()] == [""]


def test_a_still_picture_costs_its_first_frame() -> None:
    frame = draw_stream(2, 8, 8)[0]
    model = make_dyadic(quantised_net())
    model(frame)
    stream = require_equal(model, [frame] * 5, atol=0.0)
    assert all(count.n_macs == count.n_macs_static // 5 for count in stream.counts())


def test_reset_begins_another_stream() -> None:
    torch.manual_seed(0)
    model = make_dyadic(quantised_net())
    frames = draw_stream(2, 8, 8)
    model(frames[0])
    stream = DeltaStream(model, frames[0])
    first = [stream.step(frame) for frame in frames]
    counts = stream.counts()
    stream.reset()
    assert all(torch.equal(stream.step(frame), output) for frame, output in zip(frames, first, strict=True))
    assert stream.counts() == counts


def float_net() -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 64, 10)).eval()
    generator = torch.Generator().manual_seed(1)
    frames = [torch.randn(1, 1, 8, 8, generator=generator)]
    for _ in range(1000):
        frame = frames[-1].clone()
        frame[0, 0, :2, :2] = torch.randn(2, 2, generator=generator)
        frames.append(frame.roll((1, 2), (2, 3)) if len(frames) % 7 == 0 else frame)
    return model, frames


@torch.no_grad()
def measure_drift(**options: Any) -> float:
    model, frames = float_net()
    stream, precise = DeltaStream(model, frames[0], **options), model.double()
    return max(float((stream.step(frame) - precise(frame.double())).abs().max()) for frame in frames)


def test_float32_drifts_little_and_refreshing_bounds_it() -> None:
    drifted, refreshed, precise = measure_drift(), measure_drift(refresh_every=1), measure_drift(dtype=torch.float64)
    assert refreshed < drifted < 1e-5
    assert precise < 1e-12


def test_a_refresh_is_counted_densely() -> None:
    model, frames = float_net()
    stream = DeltaStream(model, frames[0], refresh_every=3)
    plain = DeltaStream(model, frames[0])
    for frame in frames[:7]:
        stream.step(frame)
        plain.step(frame)
    for with_refresh, without in zip(stream.counts(), plain.counts(), strict=True):
        assert with_refresh.n_macs - without.n_macs == pytest.approx(2 * with_refresh.n_macs_dense / 7, rel=0.01)


def test_outputs_are_the_callers_to_keep_and_the_model_is_left_alone() -> None:
    model, frames = nn.Sequential(nn.Linear(4, 3), nn.Dropout()).double().train(), draw_stream(4)
    stream = DeltaStream(model, frames[0])
    first = stream.step(frames[0])
    kept = first.clone()
    first += 1.0
    stream.step(frames[1])
    assert torch.equal(stream.step(frames[0]), kept)
    assert model.training
    with torch.no_grad():
        model[0].weight.zero_()
    assert torch.equal(stream.step(frames[0]), kept)


@torch.no_grad()
def test_a_threshold_holds_still_what_noise_would_flip() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        StepQuantiser(4, clip=False, step=1 / 16), nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    picture = torch.rand(1, 2, 8, 8)
    noisy = [picture + 0.002 * torch.rand_like(picture) for _ in range(40)]
    plain, held = (DeltaStream(model.eval(), picture, threshold=threshold) for threshold in (0.0, 0.002))
    outputs = [(plain.step(frame), held.step(frame)) for frame in noisy]
    first = held.counts()[0].n_macs_static // 40
    assert all(torch.equal(output, outputs[0][1]) for _, output in outputs)
    assert held.counts()[0].n_macs == first
    assert plain.counts()[0].n_macs > 1.5 * first


@torch.no_grad()
def test_a_held_frame_is_near_the_frame_and_the_output_is_its_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 2)).double()
    stream, frame = (
        DeltaStream(model, torch.zeros(1, 2, 6, 6).double(), threshold=0.25, refresh_every=7),
        torch.zeros(1, 2, 6, 6).double(),
    )
    assert stream.held is None
    for _ in range(30):
        frame += 0.1 * torch.randn_like(frame)
        before = stream.held
        output = stream.step(frame)
        assert stream.held is not None
        assert float((stream.held - frame).abs().max()) <= 0.25
        torch.testing.assert_close(output, model(stream.held), rtol=0.0, atol=1e-12)
        if before is not None:
            kept = (frame - before).abs() <= 0.25
            assert torch.equal(stream.held[kept], before[kept])
    stream.reset()
    assert stream.held is None

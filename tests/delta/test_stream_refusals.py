"""What cannot be streamed is refused, and a stream that fails begins anew."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnmap.core.errors import FrontendError, InputError
from snnmap.delta import DeltaStream
from snnmap.nn import DeltaCounter, DeltaNetwork


@pytest.mark.parametrize(
    ("frame", "options", "match"),
    [
        (torch.zeros(2, 3), {}, "one frame a step"),
        (torch.zeros(1, 3), {"refresh_every": 0}, "cannot be run so"),
        (torch.zeros(1, 3), {"dtype": torch.float16}, "cannot be run so"),
        (torch.zeros(1, 3), {"threshold": -0.1}, "cannot be run so"),
        (torch.zeros(1, 3), {"threshold": float("nan")}, "cannot be run so"),
    ],
)
def test_what_is_no_stream_is_refused(frame: Tensor, options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        DeltaStream(nn.Linear(3, 2), frame, **options)


@pytest.mark.parametrize("frame", [torch.zeros(1, 4), torch.tensor([[1.0, torch.nan, 0.0]]), torch.full((1, 3), torch.inf)])
def test_frames_that_would_spoil_the_states_are_refused_and_change_nothing(frame: Tensor) -> None:
    model = nn.Linear(3, 2)
    stream = DeltaStream(model, torch.zeros(1, 3))
    with pytest.raises(InputError, match="cannot take this frame"):
        stream.step(frame)
    stream.step(torch.zeros(1, 3))
    with pytest.raises(InputError, match=r"cannot take this frame|value is not finite"):
        stream.step(frame)
    torch.testing.assert_close(stream.step(torch.ones(1, 3)), model(torch.ones(1, 3)).detach())


@pytest.mark.parametrize("threshold", [0.0, 0.25])
@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_refused_frames_leave_the_stream_where_it_was(spoilt: float, threshold: float) -> None:
    frame = torch.ones(1, 3)
    bad = torch.tensor([[5.0, spoilt, 0.0]])
    stream = DeltaStream(nn.Linear(3, 2), frame, threshold=threshold)
    with pytest.raises(InputError, match=r"frame 0\n.*, 1 values not finite"):
        stream.step(bad)
    first = stream.step(frame)
    with pytest.raises(InputError, match=r"frame 1\n.*, 1 values not finite"):
        stream.step(bad)
    assert stream.n_steps == 1
    assert torch.equal(stream.step(frame), first)
    assert stream.counts()[0].n_changed == 3
    assert threshold == 0.0 or torch.equal(stream.held, frame)


def test_forwards_that_cannot_be_streams_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="one input and one output"):
        DeltaStream(Two(), torch.zeros(1, 3))
    with pytest.raises(FrontendError, match="cannot be followed"):
        DeltaStream(Branching(), torch.zeros(1, 3))


@pytest.mark.parametrize(
    "model",
    [nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 1, 3), nn.AvgPool2d(2), nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())],
)
def test_frames_that_torch_takes_as_unbatched_run_as_torch_takes_them(model: nn.Module) -> None:
    stream = DeltaStream(model, torch.randn(1, 8, 8), dtype=torch.float32)
    for _ in range(4):
        frame = torch.randn(1, 8, 8)
        torch.testing.assert_close(stream.step(frame), model(frame).detach(), atol=1e-5, rtol=1e-5)


class Forked(nn.Module):
    """Two branches, one of which may become infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 3)
        with torch.no_grad():
            self.one.weight.copy_(torch.eye(4))
            self.one.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        h = self.one(x)
        return self.other(h) + h.log()[:, :3]


def test_a_step_that_fails_resets_the_stream() -> None:
    model = Forked()
    stream = DeltaStream(model, torch.ones(1, 4))
    stream.step(torch.ones(1, 4))
    with pytest.raises(InputError, match="not finite"):
        stream.step(torch.zeros(1, 4))
    frame = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    torch.testing.assert_close(stream.step(frame), model(frame).detach())


def test_an_overflow_resets_the_stream() -> None:
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight.fill_(2.0)
    stream = DeltaStream(model, torch.ones(1, 4))
    stream.step(torch.ones(1, 4))
    with pytest.raises(InputError, match="output is not finite"):
        stream.step(torch.full((1, 4), 3e38))
    torch.testing.assert_close(stream.step(torch.ones(1, 4)), model(torch.ones(1, 4)).detach())


def test_a_model_under_a_counter_may_be_streamed() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    with DeltaCounter(model, n_steps=2):
        found = DeltaStream(model, torch.zeros(1, 3)).step(torch.ones(1, 3))
    torch.testing.assert_close(found, model(torch.ones(1, 3)).detach())


class Chunked(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x.chunk(2, 1)


@pytest.mark.parametrize(
    ("model", "example", "match"),
    [
        (Chunked(), torch.zeros(1, 4), "one tensor a frame"),
        (nn.Linear(3, 2), torch.zeros(1, 4), "cannot run the example"),
        (DeltaNetwork(nn.Linear(3, 2)), torch.zeros(1, 3), "by delta inference already"),
    ],
)
def test_what_gives_no_frame_is_refused_at_once(model: nn.Module, example: Tensor, match: str) -> None:
    with pytest.raises((InputError, FrontendError), match=match):
        DeltaStream(model, example)


def test_a_frame_of_numpy_is_taken() -> None:
    frame: Any = torch.ones(1, 3).numpy()
    model = nn.Linear(3, 2)
    torch.testing.assert_close(DeltaStream(model, torch.zeros(1, 3)).step(frame), model(torch.ones(1, 3)).detach())

"""Time a delta stream against dense torch, frame by frame, on one stream; both must compute the same before they are timed.

A real video plays in a window that moves over a still frame of another one, small, or so large that about 95% of all values stay;
and, layer by layer, a part of the input changes: a square of a convolution's positions, or values at random places, the worst
case. Dense torch runs with one thread, timed in seconds of the processor, and with two, by the clock, of which the faster counts:
the same model, and bare, without the quantisers, whose many small operations torch pays for; both ratios are printed and the bare
one is held against the figure. The stream has one thread. Networks have weights as drawn: training changes how much they skip,
not how fast.
Run with ``python benchmarks/delta_streaming.py``; it ends with exit status 1 where a stream of 95% temporal sparsity or more
takes more than a quarter of bare torch's time, in a network or in one layer.
"""

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from stream_networks import UNet, calibrate, draw_mobilenet, round_coarsely
from torch import Tensor, nn
from video_data import read_clip

from snnmap.delta.stream import DeltaStream
from snnmap.nn import StepQuantiser
from snnmap.nn.delta.counts import add_counts
from snnmap.report import make_table

N_ROUNDS, N_FRAMES = 6, 10
LEAST_SPARSITY, LEAST_RATIO = 0.95, 4.0
Job = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: medians over all frames but the first, which torch runs in either case."""

    name: str
    sparsity: float
    mac_ratio: float
    dense_ms: float
    dense_threads: int
    one_thread_ms: float
    quantised_ms: float
    stream_ms: float
    error: float
    least_ratio: float = LEAST_RATIO

    @property
    def model_ratio(self) -> float:
        return self.quantised_ms / self.stream_ms

    @property
    def bare_ratio(self) -> float:
        return self.dense_ms / self.stream_ms

    @property
    def one_thread_ratio(self) -> float:
        return self.one_thread_ms / self.stream_ms

    @property
    def reason(self) -> str:
        """What keeps the ratio below that of the products."""
        slower, on_one = (self.mac_ratio / ratio for ratio in (self.bare_ratio, self.one_thread_ratio))
        each = f"each takes {slower:.1f}x as long as torch's ({on_one:.1f}x on one thread, as the stream has)"
        return f"of {self.mac_ratio:.0f}x fewer products {each}, since its weight is read for it alone"

    @property
    def is_missed(self) -> bool:
        return self.sparsity >= LEAST_SPARSITY and self.bare_ratio < self.least_ratio


def draw_convolutional(n_channels: int, n_layers: int = 3) -> nn.Sequential:
    """Give 3x3 convolutions of RGB frames, with normalisation, ReLU and quantiser, and a head of ten classes."""
    layers: list[nn.Module] = []
    for layer in range(n_layers):
        layers += [nn.Conv2d(n_channels if layer else 3, n_channels, 3, padding=1), nn.BatchNorm2d(n_channels), nn.ReLU()]
        layers += [StepQuantiser(4, clip=False)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_channels, 10)).eval()


def draw_perceptron(n_inputs: int, n_hidden: int = 1024) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for size in (n_inputs, n_hidden):
        layers += [nn.Linear(size, n_hidden), nn.ReLU(), StepQuantiser(3, clip=False)]
    return nn.Sequential(*layers, nn.Linear(n_hidden, 10)).eval()


def without_quantisers(model: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*(module for module in model if not isinstance(module, StepQuantiser)))


def play_in_window(size: int, window: int, n_frames: int) -> list[Tensor]:
    """Give frames ``(1, 3, size, size)``: a clip in a window that moves every second frame, over another's first frame."""
    still = _to_planes(read_clip("bikes", height=size, n_frames=1))[0, :, :, :size]
    clip = _to_planes(read_clip("carphone", height=window, n_frames=n_frames))[:, :, :, :window]
    frames = []
    for step in range(n_frames):
        frame, at = still.clone(), size // 4 + step // 2 % (size // 2 - window // 2)
        frame[:, at : at + window, at : at + window] = clip[step]
        frames.append(frame.unsqueeze(0))
    return frames


def change_square(shape: tuple[int, ...], sparsity: float, n_frames: int) -> list[Tensor]:
    """Give frames ``(1, channels, height, width)`` of which all values change in a square, elsewhere at every step."""
    generator = torch.Generator().manual_seed(0)
    frames = [torch.randn(1, *shape, generator=generator)]
    side = max(math.floor(((1.0 - sparsity) * shape[1] * shape[2]) ** 0.5), 1)
    for _ in range(n_frames - 1):
        frame = frames[-1].clone()
        y, x = (int(torch.randint(0, size - side + 1, (), generator=generator)) for size in shape[1:])
        frame[..., y : y + side, x : x + side] = torch.randn(1, shape[0], side, side, generator=generator)
        frames.append(frame)
    return frames


def change_at_random(shape: tuple[int, ...], sparsity: float, n_frames: int) -> list[Tensor]:
    """Give frames of which the share ``sparsity`` of the values stays, other ones at every step."""
    generator = torch.Generator().manual_seed(0)
    frames = [torch.randn(1, *shape, generator=generator)]
    n_values = frames[0].numel()
    n_changed = math.floor((1.0 - sparsity) * n_values)
    for _ in range(n_frames - 1):
        frame = frames[-1].clone()
        frame.view(-1)[torch.randperm(n_values, generator=generator)[:n_changed]] = torch.randn(n_changed, generator=generator)
        frames.append(frame)
    return frames


def measure(name: str, model: nn.Module, frames: list[Tensor], bare: nn.Module | None = None) -> Row:
    """Compare, count and time a model on a stream; the stream, dense torch and both numbers of threads in turn.

    ``bare`` is the model without quantisers, where it is not a sequence of layers.
    """
    with torch.inference_mode():
        model(frames[0])  # sets the quantisers
        stream = DeltaStream(model, frames[0])
        error = max(_relative_error(stream.step(frame), model(frame)) for frame in frames[: N_FRAMES + 1])
        stream.reset()
        stream.step(frames[0])
        first = add_counts(stream.counts())
        bare = without_quantisers(model) if isinstance(model, nn.Sequential) and bare is None else bare or model
        times = _time_in_turn(stream.step, bare, model, frames[1:])
    total = add_counts(stream.counts())
    medians = {job: statistics.median(values) * 1e3 for job, values in times.items()}
    n_threads = 1 if medians["dense 1"] <= medians["dense 2"] else 2
    return Row(
        name=name,
        sparsity=1.0 - (total.n_changed - first.n_changed) / (total.n_values - first.n_values),
        mac_ratio=(total.n_macs_dense - first.n_macs_dense) / max(total.n_macs - first.n_macs, 1),
        dense_ms=medians[f"dense {n_threads}"],
        dense_threads=n_threads,
        one_thread_ms=medians["dense 1"],
        quantised_ms=min(medians["quantised 1"], medians["quantised 2"]),
        stream_ms=medians["stream"],
        error=error,
    )


def _time_in_turn(step: Job, dense: Job, quantised: Job, frames: list[Tensor]) -> dict[str, list[float]]:
    """Give the seconds of every frame: some frames by one, the same by the next, and so on."""
    jobs = [
        ("stream", 1, step),
        *((f"{name} {n}", n, job) for n in (1, 2) for name, job in (("dense", dense), ("quantised", quantised))),
    ]
    times: dict[str, list[float]] = {name: [] for name, _, _ in jobs}
    for start in range(0, len(frames), N_FRAMES):
        for name, n_threads, job in jobs:
            torch.set_num_threads(n_threads)
            if name != "stream":
                job(frames[start])  # wakes the threads
            clock = time.thread_time if n_threads == 1 else time.perf_counter  # the first is the same on a busy machine
            for frame in frames[start : start + N_FRAMES]:
                begin = clock()
                job(frame)
                times[name].append(clock() - begin)
    torch.set_num_threads(1)
    return times


def _relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _to_planes(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(frames).movedim(-1, 1).float() / 255.0


def measure_video(sizes: tuple[tuple[int, int], ...] = ((34, 5), (34, 12), (64, 8), (64, 23))) -> list[Row]:
    rows = []
    for size, window in sizes:
        frames = play_in_window(size, window, N_ROUNDS * N_FRAMES + 1)
        for n_channels in (32, 64):
            name = f"3 x conv {n_channels}, {size}x{size}, window of {window}"
            rows.append(measure(name, draw_convolutional(n_channels), frames))
        rows.append(measure(f"MLP {3 * size * size}-1024-1024-10, window of {window}", draw_perceptron(3 * size * size), frames))
    return rows


def measure_networks() -> Iterator[Row]:
    """Give a UNet and a MobileNet with ReLU6, both of 128x128 and rounded as for sparsity."""
    for name, draw, factor, least in (
        ("UNet 16-32-64", UNet, 3.0, 3.0),
        ("MobileNet V1 x 0.25, ReLU6", draw_mobilenet, 8.0, 2.0),
    ):
        torch.manual_seed(0)
        frames = play_in_window(128, 4, 3 * N_FRAMES + 1)
        bare = calibrate(draw(), torch.cat(frames[::N_FRAMES]))
        rounded = round_coarsely(bare, frames[0], factor)
        yield replace(measure(f"{name}, 128x128", rounded, frames, bare), least_ratio=least)


def measure_convolutions() -> Iterator[Row]:
    """Give a convolution of which a square, or values at random places, change."""
    for change in (change_square, change_at_random):
        place = "a square changes" if change is change_square else "random places change"
        layer = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()).eval()
        yield measure(f"conv 64-64 at 34x34, {place}", layer, change((64, 34, 34), 0.95, 6 * N_FRAMES + 1))


def measure_goals() -> Iterator[Row]:
    """Give all rows that have a goal."""
    n_threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    try:
        yield from measure_video(((64, 8), (64, 23)))
        yield from measure_convolutions()
        yield from measure_networks()
    finally:
        torch.set_num_threads(n_threads)


def measure_rows() -> Iterator[tuple[str, str, str]]:
    """Give the rows of the page: what, measured, held against."""
    return map(describe_row, measure_goals())


def describe_row(row: Row) -> tuple[str, str, str]:
    """Give a row of the page's table: torch without quantisers, on the faster of 1 and 2 threads, by the stream."""
    held = f">= {row.least_ratio:.0f}x" if row.sparsity >= LEAST_SPARSITY else f"below {LEAST_SPARSITY:.0%} still"
    measured = f"{row.bare_ratio:.1f}x ({row.one_thread_ratio:.1f}x of one thread, as the stream has)"
    missed = f", missed: {row.reason}" if row.is_missed else ""
    return f"DeltaStream against dense torch, {row.name}, {row.sparsity:.1%} still", measured, held + missed


def measure_layers() -> list[Row]:
    rows = []
    cases: list[tuple[str, tuple[int, ...], nn.Module]] = [
        (f"conv {n}-{n}, {size}x{size}", (n, size, size), nn.Conv2d(n, n, 3, padding=1))
        for n, size in ((32, 34), (64, 34), (64, 64))
    ]
    for name, shape, layer in [*cases, ("linear 2048-2048", (2048,), nn.Linear(2048, 2048))]:
        for sparsity in (0.5, 0.8, 0.95, 0.99, 0.999):
            for change in (change_square, change_at_random) if len(shape) == 3 else (change_at_random,):
                place = "square" if change is change_square else "random"
                frames = change(shape, sparsity, 2 * N_FRAMES + 1)
                rows.append(measure(f"{name}, {place}", nn.Sequential(layer, nn.ReLU()).eval(), frames))
    return rows


def measure_drift() -> list[tuple[str, str]]:
    """Give the largest error in 1,000 steps of a network without quantisers, relative to its largest output."""
    frames = play_in_window(16, 4, 60)
    model = without_quantisers(draw_convolutional(16))
    precise = DeltaStream(model, frames[0], dtype=torch.float64, refresh_every=1)
    rows = []
    for name, dtype, refresh_every in (
        ("float32", torch.float32, None),
        ("float32, refresh_every=100", torch.float32, 100),
        ("float32, dense at every step", torch.float32, 1),
        ("float64", torch.float64, None),
    ):
        stream = DeltaStream(model, frames[0], dtype=dtype, refresh_every=refresh_every)
        precise.reset()
        numbers = [n % 120 if n % 120 < 60 else 119 - n % 120 for n in range(1000)]
        errors = [_relative_error(stream.step(frames[n]).double(), precise.step(frames[n])) for n in numbers]
        rows.append((name, f"{max(errors):.1e}"))
    return rows


def compile_all() -> float:
    """Give the seconds that a first stream takes, of which nearly all is compilation where nothing is cached."""
    frames = change_at_random((2, 6, 6), 0.5, 2)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    start = time.perf_counter()
    stream = DeltaStream(model, frames[0])
    for frame in frames:
        stream.step(frame)
    return time.perf_counter() - start


def measure_compilation() -> float:
    """Give the seconds of :func:`compile_all` in a process of its own, whose cache is empty."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", "import delta_streaming; print(delta_streaming.compile_all())"]
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        here = Path(__file__).resolve().parent
        found = subprocess.run(command, env=environment, cwd=here, check=True, capture_output=True, text=True)
    return float(found.stdout)


def print_rows(title: str, rows: list[Row]) -> None:
    columns = (
        "network",
        "still#",
        "dense/MACs#",
        "bare ms#",
        "threads#",
        "model ms#",
        "stream ms#",
        "bare/stream#",
        "model/stream#",
        "error#",
    )
    cells = [
        (
            row.name, f"{row.sparsity:.1%}", f"{row.mac_ratio:.1f}", f"{row.dense_ms:.3f}", row.dense_threads,
            f"{row.quantised_ms:.3f}", f"{row.stream_ms:.3f}",
            f"{row.bare_ratio:.1f}{'!' if row.is_missed else ''}", f"{row.model_ratio:.1f}", f"{row.error:.0e}",
        )
        for row in rows
    ]  # fmt: skip
    Console(width=130).print(make_table(title, columns, cells))


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    seconds = measure_compilation()
    video, layers = [*measure_video(), *measure_networks()], measure_layers()
    print_rows("A real video in a window over a still real frame, one stream", video)
    print_rows("One layer with ReLU", layers)
    Console().print(make_table("Largest error in 1,000 steps without quantisers", ("states", "relative error#"), measure_drift()))
    print(f"Compilation of all kernels, once a machine: {seconds:.1f} s")
    missed = [f"{row.name} ({row.sparsity:.1%}, {row.bare_ratio:.1f}x)" for row in (*video, *layers) if row.is_missed]
    if missed:
        sys.exit(f"below {LEAST_RATIO}x of bare torch at {LEAST_SPARSITY:.0%} or more: {', '.join(missed)}")


if __name__ == "__main__":
    main()

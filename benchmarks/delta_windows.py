"""Time windows that move against dense torch, step by step; both must compute the same before they are timed.

Networks have weights as drawn. Both have one thread and are timed in turn in seconds of the processor, medians over all steps.
Run with ``python benchmarks/delta_windows.py``.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import Tensor, nn

from snnmap.delta import WindowStream
from snnmap.report import make_table

N_STEPS = 200


class Causal(nn.Module):
    """Dilated convolutions that see no later step; the last step's output, or the mean of all (Bai et al. 2018)."""

    def __init__(self, n_channels: int, n_layers: int, *, last: bool) -> None:
        super().__init__()
        sizes = [4] + [n_channels] * n_layers
        self.layers = nn.ModuleList(
            nn.Conv1d(sizes[n], sizes[n + 1], 3, padding=2 * 2**n, dilation=2**n) for n in range(n_layers)
        )
        self.head, self.last = nn.Linear(n_channels, 10), last

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of a window ``(1, 4, steps)``."""
        for n, layer in enumerate(self.layers):
            x = torch.relu(layer(x)[:, :, : -2 * 2**n])
        found: Tensor = self.head(x[:, :, -1] if self.last else x.mean(2))
        return found


@dataclass(frozen=True, slots=True)
class Case:
    """A network and the window that it takes."""

    name: str
    model: nn.Module
    shape: tuple[int, ...]
    hop: int = 1


def draw_cases() -> Iterator[Case]:
    yield Case("causal, 8 x conv 64 of 1024 steps, the last", Causal(64, 8, last=True), (4, 1024))
    yield Case("causal, 6 x conv 32 of 256 steps, the last", Causal(32, 6, last=True), (4, 256))
    yield Case("causal, 8 x conv 64 of 1024 steps, their mean", Causal(64, 8, last=False), (4, 1024))
    layers = [part for n in range(4) for part in (nn.Conv1d(64 if n else 9, 64, 5), nn.ReLU())]
    yield Case("4 x conv 64 without zeros, 128 steps, mean", nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1)), (9, 128))
    spectra = [nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    spectra += [nn.Conv2d(64, 64, 3, padding=1), nn.AdaptiveAvgPool2d(1)]
    yield Case("3 x conv 64 of a 40x100 spectrogram, hop 2", nn.Sequential(*spectra), (1, 40, 100), 2)


@torch.inference_mode()
def measure(case: Case) -> tuple[str, str, str, str, str]:
    """Give a row: multiply-accumulates and milliseconds of dense torch by those of the stream, and the largest relative error."""
    model, window = case.model.eval(), torch.randn(1, *case.shape)
    stream = WindowStream(model, window, hop=case.hop)
    stream.reset(window)
    times: dict[bool, list[float]] = {False: [], True: []}
    error = 0.0
    for _ in range(N_STEPS):
        entering = torch.randn(*window.shape[:-1], case.hop)
        window = torch.cat([window[..., case.hop :], entering], -1)
        outputs = []
        for is_stream in (False, True):
            begin = time.thread_time()
            outputs.append(stream.step(entering) if is_stream else model(window))
            times[is_stream].append(time.thread_time() - begin)
        error = max(error, float((outputs[0] - outputs[1]).abs().max() / outputs[0].abs().max()))
    dense_ms, stream_ms = (1e3 * statistics.median(times[is_stream]) for is_stream in (False, True))
    n_products = f"{stream.n_macs_dense / stream.n_macs:.1f}"
    return case.name, n_products, f"{dense_ms:.2f}", f"{dense_ms / stream_ms:.2f}", f"{error:.0e}"


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    columns = ("network", "dense/stream MACs#", "dense ms#", "dense/stream time#", "error#")
    Console(width=120).print(make_table("A window that moves on, one stream", columns, [measure(one) for one in draw_cases()]))


if __name__ == "__main__":
    main()

"""What deep ReLU networks lose on the way to the bitstream, with nothing but defaults. A few minutes.

An autoencoder of 8 layers of 64, which tells samples of its kind from others by its error, and convolutional networks on
scikit-learn's digits at 16 x 16 pixels: one of two convolutions, ResNet-8, ResNet-20 (He et al. 2016, a quarter of the width)
and a MobileNet (Howard et al. 2017, an eighth and nine blocks); and VGG-9 (Simonyan and Zisserman 2015, a quarter) at 32 x 32.
All are trained here, from several seeds, each with a split of the data of its own. Figures are of held-out samples, which
neither training nor calibration saw: means over the seeds, and each. Seconds to convert and build are by the clock, and the
processor's, of all threads, of the median seed; memory is the most that a process held which does nothing else, with Python and
torch.

Run with ``make deep``; ``--write`` writes the table. Words of a row's name measure it alone.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import torch
from builds import build_anyway, enlarge
from measurements import Row, choose_rows, print_rows, write_table
from torch import Tensor, nn

import snnmap
from snnmap.chip import load_chip
from snnmap.convert import Conversion, convert_ann
from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.lif.compare import read_port
from snnmap.lif.simulator import simulate_image
from snnmap.pipeline import StageProfile

N_TRAINED = 1300


def make_unit(n_in: int, n_out: int, stride: int = 1, groups: int = 1, side: int = 3, relu: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(n_in, n_out, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
    ]
    return nn.Sequential(*parts, *([nn.ReLU()] if relu else []))


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(make_unit(n_in, n_out, stride), make_unit(n_out, n_out, relu=False))
        self.short = nn.Identity() if n_in == n_out else make_unit(n_in, n_out, stride, side=1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.short(x))


def make_resnet(blocks_each: int) -> nn.Sequential:
    blocks = [
        Block(n_in if k == 0 else n_out, n_out, stride if k == 0 else 1)
        for n_in, n_out, stride in ((4, 4, 1), (4, 8, 2), (8, 16, 2))
        for k in range(blocks_each)
    ]
    return nn.Sequential(make_unit(1, 4), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def make_cnn() -> nn.Sequential:
    return nn.Sequential(make_unit(1, 8), make_unit(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def make_vgg() -> nn.Sequential:
    stages = [
        part
        for n_in, n_out in ((1, 16), (16, 32), (32, 64))
        for part in (make_unit(n_in, n_out), make_unit(n_out, n_out), nn.AvgPool2d(2))
    ]
    head = [nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*stages, nn.Flatten(), *head)


def make_mobilenet() -> nn.Sequential:
    shape = [(8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 32, 1)]
    blocks = [part for i, o, s in shape for part in (make_unit(i, i, s, i), make_unit(i, o, side=1))]
    return nn.Sequential(make_unit(1, 8), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def make_autoencoder() -> nn.Sequential:
    widths = (16, *[64] * 8)
    layers = [part for n_in, n_out in pairwise(widths) for part in (nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 16))


def train(model: nn.Module, inputs: Tensor, wanted: Tensor, loss: Callable[[Tensor, Tensor], Tensor], n_epochs: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(n_epochs):
        for part in torch.randperm(len(inputs)).split(64):
            optimiser.zero_grad()
            torch.autograd.backward(loss(model(inputs[part]), wanted[part]))
            optimiser.step()
    model.eval()


@torch.no_grad()
def run_model(model: nn.Module, inputs: FloatArray) -> FloatArray:
    return np.asarray(model(torch.tensor(inputs, dtype=torch.float32)).numpy(), np.float64)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A conversion's bitstream, run on held-out samples.

    Attributes:
        logits: ``(n, n_outputs)``.
        fired: share of samples in which an output neuron fired; it should never.
        overshoot: what the conversion took.
        refused: rules that refuse the build.
        seconds: by the clock, to convert and build.
        processor: seconds of all threads, to the same end.
        gigabytes: the most that the process held in that.
    """

    logits: FloatArray
    fired: float
    overshoot: str
    refused: tuple[str, ...]
    seconds: float
    processor: float
    gigabytes: float

    def __str__(self) -> str:
        refused = f", refused by {', '.join(self.refused)}" if self.refused else ""
        return f"overshoot {self.overshoot}, readouts fire in {self.fired:.1%} of samples{refused}"


def build(model: nn.Module, calibration: FloatArray, tested: FloatArray) -> Built:
    """Convert, build and run in a process that did nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=limit_threads) as executor:
        return executor.submit(build_here, model, calibration, tested).result()


def limit_threads() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def build_here(model: nn.Module, calibration: FloatArray, tested: FloatArray) -> Built:
    """Convert and build with nothing but defaults; run the bitstream whatever it does beside the model."""
    profile, start, worked = StageProfile(), time.monotonic(), time.process_time()
    profile("converting")
    conversion = convert_ann(model, calibration)
    chip = enlarge(load_chip("generic-4096"), n_neurons=60_000, n_inputs=2048)
    artifacts, refused = build_anyway(conversion, chip, on_stage=profile)
    seconds, processor = time.monotonic() - start, time.process_time() - worked
    peak = max(stage.peak_bytes for stage in profile.finish())
    parts = np.array_split(conversion.encode(tested), max(1, len(tested) // 50))
    runs = [run_bitstream(artifacts, conversion, part) for part in parts]
    return Built(
        logits=np.concatenate([logits for logits, _ in runs]),
        fired=float(np.concatenate([fired for _, fired in runs]).mean()),
        overshoot=conversion.options.overshoot,
        refused=refused,
        seconds=seconds,
        processor=processor,
        gigabytes=peak / 1e9,
    )


def run_bitstream(artifacts: snnmap.Artifacts, conversion: Conversion, counts: IntArray) -> tuple[FloatArray, BoolArray]:
    """Give logits ``(n, n_outputs)``, and whether an output neuron fired, ``(n,)``."""
    padded = np.pad(counts, ((0, 0), (0, artifacts.mapped.latency_steps), (0, 0)))
    run = simulate_image(artifacts.image, padded, counts_of=("outputs",), states_of=("outputs",))
    (port,) = artifacts.network.outputs
    potentials = read_port(artifacts.quantised, run, port)[:, : counts.shape[1]]
    return conversion.read_logits(potentials), run.counts["outputs"].any(axis=(1, 2))


def measure_autoencoder() -> Iterator[Row]:
    """Give the error of its outputs, and how well its own error tells samples of its kind from others, as AUC."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    usual = rng.uniform(0, 1, (4, 16))
    other = 0.7 * usual + 0.3 * rng.uniform(0, 1, (4, 16))

    def draw(mix: FloatArray, n: int) -> FloatArray:
        return np.clip(rng.uniform(0, 1, (n, 4)) @ mix / 2, 0, 1)

    trained, tested = draw(usual, 1500), np.concatenate([draw(usual, 250), draw(other, 250)])
    model, data = make_autoencoder(), torch.tensor(trained, dtype=torch.float32)
    train(model, data, data, nn.functional.mse_loss, 40)
    built, wanted = build(model, trained[:400], tested), run_model(model, tested)
    error = np.sqrt(np.square(built.logits[:250] - wanted[:250]).mean() / wanted[:250].var(axis=0).mean())
    yield "autoencoder, 8 layers of 64: error of its outputs over their spread", f"{error:.3f}; {built}", "<= 0.1"
    unusual = np.arange(500) >= 250
    before, after = (roc_auc_score(unusual, np.square(found - tested).mean(axis=1)) for found in (wanted, built.logits))
    yield "the same: AUC of its error, bitstream - ANN", f"{after - before:+.4f} (ANN {before:.4f})", ">= -0.01"


def measure_digits(
    name: str,
    make: Callable[[], nn.Module],
    *,
    side: int = 16,
    n_epochs: int = 8,
    n_calibration: int = 64,
    n_seeds: int = 5,
    limit: str = "",
) -> Iterator[Row]:
    """Give the points lost, and what converting and building took, which is held against ``limit``."""
    found = [lose_points(make, seed, side, n_epochs, n_calibration) for seed in range(n_seeds)]
    points, same = np.array([one.points for one in found]), np.array([one.same for one in found])
    fired, refused = max(one.built.fired for one in found), sorted({rule for one in found for rule in one.built.refused})
    seeds = f"mean of {n_seeds} seeds" if n_seeds > 1 else "1 seed"
    of, n_tested = np.mean([one.of for one in found]), len(found[0].built.logits)
    what = f"{name}, digits: points lost of {of:.1f}%, {n_tested} held-out, {seeds}"
    overshoot = "/".join(sorted({one.built.overshoot for one in found}))
    rest = f"overshoot {overshoot}, readouts fire in {fired:.1%} of samples{''.join(f', refused by {rule}' for rule in refused)}"
    yield what, f"{list_each(points, '{:.2f}')}; same class in {list_each(same, '{:.1%}')}; {rest}", "<= 1.0"
    what = f"the same: seconds and peak memory to convert and build, {n_calibration} calibration samples"
    median = sorted((one.built for one in found), key=lambda built: built.seconds)[(n_seeds - 1) // 2]
    yield what, f"{median.seconds:.0f} s ({median.processor:.0f} of the processor), {median.gigabytes:.2f} GB", limit


def list_each(values: FloatArray, form: str) -> str:
    """Return the mean and each value, where there are several."""
    each = ", ".join(form.format(value) for value in values)
    return f"{form.format(values.mean())} ({each})" if len(values) > 1 else each


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What one network lost.

    Attributes:
        points: lost by the bitstream.
        of: right of the ANN, in per cent.
        same: share of samples of the same class.
        built: the bitstream's outputs, and what it took.
    """

    points: float
    of: float
    same: float
    built: Built


def lose_points(make: Callable[[], nn.Module], seed: int, side: int, n_epochs: int, n_calibration: int) -> Lost:
    """Train on digits drawn by the seed, convert, build, and test on the others."""
    from sklearn.datasets import load_digits

    torch.manual_seed(seed)
    digits = load_digits()
    pixels = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    images = np.asarray(nn.functional.interpolate(pixels, size=(side, side), mode="bilinear").numpy(), np.float64)
    order = np.random.default_rng(seed).permutation(len(images))
    trained, held_out = order[:N_TRAINED], order[N_TRAINED:]
    model, inputs = make(), torch.tensor(images[trained], dtype=torch.float32)
    train(model, inputs, torch.tensor(digits.target[trained]), nn.functional.cross_entropy, n_epochs)
    tested, wanted = images[held_out], digits.target[held_out]
    logits, built = run_model(model, tested), build(model, images[trained[:n_calibration]], tested)
    before, after = (100 * float((found.argmax(axis=1) == wanted).mean()) for found in (logits, built.logits))
    same = float((logits.argmax(axis=1) == built.logits.argmax(axis=1)).mean())
    return Lost(points=before - after, of=before, same=same, built=built)


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "autoencoder": measure_autoencoder,
    "CNN": partial(measure_digits, "CNN of 3,083 neurons", make_cnn, n_epochs=40, n_calibration=256, limit="<= 0.6 GB"),
    "ResNet-8": partial(measure_digits, "ResNet-8", partial(make_resnet, 1)),
    "ResNet-20": partial(measure_digits, "ResNet-20", partial(make_resnet, 3), n_calibration=256, n_seeds=3, limit="<= 2 GB"),
    "VGG-9": partial(measure_digits, "VGG-9, width 1/4", make_vgg, side=32, n_seeds=1, limit="<= 20 s"),
    "MobileNet": partial(measure_digits, "MobileNet, width 1/8", make_mobilenet),
}


def measure(words: list[str]) -> Iterator[Row]:
    for name in choose_rows(words, ROWS):
        torch.manual_seed(0)
        start = time.monotonic()
        yield from ROWS[name]()
        print(f"  {name} after {time.monotonic() - start:.0f} s", file=sys.stderr)


def main(words: list[str]) -> None:
    limit_threads()
    lines = print_rows(measure(words))
    if "--write" in words:
        write_table("deep", lines)


if __name__ == "__main__":
    main(sys.argv[1:])

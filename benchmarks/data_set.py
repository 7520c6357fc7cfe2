"""Fashion-MNIST's 10,000 test images on the 4,096-neuron chip, bit for bit: written to docs/measurements.md with ``--write``.

Run with ``make data-set``. The network nearly fills the chip (784-2048-2000-10, 256 weights a neuron); it is trained for one
epoch only, since what is measured is time. Some samples are held against the reference engine first.
"""

import os
import platform
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from accuracy import CONVERTED, GENERIC, make_mlp, train
from datasets import read_fashion_mnist
from measurements import Row, print_rows, write_table

from snnmap.convert import Conversion, ConvertOptions, convert_ann
from snnmap.core import FloatArray, IntArray
from snnmap.lif.compare import run_image, run_ports
from snnmap.lif.program import Image, Manifest
from snnmap.network import join_rasters
from snnmap.pipeline import compile_model
from snnmap.train import limit_fan_in, settle_fan_in

N_STEPS, PART = 16, 2000


def build() -> tuple[Conversion, Image, Manifest]:
    """Train, prune to the chip's fan-in, convert and build."""
    (inputs, labels), model = read_fashion_mnist("train"), make_mlp(0, 784, 2048, 2000, 10)
    data, classes = torch.tensor(inputs[:4000], dtype=torch.float32), torch.tensor(labels[:4000])
    limit_fan_in(model, GENERIC, calibration=data[:200])
    train(model, data, classes, 1, 1e-3)
    settle_fan_in(model)
    conversion = convert_ann(model, inputs[:200], options=ConvertOptions(n_steps=N_STEPS, max_rate=4.0))
    ports = conversion.split(conversion.encode(inputs[:64]))
    image = compile_model(conversion.network, GENERIC, options=CONVERTED, calibration=ports).image
    assert image.manifest is not None
    return conversion, image, image.manifest


def encode(conversion: Conversion, inputs: FloatArray) -> IntArray:
    return join_rasters(conversion.network.inputs, conversion.split(conversion.encode(inputs)))


def measure() -> Iterator[Row]:
    test, labels = read_fashion_mnist("t10k")
    conversion, image, manifest = build()
    few = encode(conversion, test[:3])
    for engine in ("batch", "reference"):
        ports = run_ports(image, manifest, few, engine=engine)
        np.testing.assert_array_equal(ports[0].values, run_image(image, manifest, few).ports[0].values)
    seconds, right, left = {"plain": 0.0, "counted": 0.0}, 0, 0
    for start in range(0, len(test), PART):
        raster = encode(conversion, test[start : start + PART])
        begin = time.perf_counter()
        (port,) = run_ports(image, manifest, raster)
        seconds["plain"] += time.perf_counter() - begin
        begin = time.perf_counter()
        counted = run_image(image, manifest, raster)
        seconds["counted"] += time.perf_counter() - begin
        np.testing.assert_array_equal(port.values, counted.ports[0].values)
        right += int((port.classes == labels[start : start + PART]).sum())
        left += int(counted.saturation.by_sample.sum()) if counted.saturation is not None else 0
    where = f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f}"
    what = (
        f"10,000 images on generic-4096, {image.sizes[1]} hidden neurons, T = {N_STEPS}, {right / len(test):.2%} right ({where})"
    )
    yield what, f"{seconds['plain']:.1f} s", "< 30 s"
    yield "the same, with what left its word counted", f"{seconds['counted']:.1f} s; {left} values", "< 30 s"


def main() -> None:
    lines = print_rows(measure())
    if "--write" in sys.argv:
        write_table("data-set", lines)


if __name__ == "__main__":
    main()

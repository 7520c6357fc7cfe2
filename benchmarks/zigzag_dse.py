"""Seconds from a quantised network to a mapping on one crossbar of 128 x 128 cells: snnmap beside zigzag-dse 3.9.1, in one run.

zigzag-dse maps layers to the analog array that it ships and estimates their energy and latency, with the defaults of its
``get_hardware_performance_zigzag``; it writes no instructions, and passes over layers of onnxruntime's own operators (QGemm,
sums, means). snnmap writes the bytes for one such crossbar and holds them against the layers. Both read the same ONNX
file, one after the other; seconds are of processor time, without imports.

Run with ``make zigzag``; ``--write`` writes the table. Words of a row's name measure it alone. A quarter of an hour.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from measurements import Row, choose_rows, print_rows, write_table
from onnx import TensorProto, helper
from quantised_networks import make_mobilenet, make_resnet

from snnmap.crossbar import Architecture, compile_graph, load_architecture
from snnmap.frontends.onnx import read_layer_graph

PYTHON = Path(".venv-zigzag/bin/python")
NETWORKS: dict[str, Callable[[], Any]] = {"MobileNet V1": make_mobilenet, "ResNet-18": lambda: make_resnet(18)}
LIMIT_S = 400
RUNS = 5
GOAL = 20


def add_shapes(model: Any) -> Any:
    """Write the shape of every value into a model, for a batch of one: zigzag-dse infers none."""
    graph = read_layer_graph(model)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    known = {value.name for value in model.graph.output}
    shapes = {node.tensor: graph.types[node.name].shape for node in graph.nodes if node.tensor not in known}
    model.graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, *shape]) for name, shape in shapes.items()
    )
    return model


def make_architecture() -> Architecture:
    """One crossbar of 128 x 128 cells, and accumulators for all sums that wait for the next computation cycle."""
    fixed = load_architecture("fixed-128")
    memories = replace(fixed.memories, accumulator_words=2**20)
    return replace(fixed, cores=1, noc=replace(fixed.noc, columns=1), memories=memories)


def time_snnmap(path: Path) -> tuple[float, int]:
    """Processor seconds from the file to bytes that were held against the layers, median; and instructions."""
    architecture, seconds = make_architecture(), []
    for _ in range(RUNS):
        start = time.process_time()
        built = compile_graph(read_layer_graph(path), architecture)
        seconds.append(time.process_time() - start)
    return sorted(seconds)[RUNS // 2], built.image.n_instructions


def time_zigzag(path: Path, folder: str) -> float | None:
    """Processor seconds, or None where it was cut off."""
    command = [PYTHON, "-I", Path(__file__).with_name("zigzag_process.py"), path, folder, str(LIMIT_S)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return None
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-2])


def measure(name: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        onnx.save(add_shapes(NETWORKS[name]()), str(path))
        (ours, instructions), found = time_snnmap(path), time_zigzag(path, folder)
    more, cut, theirs = ("> ", ", cut off", float(LIMIT_S)) if found is None else ("", "", found)
    yield f"{name}: processor seconds of snnmap; instructions", f"{ours:.2f}; {instructions}", ""
    yield f"{name}: processor seconds of zigzag-dse 3.9.1 on its own array{cut}", f"{more}{theirs:.0f}", ""
    yield f"{name}: zigzag-dse's seconds for one of snnmap's", f"{more}{theirs / ours:.0f}", f">= {GOAL}"


def main(words: list[str]) -> None:
    lines = print_rows(row for name in choose_rows(words, NETWORKS) for row in measure(name))
    if "--write" in words:
        write_table("zigzag", lines)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Seconds from a quantised network to a mapping on one crossbar of 128 x 128 cells: snnmap beside zigzag-dse 3.9.1, in one run.

zigzag-dse maps layers to the analog array that it ships and estimates their energy and latency, with the defaults of its
``get_hardware_performance_zigzag``; it writes no instructions, and passes over layers of onnxruntime's own operators (QGemm,
sums, means). snnmap writes the bytes for one core of ``fixed-128`` and holds them against the layers. Both read the same ONNX
file, one after the other, on one processor core each; seconds are of processor time, without imports.

Run with ``make zigzag``; ``--write`` writes the table. Words of a row's name measure it alone. Half an hour at most.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from measurements import Row, print_rows, write_table
from onnx import TensorProto, helper
from quantised_networks import make_mobilenet, make_resnet

from snnmap.crossbar import compile_graph, load_architecture
from snnmap.frontends.onnx import read_layer_graph

PYTHON = Path(".venv-zigzag/bin/python")
NETWORKS: dict[str, Callable[[], Any]] = {"MobileNet V1": make_mobilenet, "ResNet-18": lambda: make_resnet(18)}
LIMIT_S = 600
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


def time_snnmap(path: Path) -> tuple[float, int]:
    """Processor seconds from the file to bytes that were held against the layers, median; and instructions."""
    one = load_architecture("fixed-128")
    one = replace(one, cores=1, noc=replace(one.noc, columns=1))
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        built = compile_graph(read_layer_graph(path), one)
        seconds.append(time.process_time() - start)
    return sorted(seconds)[RUNS // 2], built.image.n_instructions


def time_zigzag(path: Path, folder: str) -> tuple[float, bool]:
    """Processor seconds, and whether it was cut off before it was done."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [PYTHON, "-I", Path(__file__).with_name("zigzag_process.py"), path, folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime, True
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-2]), False


def measure(name: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        onnx.save(add_shapes(NETWORKS[name]()), str(path))
        (ours, instructions), (theirs, is_cut) = time_snnmap(path), time_zigzag(path, folder)
    more, cut = ("> ", f", cut off after {LIMIT_S} s") if is_cut else ("", "")
    yield f"{name}: processor seconds of snnmap; instructions", f"{ours:.2f}; {instructions}", ""
    yield f"{name}: processor seconds of zigzag-dse 3.9.1 on its own array{cut}", f"{more}{theirs:.1f}", ""
    yield f"{name}: zigzag-dse's seconds for one of snnmap's", f"{more}{theirs / ours:.0f}", f">= {GOAL}"


def main(words: list[str]) -> None:
    chosen = [name for name in NETWORKS if not words or any(word in name.lower() for word in words)]
    lines = print_rows(row for name in chosen for row in measure(name))
    if "--write" in sys.argv:
        write_table("zigzag", lines)


if __name__ == "__main__":
    main([word for word in sys.argv[1:] if not word.startswith("--")])

"""Quantised networks on analog crossbars, beside the bounds: utilisation, computation cycles, compile time, memory, replay.

MobileNet V1, ResNet-18 and ResNet-50 at 224 x 224 with seeded weights, the worked example, random networks, and changed bytes.
Run with ``make crossbar``; ``--write`` writes the table. Words of a row's name measure it alone. About 3 minutes.
"""

import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from crossbar_mutations import mutate
from crossbar_variants import EXAMPLE_VARIANTS
from measurements import Row, choose_rows, print_rows, write_table
from quantised_networks import make_example, make_mobilenet, make_resnet, make_small, run_onnxruntime
from random_quantised import make_random

from snnmap.core.errors import FormatError
from snnmap.crossbar import Built, MappingOptions, compile_graph, decode_image, load_architecture, run_image
from snnmap.crossbar.check import find_faults
from snnmap.crossbar.report import measure_costs, measure_utilisation
from snnmap.frontends.onnx import read_layer_graph

NETWORKS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "MobileNet V1": (make_mobilenet, "bound 93.9%; PIMCOMP 14.3%", "<= 0.8 s; PIMCOMP 3.8 s"),
    "ResNet-18": (lambda: make_resnet(18), "bound 100%; PIMCOMP 98.1%", "PIMCOMP 2.8 to 4.8 s"),
    "ResNet-50": (lambda: make_resnet(50), "bound 100%; PIMCOMP 98.8%", "<= 2.5 s; PIMCOMP 3.9 to 7.0 s"),
}
OPTIONS = {
    "by the rule": MappingOptions(),
    "first fit": MappingOptions(fill="first"),
    "up to 4 copies": MappingOptions(copies=4),
    "cores ordered by traffic": MappingOptions(order="traffic"),
    "copies, ordered": MappingOptions(copies=4, order="traffic"),
}
RUNS = 5


def compare(model: Any, built: Built, inputs: Any) -> tuple[int, int, float]:
    """Values that differ from onnxruntime's, values, and seconds of the run from the bytes."""
    start = time.perf_counter()
    found = run_image(decode_image(built.data), inputs, keep="all")
    seconds = time.perf_counter() - start
    graph = read_layer_graph(model)
    tensors = {node.name: node.tensor for node in graph.nodes if graph.types[node.name].dtype == "uint8"}
    wanted = run_onnxruntime(model, inputs, names=list(tensors.values()))
    differ = sum(int((found[name].reshape(wanted[one].shape) != wanted[one]).sum()) for name, one in tensors.items())
    return differ, sum(found[name].size for name in tensors), seconds


def time_compile(model: Any) -> tuple[Built, list[float]]:
    """The build, and processor seconds from the ONNX model to bytes that were held against the layers."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        built = compile_graph(read_layer_graph(model), "grid-128")
        seconds.append(time.process_time() - start)
    return built, sorted(seconds)


def measure_memory(model: Any) -> float:
    """Most memory that a compilation allocates, in MB, the model's own left out."""
    tracemalloc.start()
    compile_graph(read_layer_graph(model), "grid-128")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def compile_alone(name: str) -> float:
    """Most resident memory, in MB, of this process once it has made a model, read it and compiled it."""
    compile_graph(read_layer_graph(NETWORKS[name][0]()), "grid-128")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure_process(name: str) -> float:
    """The same, of a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(compile_alone, name).result()


def measure_options(name: str, model: Any) -> Iterator[Row]:
    """What the mapper's options change, by the record's prices, weights in place."""
    graph = read_layer_graph(model)
    for words, options in OPTIONS.items():
        built = compile_graph(graph, "grid-128", options=options)
        costs = measure_costs(built.image)
        told = f"{costs.latency_ms:.0f} ms, {costs.traffic_hop_bytes / 1e6:.0f} MB, {built.mapped.n_cycles}"
        yield f"{name}: latency, bytes times links, computation cycles: {words}", told, ""


def measure_network(name: str) -> Iterator[Row]:
    make, cells, peers = NETWORKS[name]
    model = make()
    built, seconds = time_compile(model)
    use = measure_utilisation(built.mapped)
    n_weights = sum(map(len, built.image.weights))
    yield f"{name}: cells that hold weights, of allocated elements", f"{use.filled:.2%}", cells
    yield f"{name}: computation cycles, 16 cores of 128 x 128", str(use.cycles), f"bound {use.bound}"
    yield f"{name}: processor seconds to compile and check the bytes, median", f"{seconds[RUNS // 2]:.2f}", peers
    yield (
        f"{name}: memory that compiling allocates, beside Python and the model",
        f"{measure_memory(model):.0f} MB",
        "",
    )
    peak = f"{measure_process(name):.0f} MB"
    yield f"{name}: peak memory of the process, with Python, the model and what made it", peak, "<= 500 MB; PIMCOMP 2.0 to 2.6 GB"
    size = f"{built.image.n_instructions}, {(len(built.data) - n_weights) / 1e3:.0f} kB"
    yield f"{name}: instructions; bytes without weights", size, "<= 20,000, <= 500 kB (ResNet-18); PIMCOMP 1,040,123, 304 MB"
    differ, values, replay = compare(model, built, np.random.default_rng(0).normal(0, 1, (1, 3, 224, 224)).astype(np.float32))
    yield f"{name}: values of all tensors that differ from onnxruntime's int8, free-running", f"{differ} of {values}", "0"
    yield f"{name}: seconds of the run from the bytes", f"{replay:.1f}", "< 60"
    yield from measure_options(name, model)


def measure_example() -> Iterator[Row]:
    graph, found = read_layer_graph(make_example()), []
    for architecture, _ in EXAMPLE_VARIANTS.values():
        built = compile_graph(graph, architecture)
        found.append(sum(tile.n_elements for tile in built.mapped.tiles))
    wanted = ", ".join(str(count) for _, count in EXAMPLE_VARIANTS.values())
    yield "the worked example: elements of its seven variants", ", ".join(map(str, found)), wanted
    windows = " + ".join(str(layer.windows.n_windows) for _, layer in built.program.matrices)
    yield "the same: windows", windows, "155 + 87"


def measure_random() -> Iterator[Row]:
    names = ("grid-128", "fixed-128", "example-16x4")
    differ = values = 0
    for seed in range(200):
        model = make_random(seed)
        graph = read_layer_graph(model)
        built = compile_graph(graph, names[seed % 3])
        inputs = np.random.default_rng(seed).normal(0, 1, (2, *graph.inputs["x"].shape)).astype(np.float32)
        one, count, _ = compare(model, built, inputs)
        differ, values = differ + one, values + count
    yield "200 random networks: values that differ from onnxruntime's int8", f"{differ} of {values}", "0"


def measure_mutations() -> Iterator[Row]:
    architecture = load_architecture("grid-128")
    built = compile_graph(read_layer_graph(make_small()), architecture)
    inputs = np.random.default_rng(0).normal(0, 1, (3, 3, 12, 12)).astype(np.float32)
    wanted = built.run(inputs, keep="all")
    rng, missed = np.random.default_rng(0), 0
    for _ in range(1000):
        try:
            image = decode_image(mutate(built.data, rng)[0])
            missed += not find_faults(image, built.program) and all(
                np.array_equal(levels, wanted[name]) for name, levels in run_image(image, inputs, keep="all").items()
            )
        except FormatError:
            continue
    yield "1,000 changes of a byte behind valid checksums: found by reader, check or run", str(1000 - missed), "1000"


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "example": measure_example,
    "mobilenet": lambda: measure_network("MobileNet V1"),
    "resnet-18": lambda: measure_network("ResNet-18"),
    "resnet-50": lambda: measure_network("ResNet-50"),
    "random": measure_random,
    "mutations": measure_mutations,
}


def main(words: list[str]) -> None:
    lines = print_rows(row for name in choose_rows(words, ROWS) for row in ROWS[name]())
    if "--write" in words:
        write_table("crossbar", lines)


if __name__ == "__main__":
    main(sys.argv[1:])

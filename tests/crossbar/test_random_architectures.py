"""Random architectures, networks and options: values, bounds, text, costs and changed bytes, whichever meet."""

from typing import Any

import numpy as np
import pytest
from crossbar_mutations import mutate
from crossbar_variants import change
from random_architectures import make_architecture
from random_quantised import make_random

from snnmap.core.errors import FormatError
from snnmap.crossbar import Built, MappingOptions, compile_graph, decode_image, encode_image, find_differences, run_image
from snnmap.crossbar.check import find_faults
from snnmap.crossbar.container import assemble, disassemble
from snnmap.crossbar.executor import Analog
from snnmap.crossbar.report import measure_utilisation
from snnmap.frontends.onnx import read_layer_graph

OPTIONS = [
    MappingOptions(fill=fill, copies=copies, order=order)
    for fill in ("present", "first")
    for copies in (1, 2, 30)
    for order in ("rule", "traffic")
]
N_MUTATIONS = 5


@pytest.mark.parametrize("seed", [*range(24), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(24, 300))])
def test_values_bounds_text_and_changes(seed: int) -> None:
    architecture, graph = make_architecture(seed), read_layer_graph(make_random(seed))
    built = compile_graph(graph, architecture, options=OPTIONS[seed % len(OPTIONS)])
    inputs = np.random.default_rng(seed).normal(0, 1, (2, *graph.inputs["x"].shape)).astype(np.float32)
    assert not any(find_differences(built, inputs).values())
    use = measure_utilisation(built.mapped)
    assert use.bound <= use.cycles
    assert use.filled <= 1
    assert (use.filled > 0) == bool(built.program.matrices)
    assert max(use.per_cycle) <= 1
    assert ("unknown" in built.summary) == ("prices that the record does not tell" in built.summary)
    assert encode_image(assemble(disassemble(built.image), architecture=architecture)) == built.data
    rng, wanted = np.random.default_rng(seed), built.run(inputs, keep="all")
    changed = [mutate(built.data, rng) for _ in range(N_MUTATIONS)]
    assert [told for data, told in changed if not is_found(built, data, inputs, wanted)] == []


def is_found(built: Built, data: bytes, inputs: Any, wanted: Any) -> bool:
    """Whether the reader, the check or the run finds that a file was changed."""
    try:
        image = decode_image(data, architecture=built.mapped.architecture)
        if find_faults(image, built.program):
            return True
        found = run_image(image, inputs, keep="all")
    except FormatError:
        return True
    return any(not np.array_equal(found.get(name), levels) for name, levels in wanted.items())


@pytest.mark.parametrize("seed", range(12))
def test_analog_numbers_on_converters_of_all_widths(seed: int) -> None:
    """Of 20 bits and more, each step brings values nearer to the exact ones, and 32 are exact; one bit runs."""
    graph, architecture = read_layer_graph(make_random(seed)), make_architecture(seed)
    inputs = np.random.default_rng(seed).normal(0, 1, (2, *graph.inputs["x"].shape)).astype(np.float32)
    errors = []
    for bits in (1, 20, 24, 32):
        built = compile_graph(graph, change(architecture, "converters", adc_bits=bits))
        assert built.run(inputs, numerics=Analog(noise_lsb=0.5)).keys() == built.run(inputs).keys()
        ((_, exact),), ((_, read),) = built.run(inputs).items(), built.run(inputs, numerics=Analog()).items()
        errors.append(np.abs(read.astype(int) - exact).mean())
    assert errors[1] >= errors[2] >= errors[3] == 0

"""The rules of accelerators with crossbars: each fires on its case, with what it measured, and is silent on a clean build."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossbar_variants import EXAMPLE, GRID, change, resize
from golden import require_golden
from onnx import TensorProto, helper, numpy_helper
from quantised_networks import Quantised, make_small

from snnmap.core.errors import DesignRuleError
from snnmap.core.rules import explain_rule, format_rules
from snnmap.crossbar import Architecture, Built, compile_graph
from snnmap.crossbar.container import Image
from snnmap.crossbar.drc import RULES, check_program
from snnmap.crossbar.isa import make_instruction
from snnmap.frontends.onnx import read_layer_graph

HEADINGS = ("What it checks:", "Why it matters:", "Bad:", "How to fix:")


SIDES = {"x": (8, 8), "b": (6, 6), "d": (6, 6)}


def make_float() -> Any:
    """A convolution and a ReLU of floats; an LRN, a convolution and another LRN."""
    weight = np.ones((2, 2, 3, 3), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("LRN", ["x"], ["c"], name="norm", size=3),
        helper.make_node("Conv", ["c", "w"], ["e"], name="second"),
        helper.make_node("LRN", ["e"], ["d"], name="last", size=3),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, *sides]) for name, sides in SIDES.items()]
    graph = helper.make_graph(nodes, "floats", values[:1], values[1:], initializer=[numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make_broader() -> Any:
    """The small network, its activations of 16 bits."""
    model = make_small()
    for entry in model.graph.initializer:
        if entry.name.endswith(".zero"):
            entry.CopyFrom(numpy_helper.from_array(np.asarray(numpy_helper.to_array(entry), np.int16), entry.name))
    return model


def make_wide(n_in: int = 70_000) -> Any:
    net = Quantised((n_in,))
    last = net.dense("q", 1)
    for entry in net.constants:
        if entry.name == f"{last}.w":
            entry.CopyFrom(numpy_helper.from_array(np.full((1, n_in), 127, np.int8), entry.name))
    return net.model(last)


SMALL_MEMORY = change(GRID, "memories", activation_bytes=1000)
TINY = replace(change(resize(GRID, 4, 4, 2, 2), "memories", accumulator_words=40), cores=1, noc=replace(GRID.noc, columns=1))

CASES: dict[str, tuple[Callable[[], Any], Architecture, str]] = {
    "CIM101": (make_float, GRID, "population 'norm': LRN: no core computes"),
    "CIM102": (make_float, GRID, "population 'first': Conv: the model is not quantised"),
    "CIM103": (make_small, change(GRID, "weights", bits=4, cell_bits=4), "measured -127 to 127, limit -8 to 7"),
    "CIM104": (make_broader, GRID, "measured int16, limit uint8"),
    "CIM201": (make_small, SMALL_MEMORY, "limit 1000 bytes"),
    "CIM202": (make_small, change(GRID, "memories", accumulator_words=4), "population 'conv1'"),
    "CIM203": (make_small, TINY, "wait for the next computation cycle"),
    "CIM204": (make_small, change(GRID, "memories", program_bytes=100), "block 'program of core 0': instructions need more"),
    "CIM205": (make_small, change(GRID, "memories", constant_bytes=100), "biases and factors need more"),
    "CIM206": (make_small, change(GRID, "fsm", loop_bits=4), "windows is beyond the state machine"),
    "CIM301": (make_wide, GRID, "a sum can leave the accumulator"),
    "CIM302": (make_small, change(GRID, "converters", dac_bits=6), "measured 8 bits, limit 6 bits"),
}


@pytest.mark.parametrize("rule", CASES)
def test_rule_fires(rule: str) -> None:
    make, architecture, message = CASES[rule]
    with pytest.raises(DesignRuleError) as refused:
        compile_graph(read_layer_graph(make()), architecture)
    found = [str(one) for one in refused.value.diagnostics if one.rule == rule]
    assert found
    assert any(message in text for text in found), found
    assert all("fix:" in text for text in found)


def test_all_nodes_are_told_at_once() -> None:
    with pytest.raises(DesignRuleError) as refused:
        compile_graph(read_layer_graph(make_float()), GRID)
    told = [(one.rule, one.location.population) for one in refused.value.diagnostics]
    assert told == [("CIM101", "last"), ("CIM101", "norm"), ("CIM102", "first")]


def test_a_clean_build_is_clean_and_runs_all_rules(built: Built) -> None:
    assert built.report.is_clean
    assert [one.rule for one in built.report.warnings] == ["CIM303"]
    assert set(built.report.rules_run) == set(RULES)
    wide = compile_graph(read_layer_graph(make_small()), change(GRID, "converters", adc_bits=24))
    assert wide.report.diagnostics == ()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_explained(rule: str) -> None:
    text = explain_rule(rule)
    assert all(heading in text for heading in HEADINGS)


def test_the_page_of_rules() -> None:
    require_golden(Path(__file__).parents[2] / "snnmap" / "crossbar" / "drc" / "RULES.md", format_rules("CIM"))


def edit_instruction(image: Image, name: str, **values: int) -> Image:
    """Change fields of the first instruction of this name, wherever it is."""
    programs = [list(program) for program in image.programs]
    for program in programs:
        for number, one in enumerate(program):
            if one.kind.name == name:
                program[number] = make_instruction(name, **{**one.as_dict(), **values})
                return replace(image, programs=tuple(map(tuple, programs)))
    raise AssertionError(name)


def flip_weight(image: Image) -> Image:
    return replace(image, weights=(bytes([image.weights[0][0] ^ 1]) + image.weights[0][1:], *image.weights[1:]))


HARMS: dict[str, tuple[str, Callable[[Image], Image]]] = {
    "a weight": ("CIM401", flip_weight),
    "filters left out": ("CIM404", lambda image: edit_instruction(image, "output", channel=1)),
    "an element": ("CIM402", lambda image: edit_instruction(image, "weights", row=7)),
    "a constant": ("CIM403", lambda image: replace(image, constants=bytes([image.constants[0] ^ 1]) + image.constants[1:])),
    "a stride": ("CIM404", lambda image: edit_instruction(image, "input", stride_height=2)),
    "a factor": ("CIM404", lambda image: edit_instruction(image, "mean", factor=0)),
    "a barrier": ("CIM405", lambda image: edit_instruction(image, "barrier", number=1)),
    "sums cleared": ("CIM404", lambda image: edit_instruction(image, "clear", words=1)),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_bytes_that_do_otherwise_are_found(built: Built, harm: str) -> None:
    rule, change_image = HARMS[harm]
    assert check_program(built.image, built.program).is_clean
    found = check_program(change_image(built.image), built.program).errors
    assert rule in {one.rule for one in found}


def test_transfers_are_followed() -> None:
    architecture = replace(change(resize(EXAMPLE, 8, 4, 2, 6), "memories", accumulator_words=4096), cores=3)
    built = compile_graph(read_layer_graph(make_small()), architecture)
    assert any(one.kind.name == "send" for program in built.image.programs for one in program)
    assert check_program(built.image, built.program).is_clean
    for name, values in (("send", {"core": 2}), ("receive", {"accumulator": 1}), ("send", {"windows": 1})):
        report = check_program(edit_instruction(built.image, name, **values), built.program)
        assert {one.rule for one in report.errors} & {"CIM401", "CIM405"}, name

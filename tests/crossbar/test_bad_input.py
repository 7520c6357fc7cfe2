"""Bad input ends in a located message, and nothing is half-written."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import Result, Run
from crossbar_variants import GRID, change
from onnx import TensorProto, helper, numpy_helper
from quantised_networks import make_small

from snnmap.core.errors import ChipError, FormatError, InputError
from snnmap.crossbar import Built, decode_image, load_architecture, run_image
from snnmap.crossbar.isa import make_instruction

TOML = (Path(__file__).parents[2] / "snnmap/crossbar/record/catalog/grid-128.toml").read_text()
EXAMPLES = Path(onnx.__file__).parent / "backend" / "test" / "data"


def build(run: Run, folder: Path, model: Any, *more: Any, chip: str = "grid-128") -> Result:
    """Build a model; where that fails, nothing is written."""
    path = model
    if not isinstance(model, Path):
        path = folder / "net.onnx"
        onnx.save(model, str(path))
    result = run("crossbar", "build", path, "-c", chip, "-o", folder / "out", *more)
    assert (result.code == 0) == (folder / "out").exists()
    return result


def make_model(nodes: list[Any], shape: tuple[Any, ...] = (2, 6, 6), *, opset: int = 17) -> Any:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones((2, 2, 3, 3), np.float32), "w")
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], initializer=[weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


CONV = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")


@pytest.mark.parametrize("opset", [11, 13])
def test_a_model_of_floats_says_how_to_quantise_it_and_is_quantised_if_asked(run: Run, tmp_path: Path, opset: int) -> None:
    model = make_model([CONV], opset=opset)
    refused = build(run, tmp_path, model)
    assert refused.code == 1
    assert "CIM102 [not-quantised] population 'conv'" in refused.err
    assert "--calibration" in refused.err
    np.save(tmp_path / "typical.npy", np.random.default_rng(0).normal(0, 1, (8, 2, 6, 6)))
    done = build(run, tmp_path, model, "--calibration", tmp_path / "typical.npy", "--inputs", tmp_path / "typical.npy")
    assert done.code == 0, done.err
    assert "0 values of" in done.out


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (make_model([CONV], ("h", 6, 6)), ["does not say the shape", "input 'x'", "fix:"]),
        (make_model([helper.make_node("If", ["x"], ["y"], name="if")]), ["'if' (If)", "no operation"]),
    ],
)
def test_models_that_cannot_be_read(run: Run, tmp_path: Path, model: Any, words: list[str]) -> None:
    result = build(run, tmp_path, model)
    assert result.code == 2
    assert all(word in result.err for word in words), result.err
    assert "Traceback" not in result.err


def test_branches_recurrent_layers_and_shapes_are_told_at_once(run: Run, tmp_path: Path) -> None:
    """As of silero-vad: inputs whose shapes are open, an If, an LSTM."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])], "branch", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    )
    nodes = [
        helper.make_node("If", ["c"], ["d"], name="choice", then_branch=branch, else_branch=branch),
        helper.make_node("LSTM", ["d", "w", "w"], ["e"], name="memory", hidden_size=2),
        helper.make_node("ConvInteger", ["e", "w"], ["y"], name="dynamic"),
    ]
    model = make_model(nodes, ("h", 6, 6))
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    result = build(run, tmp_path, model)
    assert result.code == 2
    lines = [line for line in result.err.splitlines() if line.startswith("  - ")]
    assert [line.split(":")[0] for line in lines] == [
        "  - 'choice' (If)", "  - 'memory' (LSTM)", "  - 'dynamic' (ConvInteger)", "  - 'x' (input)", "  - 'c' (input)"
    ]  # fmt: skip
    assert all(
        word in line
        for word, line in zip(
            ["the branch that is taken", "unroll it", "statically", "{'x': (...)}", "this number as a constant"],
            lines,
            strict=True,
        )
    )


def test_shapes_of_several_inputs(run: Run, tmp_path: Path) -> None:
    model = make_model([CONV], ("h", 6, 6))
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", "k"]))
    model.graph.node.append(helper.make_node("Relu", ["z"], ["v"]))
    told = build(run, tmp_path, model, "--shape", "x=2,6,6")
    assert (told.code, "'z' (input)" in told.err or "input 'z'" in told.err) == (2, True)
    assert "CIM102" in build(run, tmp_path, model, "--shape", "x=2,6,6;z=4").err
    assert "image=3,224,224;state=128" in build(run, tmp_path, model, "--shape", "x=a").err


def test_calibration_and_quantisation_that_are_missing(run: Run, tmp_path: Path) -> None:
    for option in ("--calibration", "--quantisation"):
        result = build(run, tmp_path, make_model([CONV]), option, tmp_path / "missing.file")
        assert result.code == 2
        assert "missing.file" in result.err
        assert "fix:" in result.err


def test_external_data_that_is_missing(run: Run, tmp_path: Path) -> None:
    onnx.save_model(
        make_model([CONV]), str(tmp_path / "net.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0
    )
    (tmp_path / "w.bin").unlink()
    result = build(run, tmp_path, tmp_path / "net.onnx")
    assert result.code == 2
    assert all(word in result.err for word in ("cannot be read", "w.bin", "fix:"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cores = 16", "cores = 0", ["cores = 0", "1 to 4096"]),
        ("vertical = 8", "vertical = 9", ["switches join more elements"]),
        ("cell_bits = 8", "cell_bits = 9", ["cell_bits = 9"]),
        ("cell_bits = 8", "cell_bits = 0", ["cell_bits = 0"]),
        ("[weights]\nbits = 8", "[weights]\nbits = 2147483647", ["weights.bits = 2147483647 is not from 2 to 8"]),
        ("horizontal = 32", "horizontal = 0", ["horizontal = 0 is not positive"]),
        ("columns_per_adc = 4", "columns_per_adc = 0", ["columns_per_adc = 0"]),
        ("cores = 16", "corse = 16", ["unknown field corse", "missing field cores"]),
        ("convert_pj = 1000.0", "convert_pj = -2.0", ["convert_pj"]),
        ("convert_pj = 1000.0\n", "", ["sources.convert_pj is the source of no price"]),
        ("convert_pj = 1000.0", "convert_pj = 'a'", ["costs.convert_pj = 'a' is not of type float"]),
        ("columns_per_adc = 4", "columns_per_adc = 3", ["columns_per_adc"]),
        ('encoding = "signed"', 'encoding = "odd"', ["signed, differential"]),
        ("rows = 16", "rows = 'a'", ["elements.rows"]),
        ("[noc]\ncolumns = 4", "[noc]\ncolumns = 40", ["noc.columns = 40"]),
        ("grid_rows = 8", "grid_rows = 300", ["255 elements"]),
        ("[costs]", "[costs", ["not TOML"]),
    ],
)
def test_a_record_with_contradictions(run: Run, tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in TOML
    path = tmp_path / "mine.toml"
    path.write_text(TOML.replace(old, new, 1))
    with pytest.raises(ChipError) as refused:
        load_architecture(str(path))
    assert all(word in str(refused.value) for word in [*words, "mine.toml"]), str(refused.value)
    assert build(run, tmp_path, make_small(), chip=str(path)).code == 2


def test_a_weight_of_more_cells_than_switches_join() -> None:
    pairs = change(GRID, "weights", encoding="differential", cell_bits=1)
    with pytest.raises(ChipError, match=r"weight's 16 cells stand beside each other, and 3 elements.*have 12 columns"):
        change(pairs, "switches", horizontal=3)
    assert change(pairs, "switches", horizontal=4).unit == (1, 4)


def test_an_unknown_name_is_told_the_near_one() -> None:
    with pytest.raises(ChipError, match="did you mean 'grid-128'"):
        load_architecture("grid-182")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(500), np.random.default_rng(0).bytes(4000)])
def test_a_foreign_file(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 12, 12)))
    for words in (
        ("inspect",),
        ("disasm", "-o", tmp_path / "b.txt"),
        ("run", "-i", tmp_path / "x.npy", "-o", tmp_path / "c.npz"),
    ):
        result = run("crossbar", words[0], tmp_path / "a.bin", *words[1:])
        assert result.code == 2
        assert "a.bin" in result.err
        assert "fix:" in result.err
    assert {path.name for path in tmp_path.iterdir()} == {"a.bin", "x.npy"}


def test_inputs_of_another_shape(built: Built) -> None:
    with pytest.raises(InputError, match=r"(?s)another shape.*432 values"):
        built.run(np.zeros((2, 3, 12, 11)))
    with pytest.raises(InputError, match="no finite"):
        built.run(np.full((1, 3, 12, 12), np.nan))


def edit(built: Built, old: str, new: str) -> Any:
    from snnmap.crossbar.container import assemble, disassemble

    text = disassemble(built.image)
    assert old in text
    return assemble(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("barrier number=0\n", "", "(?s)other barriers|wait for each other|nobody wrote"),
        ("clear accumulator=0", "clear accumulator=9", "nobody set"),
        ("weights row=0", "weights row=7", "outside of the grid|nobody wrote|stored to twice"),
        ("cycle number=0", "cycle number=1", "do not ascend"),
        ("output tensor=1", "output tensor=99", r"(?s)no such tensor.*core \d+, instruction"),
        ("input tensor=0", "input tensor=4", "nobody wrote|beyond"),
        ("\nend\n", "\n", "without 'end'"),
    ],
)
def test_instructions_that_cannot_be_carried_out(built: Built, images: Any, old: str, new: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        run_image(edit(built, old, new), images)


def test_cores_that_wait_for_each_other(built: Built, images: Any) -> None:
    receive = "receive core=1 accumulator=0 filters=1 pitch=1 windows=1\n"
    with pytest.raises(FormatError, match=r"(?s)wait for each other.*core 0, instruction.*receive core=1"):
        run_image(edit(built, "core 0\n", f"core 0\n{receive}"), images)
    assert make_instruction("end").values == ()


def test_a_cut_file_is_refused_before_anything_is_made(built: Built) -> None:
    with pytest.raises(FormatError, match=r"(?s)another size.*limit"):
        decode_image(built.data[:-1])

"""Models, shapes and options that cannot be profiled are told with what to do; what is only partly known is profiled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from command_line import make_runner
from onnx import TensorProto, helper
from quantised_networks import make_mobilenet
from rule_cases import chain
from torch import Tensor, nn

import snnmap
from snnmap.core.errors import FrontendError, InputError
from snnmap.nn import LIF
from snnmap.pipeline import compile_model
from snnmap.profile import ProfileOptions


def make_model(*nodes: Any, shape: tuple[Any, ...] = (4, 6, 6), opset: int = 17, **constants: Any) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    kept = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "model", [given], [found], initializer=kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


CONV = helper.make_node("Conv", ["x", "w"], ["c"], name="conv")
WEIGHT = np.ones((2, 4, 3, 3), np.float32)


def test_what_has_no_operation_is_counted_by_volume_and_told() -> None:
    nodes = [
        CONV,
        helper.make_node("InstanceNormalization", ["c", "s", "s"], ["i"], name="norm"),
        helper.make_node("Erf", ["i"], ["e"], name="erf"),
        helper.make_node("Resize", ["e", "", "scales"], ["y"], name="resize", mode="linear"),
    ]
    scales, ones = np.array([1, 1, 2, 2], np.float32), np.ones(2, np.float32)
    profile = snnmap.profile_model(make_model(*nodes, w=WEIGHT, s=ones, scales=scales))
    assert [(layer.name, layer.output_shape) for layer in profile.opaque] == [
        ("norm", (2, 4, 4)), ("erf", (2, 4, 4))
    ]  # fmt: skip
    assert (profile.macs, profile.n_weights, profile.n_norms) == (2 * 16 * 36, 72, 2)
    assert next(layer for layer in profile.layers if layer.name == "resize").other_ops == 2 * 64
    assert "counted by volume only, not by multiply-accumulates: 'norm' (InstanceNormalization), 'erf' (Erf)" in str(profile)


def test_weights_of_what_has_no_operation_count_once() -> None:
    weights = {"w": np.ones((1, 8, 6), np.float32), "r": np.ones((1, 8, 2), np.float32)}
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y", "h", "c"], name="lstm", hidden_size=2, layout=1)
    profile = snnmap.profile_model(make_model(lstm, shape=(5, 6), **weights))
    assert (profile.n_weights, len(profile.opaque)) == (48 + 16, 1)


def test_torch_calls_without_an_operation_are_counted_by_volume() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.act = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.GELU()
            self.other = nn.InstanceNorm2d(8)
            self.up, self.lstm = nn.Upsample(scale_factor=2, mode="bilinear"), nn.LSTM(8, 5, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            y = self.up(self.act(self.other(self.norm(self.conv(x)))))
            out, (_, _) = self.lstm(y.flatten(2).transpose(1, 2))
            return out

    module = Mixed().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    profile = snnmap.profile_model(module, (3, 6, 6))
    assert [layer.kinds for layer in profile.opaque] == [("GroupNorm",), ("InstanceNorm2d",), ("GELU",), ("Upsample",), ("LSTM",)]
    assert profile.n_parameters == sum(tensor.numel() for tensor in module.parameters())
    assert profile.macs == 16 * 8 * 27
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_parameters_of_functions_count_once() -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.scale = nn.Parameter(torch.ones(6, 6)), nn.Parameter(torch.ones(6))

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.layer_norm(nn.functional.linear(x, self.weight), (6,), self.scale)
            return torch.einsum("bi,ij->bj", nn.functional.linear(y, self.weight), self.weight)

    profile = snnmap.profile_model(Functions(), (6,))
    assert (profile.n_weights, profile.n_norms, profile.macs) == (36, 6, 72)
    assert profile.n_folded_parameters == 42
    assert [layer.shares_with for layer in profile.layers] == ["", "", "linear", "linear"]


def test_branches_within_a_model_are_refused() -> None:
    then, other = (
        helper.make_graph(
            [helper.make_node(kind, ["x"], ["z"])], kind, [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 1])]
        )
        for kind in ("Relu", "Abs")
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["b"], to=TensorProto.BOOL),
        helper.make_node("If", ["b"], ["y"], name="branch", then_branch=then, else_branch=other),
    ]
    with pytest.raises(FrontendError, match="'branch'"):
        snnmap.profile_model(make_model(*nodes, shape=(1,)))


def test_old_operator_sets_are_brought_up() -> None:
    model = make_model(CONV, helper.make_node("Relu", ["c"], ["y"]), opset=9, w=WEIGHT)
    assert snnmap.profile_model(model).macs == 2 * 16 * 36


NEURONS = LIF(4, dash_syn=1, dash_mem=2)
NARROW = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2))
BAD: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "dynamic shape": (make_model(CONV, w=WEIGHT, shape=(4, "h", "w")), (), r"(?s)'x'.*\[4, 0, 0\].*--shape"),
    "no shape of torch": (nn.Linear(3, 2), (), r"(?s)forward, input.*--input-shape"),
    "another shape": (NARROW, ((3, 9, 9),), r"(?s)'2' .Linear.*weights do not fit"),
    "too many shapes": (nn.Linear(3, 2), ((3,), (3,)), r"(?s)measured: 3, 3   limit: 3.*--input-shape"),
    "other channels": (make_model(CONV, w=WEIGHT), ((5, 6, 6),), r"(?s)'conv'.*channels"),
    "a spiking network": (chain(3, 5, 2), (), "(?s)no graph of layers.*Network"),
    "spiking layers": (nn.Sequential(nn.Linear(3, 4), NEURONS), ((3,),), "(?s)no graph of layers.*inspect"),
    "a saved network": ("net.json", (), "no graph of layers"),
    "no such file": ("none.onnx", (), "no such ONNX file"),
    "no model": (3, (), "(?s)no graph of layers.*int"),
    "batches that mix": (
        make_model(helper.make_node("Reshape", ["x", "s"], ["y"], name="mix"), s=np.array([3, -1])), (), "(?s)'mix'.*would mix"
    ),
    "shapes that nobody knows": (
        make_model(helper.make_node("Foo", ["x"], ["y"], name="foo")), (), "(?s)'foo' .Foo.*no operation"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_models_that_cannot_be_profiled_are_told(name: str) -> None:
    model, shapes, message = BAD[name]
    with pytest.raises((FrontendError, InputError), match=message):
        snnmap.profile_model(model, *shapes)


@pytest.mark.parametrize(
    "options", [{"input_bits": 0}, {"activation_bits": 65}, {"weight_bits": -1}, {"fps": 0.0}, {"fps": float("nan")}]
)
def test_options_out_of_range_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        ProfileOptions(**options)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    onnx.save(make_mobilenet(32, 4, 10), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_the_command_writes_every_form(net: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    np.save(net.parent / "frames.npy", np.ones((2, 3, 32, 32), np.float32))
    files = [net.parent / f"profile.{form}" for form in ("txt", "csv", "json", "html", "svg", "png")]
    outputs = [word for file in files for word in ("-o", file)]
    found = make_runner(capsys)("profile", net, "-i", net.parent / "frames.npy", "--fps", 60, *outputs)
    assert found.code == 0, found.err
    assert all(file.stat().st_size > 100 for file in files)
    assert max(map(len, found.out.splitlines())) <= 80
    assert "60 samples" in found.out
    assert "on 2 samples" in found.out


@pytest.mark.parametrize("form", ["csv", "json"])
def test_the_command_prints_records(form: str, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = make_runner(capsys)("profile", net, "--format", form, "--input-shape", "3,64,64", "--activation-bits", 8)
    assert found.code == 0
    assert "3x64x64" in found.out if form == "csv" else '"activation_bits": 8' in found.out


WRONG = {
    "suffix": (["-o", "bars.pdf"], r"(?s)bars.pdf.*\.svg"),
    "shape": (["--input-shape", "3x4"], "--input-shape 3,224,224"),
    "sides": (["--input-shape", "3,0,4"], "--input-shape 3,224,224"),
    "file": (["-i", "none.npy"], "(?s)cannot be read.*none.npy.*npz"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_told(name: str, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = WRONG[name]
    found = make_runner(capsys)("profile", net, *words)
    assert found.code == 2
    assert __import__("re").search(message, found.err), found.err


def test_bitstreams_are_profiled_by_population(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile_model(chain(3, 5, 4, 2), "xylo-audio-3").write(tmp_path)
    np.save(tmp_path / "counts.npy", np.ones((2, 10, 3), np.int64))
    words = ["profile", tmp_path / "chain.bin", "-i", tmp_path / "counts.npy"]
    run = make_runner(capsys)
    assert "2 samples of 12 steps on xylo-audio-3" in run(*words).out
    assert json.loads(run(*words, "--format", "json").out)["input_spikes"] == 30
    assert run(*words, "-o", tmp_path / "cost.csv").code == 0
    assert (tmp_path / "cost.csv").read_text() == run(*words, "--format", "csv").out
    assert run(*words, "--steps", tmp_path / "steps.csv").code == 0
    assert len((tmp_path / "steps.csv").read_text().splitlines()) == 13
    assert run(*words, "-o", tmp_path / "cost.html").code == 0
    assert "What a sample costs" in (tmp_path / "cost.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "-i counts.npy"), (["--fps", "3"], "--fps"), (["--input-shape", "3"], "--input-shape"), (["-o", "x.svg"], ".csv")],
)
def test_what_is_of_layers_alone_is_refused_for_bitstreams(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = make_runner(capsys)("profile", "build/net.bin", *words)
    assert found.code == 2
    assert message in found.err


def test_a_chip_has_no_use_for_layers(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--chip", "toy-4"), ("--steps", "steps.csv")):
        found = make_runner(capsys)("profile", net, *words)
        assert found.code == 2
        assert words[0] in found.err

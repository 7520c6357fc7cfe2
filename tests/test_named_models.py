"""Whatever names a model: calls with arguments, weights, modules, folders, files of other kinds, standard input, ANNs."""

import io
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run, make_runner
from rule_cases import chain, residual

import snnmap
import snnmap.convert
from snnmap.core.errors import FrontendError, InputError, NetworkError
from snnmap.frontends.named import read_call
from snnmap.loading import load, open_model
from snnmap.network import format_network, save_network
from snnmap.pipeline import check_model, compile_model

MODEL = """import torch
from snnmap.nn import LIF

def make(size=4, *, bias=False, names=()):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, size, bias=bias), LIF(size, dash_syn=1, dash_mem=2),
        torch.nn.Linear(size, 2, bias=False), LIF(2, dash_syn=1, dash_mem=2, max_count=1),
    )

def network():
    from rule_cases import chain
    return chain(3, 5, 4, 2)

def relu():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mypackage").mkdir()
    for file in ("models.py", "mypackage/__init__.py", "mypackage/deep.py"):
        (tmp_path / file).write_text(MODEL)
        monkeypatch.delitem(sys.modules, file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"), raising=False)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("models.py:make", 4), ("models.py:make()", 4), ("models.py:make(7)", 7), ("models.py:make(size=8)", 8),
        ("models.py:make(9, names=('a:b', {'c': 1}))", 9), ("models:make(7)", 7), ("mypackage:make", 4),
        ("mypackage.deep:make(3)", 3),
    ],
)  # fmt: skip
def test_a_function_takes_arguments(folder: Path, name: str, size: int) -> None:
    assert snnmap.load(name).populations[0].size == size


@pytest.mark.parametrize(
    "text", ["(x)", "(1 + y)", "(__import__('os'))", "(*[1])", "(**{'a': 1})", "(1", ")(", "(a=1, a=2)", "(f())", "(1)(2)"]
)
def test_arguments_are_literals_and_nothing_of_them_is_run(text: str) -> None:
    with pytest.raises(FrontendError, match="no literals"):
        read_call(text, where="m.py:f")


def test_arguments_that_do_not_fit_are_told(folder: Path) -> None:
    with pytest.raises(FrontendError, match="unexpected keyword argument 'sise'"):
        snnmap.load("models.py:make(sise=3)")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("models.py:mak", "did you mean 'make'"),
        ("model:make", "did you mean 'models'"),
        ("mypackage.deeper:make", "did you mean 'mypackage.deep'?"),
        ("mypackage.deep:mak", "did you mean 'make'"),
        ("nothere.at.all:make", "there is no such module"),
        ("modles.py:make", "did you mean 'models.py'?"),
        ("models.py:make(sice=3)", "limit: make(size=4, *, bias=False, names=())"),
        ("models.py", "write models.py:FUNCTION"),
        ("netwrk.json", "did you mean 'network.json'"),
    ],
)
def test_near_names_are_suggested(folder: Path, name: str, said: str) -> None:
    save_network(chain(3, 5, 4, 2), folder / "network.json")
    with pytest.raises(FrontendError) as refused:
        snnmap.load(name)
    assert said in str(refused.value)


def test_a_chip_that_is_nearly_named(run: Run, folder: Path) -> None:
    result = run("check", "models.py:make", "-c", "xylo-audio3")
    assert (result.code, "did you mean 'xylo-audio-3'?" in result.err) == (2, True)


def test_weights_beside_the_model(folder: Path, run: Run) -> None:
    torch.manual_seed(5)
    module = open_module("models.py:make(6)")
    torch.save({key: value + 1 for key, value in module.state_dict().items()}, "w.pt")
    plain, loaded = snnmap.load("models.py:make(6)"), snnmap.load("models.py:make(6)", weights="w.pt")
    first, second = (network.projections[0].weights.to_dense() for network in (plain, loaded))
    assert np.allclose(second, first + 1, atol=1e-6)
    assert run("check", "models.py:make(6)", "--weights", "w.pt", "-c", "xylo-audio-3", "-q").code in (0, 1)
    assert run("build", "models.py:make(5)", "--weights", "w.pt", "-c", "xylo-audio-3", "-o", "out").code == 2


def open_module(name: str) -> torch.nn.Module:
    namespace: dict[str, object] = {}
    exec(MODEL, namespace)
    made = eval(name.partition(":")[2], namespace)
    assert isinstance(made, torch.nn.Module)
    return made


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (Path.write_text, (Path("ran"), "code"))  # type: ignore[return-value]


@pytest.mark.parametrize("case", ["code", "pickle", "text", "shapes", "names", "list", "missing", "folder"])
def test_weights_that_are_none_are_refused_and_no_code_is_run(folder: Path, case: str) -> None:
    state = open_module("models.py:make(6)").state_dict()
    match case:
        case "code":
            torch.save({"0.weight": Evil()}, "w.pt")
        case "pickle":
            Path("w.pt").write_bytes(pickle.dumps(Evil()))
        case "text":
            Path("w.pt").write_text("weights")
        case "shapes":
            torch.save({**state, "0.weight": torch.ones(4, 3)}, "w.pt")
        case "names":
            torch.save({f"net.{key}": value for key, value in state.items()}, "w.pt")
        case "list":
            torch.save(list(state.values()), "w.pt")
        case "folder":
            Path("w.pt").mkdir()
    with pytest.raises(FrontendError) as refused:
        snnmap.load("models.py:make(6)", weights="w.pt")
    assert "w.pt" in str(refused.value)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda state: {"epoch": 3, "net": state}, "torch.load(path)['net']"),
        (lambda state: {f"module.{key}": value for key, value in state.items()}, "without 'module.'"),
        (lambda state: {f"module.{key}": value for key, value in list(state.items())[1:]}, "the weights of this module"),
    ],
)
def test_weights_within_a_checkpoint_or_a_wrapper_are_told(
    folder: Path, wrap: Callable[[dict[str, torch.Tensor]], object], said: str
) -> None:
    torch.save(wrap(open_module("models.py:make(6)").state_dict()), "w.pt")
    with pytest.raises(FrontendError, match="not the module's") as refused:
        snnmap.load("models.py:make(6)", weights="w.pt")
    assert said in refused.value.fix


def test_a_model_that_a_file_holds_is_no_function(folder: Path) -> None:
    (folder / "models.py").write_text(f"{MODEL}\nnet = relu()\n")
    with pytest.raises(FrontendError, match=r"(?s)'net' is a model and no function.*def make_net\(\): return net"):
        snnmap.load("models.py:net")


def test_weights_are_for_modules_of_functions(folder: Path) -> None:
    for model in ("models.py:network", chain(3, 5, 4, 2), open_module("models.py:make(6)")):
        with pytest.raises(InputError, match="weights are for a torch module that a function makes"):
            snnmap.load(model, weights="w.pt")


def test_a_build_is_named_by_its_folder_or_its_bitstream(folder: Path, run: Run) -> None:
    network = chain(3, 5, 4, 2)
    compile_model(network, "xylo-audio-3").write("out")
    assert snnmap.load("out") == snnmap.load("out/chain.bin") == network
    assert run("check", "out", "-c", "xylo-audio-3", "-q").code == 0
    data = Path("out/chain.bin").read_bytes()
    Path("out/chain.bin").write_bytes(data + b"\0")  # another than that of the build
    Path("alone.bin").write_bytes(data)
    for name in ("out/chain.bin", "alone.bin"):
        result = run("check", name, "-c", "xylo-audio-3")
        assert (result.code, "this is a bitstream" in result.err, "snnmap inspect" in result.err) == (2, True, True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("m.pt", b"PK\x03\x04", "give it as --weights"),
        ("m.pkl", pickle.dumps(3), "a pickle, whose code is not run"),
        ("m.npy", b"\x93NUMPY\x01\x00", "give it as --calibration"),
        ("m.txt", b"snnmap-image 1\n", "snnmap asm"),
        ("m.toml", b"name = 'x'\n", "give it as --chip"),
        ("folder/x", b"", "this is a folder"),
    ],
)
def test_a_wrong_kind_is_named(folder: Path, name: str, content: bytes, said: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(FrontendError) as refused:
        snnmap.load(path.parent if said == "this is a folder" else path)
    assert said in str(refused.value)


def test_a_network_on_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(format_network(chain(3, 5, 4, 2))))
    assert snnmap.load("-") == chain(3, 5, 4, 2)
    monkeypatch.setattr("sys.stdin", io.StringIO("{"))
    with pytest.raises(NetworkError, match="standard input"):
        snnmap.load("-")


def test_choices_of_a_frontend_on_the_command_line(folder: Path, run: Run) -> None:
    nir = pytest.importorskip("nir")
    ones = np.ones(2)
    neurons = nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    weights = nir.Linear(np.ones((2, 2)))
    nodes = {"in": nir.Input(np.array([2])), "w": weights, "n": neurons, "out": nir.Output(np.array([2]))}
    nir.write("g.nir", nir.NIRGraph(nodes, [("in", "w"), ("w", "n"), ("n", "out")]))
    choices = [part for text in ("dt_s=1e-3", "time_unit=s", "integrator=euler", "reset=subtract") for part in ("--read", text)]
    result = run("check", "g.nir", "-c", "xylo-audio-3", *choices, "--format", "json")
    assert "SNN108" in {entry["rule"] for entry in json.loads(result.out)["diagnostics"]}
    assert "dt_s" in run("check", "g.nir", "-c", "xylo-audio-3").err
    for text in ("dt_s", "=3", "d t=3"):
        assert "--read NAME=VALUE" in run("check", "g.nir", "-c", "xylo-audio-3", "--read", text).err
    assert "such option" in run("check", "models.py:make", "-c", "xylo-audio-3", "--read", "speed=3").err


def test_an_ann_is_converted_on_the_calibration_data_and_then_checked(folder: Path, run: Run) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (40, 3))
    np.save("c.npy", values)
    module = open_module("models.py:relu()")
    conversion = snnmap.convert.convert_ann(module, values)
    expected = check_model(conversion, "xylo-audio-3").report
    assert check_model("models.py:relu", "xylo-audio-3", calibration=values).report == expected
    assert check_model(module, "xylo-audio-3", calibration=values).report == expected
    opened = open_model("models.py:relu", calibration=values)
    assert opened.conversion is not None
    shown = run("check", "models.py:relu", "-c", "xylo-audio-3", "--calibration", "c.npy", "--format", "json")
    assert json.loads(shown.out)["errors"] == len(expected.errors)
    labels = np.arange(40) % 2
    built = compile_model("models.py:relu", "xylo-audio-3", calibration=values, labels=labels)
    assert built.bitstream == compile_model(conversion, "xylo-audio-3").bitstream
    with pytest.raises(FrontendError):
        check_model("models.py:relu", "xylo-audio-3")


def test_a_saved_network_is_loaded(tmp_path: Path) -> None:
    save_network(residual(), tmp_path / "model.json")
    assert load(str(tmp_path / "model.json")) == residual()


def test_a_function_s_network_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_network(residual(), tmp_path / "model.json")
    text = f"import snnmap\nmake = lambda: snnmap.load_network({str(tmp_path / 'model.json')!r})\nother = None\n"
    (tmp_path / "a:b.py").write_text(text)
    assert load(f"{tmp_path / 'a:b.py'}:make") == residual()
    monkeypatch.chdir(tmp_path)
    assert load("a:b.py:make") == residual()
    with pytest.raises(FrontendError, match="no function 'other'"):
        load("a:b.py:other")


def test_a_function_that_makes_a_torch_module(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom snnmap.nn import LIF\n\n\ndef make():\n"
        "    return torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), LIF(2, dash_syn=1, dash_mem=2))\n"
    )
    (tmp_path / "model.py").write_text(text)
    network = load(f"{tmp_path / 'model.py'}:make")
    assert [port.size for port in network.inputs] == [3]
    assert [population.size for population in network.populations] == [2]


def test_a_failure_in_the_user_s_file_keeps_its_cause(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def make():\n    return inner()\n\n\ndef inner():\n    raise LookupError('lost')\n")
    with pytest.raises(FrontendError, match="LookupError: lost") as refused:
        load(f"{tmp_path / 'model.py'}:make")
    assert refused.value.where == f"{tmp_path / 'model.py'}, line 6"
    assert isinstance(refused.value.__cause__, LookupError)


def test_a_failure_is_told_with_its_line_wherever_the_file_is_called_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").write_text("def make():\n    raise SystemExit(0)\n")
    (tmp_path / "link.py").symlink_to("model.py")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for name in ("../model.py", "../link.py"):
        with pytest.raises(FrontendError, match="SystemExit: 0") as refused:
            load(f"{name}:make")
        assert refused.value.where == f"{name}, line 2"


def test_a_model_file_may_use_its_neighbours_and_its_own_module(tmp_path: Path) -> None:
    save_network(residual(), tmp_path / "model.json")
    (tmp_path / "neighbour_of_model.py").write_text(f"PATH = {str(tmp_path / 'model.json')!r}\n")
    text = (
        "from __future__ import annotations\n"
        "from dataclasses import KW_ONLY, dataclass\nimport neighbour_of_model, snnmap\n\n\n"
        "@dataclass\nclass Options:\n    _: KW_ONLY\n    path: str = neighbour_of_model.PATH\n\n\n"
        "def make():\n    return snnmap.load_network(Options().path)\n"
    )
    before = list(sys.path)
    for name in ("my_model.py", "json.py"):
        (tmp_path / name).write_text(text)
        assert load(f"{tmp_path / name}:make") == residual()
    assert sys.path == before
    assert "my_model" not in sys.modules
    assert sys.modules["json"] is json

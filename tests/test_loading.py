"""The one door: which frontend a model goes to, and what is said where none takes it."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import random_network

import snnmap
from snnmap import frontends
from snnmap.convert import convert_ann
from snnmap.convert.ann import run_ann
from snnmap.core.errors import FrontendError, InputError, NetworkError
from snnmap.frontends.registry import list_frontends
from snnmap.graph import run_graph
from snnmap.graph.operations.gemm import Gemm
from snnmap.loading import load_layers, open_model
from snnmap.network import save_network
from snnmap.nn import LIF


def test_a_network_is_itself() -> None:
    network = random_network(0)
    assert snnmap.load(network) is network


def test_a_network_has_no_options(tmp_path: Path) -> None:
    save_network(random_network(0), tmp_path / "net.json")
    for model in (random_network(0), tmp_path / "net.json"):
        with pytest.raises(InputError, match="no options"):
            snnmap.load(model, dt_s=1)


def test_choices_reach_the_nir_frontend(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    ones = np.ones(2)
    neurons = nir.LIF(tau=0.01 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    graph = nir.NIRGraph(
        {"in": nir.Input(np.array([2])), "n": neurons, "out": nir.Output(np.array([2]))}, [("in", "n"), ("n", "out")]
    )
    network = snnmap.load(graph, dt_s=1e-3, time_unit="s", integrator="zoh", reset="zero")
    assert network.populations[0].beta[0] == pytest.approx(np.exp(-0.1))


def test_a_saved_network_is_read(tmp_path: Path) -> None:
    save_network(random_network(0), tmp_path / "net.json")
    assert snnmap.load(tmp_path / "net.json") == snnmap.load(str(tmp_path / "net.json")) == random_network(0)


def test_a_torch_module_goes_to_its_frontend_with_options() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), LIF(2))
    assert snnmap.load(module, name="mine").name == "mine"
    with pytest.raises(InputError, match="the torch frontend has no such option") as error:
        snnmap.load(module, dt=1)
    assert "input_sizes, name" in str(error.value)


def test_a_function_in_a_file_is_called(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import torch\nfrom snnmap.nn import LIF\ndef make(): return torch.nn.Sequential(LIF(2))\n")
    assert snnmap.load(f"{tmp_path}/net.py:make", name="mine").name == "mine"


def test_a_missing_file() -> None:
    with pytest.raises(NetworkError, match="cannot be read"):
        snnmap.load("nothing.json")


def test_an_onnx_graph_is_sent_to_the_conversion() -> None:
    with pytest.raises(FrontendError, match="convert_ann"):
        snnmap.load("net.onnx")


def test_what_no_frontend_reads() -> None:
    with pytest.raises(FrontendError, match="measured: dict"):
        snnmap.load({})


@pytest.mark.parametrize("package", ["norse", "sinabs", "spikingjelly"])
def test_a_framework_that_is_not_installed_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (package, f"{package}.torch", f"{package}.layers", f"{package}.activation_based.neuron"):
        monkeypatch.setitem(sys.modules, name, None)
    cell = type("Cell", (torch.nn.Module,), {"__module__": f"{package}.layers"})()
    with pytest.raises(FrontendError, match="is not installed") as error:
        snnmap.load(torch.nn.Sequential(torch.nn.Linear(2, 2), cell))
    assert package in error.value.fix


def test_a_folder_makes_a_frontend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "madeup"
    folder.mkdir()
    (folder / "frontend.toml").write_text('order = 5\nsuffixes = [".made"]\n')
    (folder / "__init__.py").write_text("def load(model, *, network): return network")
    monkeypatch.setattr(frontends, "__path__", [*frontends.__path__, str(tmp_path)])
    model = type("Model", (), {"__module__": "madeup.models"})()
    network = random_network(0)
    assert snnmap.load(model, network=network) is network
    assert snnmap.load("net.made", network=network) is network
    known = "madeup, nir, nengo_dl, nengo, rockpool, snntorch, norse, sinabs, spikingjelly, sklearn, torch"
    with pytest.raises(FrontendError, match=f"a model of {known}"):
        snnmap.load({})


MADE_UP_ANNS = """
from snnmap.core.packages import import_package
from snnmap.graph import GraphBuilder
from snnmap.graph.operations.activations import Relu
from snnmap.graph.operations.gemm import Gemm


def load(model):
    if model.weights is None:
        import_package("relus")
    builder = GraphBuilder("net", "relus")
    value = builder.add_input("x", model.weights[0].shape[:1])
    for k, weights in enumerate(model.weights):
        value = builder.add("relu", Relu(), [value]) if k else value
        value = builder.add("gemm", Gemm(), [value, builder.add_constant("w", weights)])
    return builder.build([value])
"""


@pytest.fixture
def ann(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """An ANN of a made-up framework, whose frontend gives a layer graph."""
    folder = tmp_path / "relus"
    folder.mkdir()
    (folder / "frontend.toml").write_text("order = 5\n")
    (folder / "__init__.py").write_text(MADE_UP_ANNS)
    monkeypatch.setattr(frontends, "__path__", [*frontends.__path__, str(tmp_path)])
    rng = np.random.default_rng(0)
    return type("Net", (), {"__module__": "relus.models", "weights": [rng.normal(size=(4, 6)), rng.normal(size=(6, 2))]})()


def test_a_frontend_that_gives_a_layer_graph_is_compiled_and_converted(ann: object) -> None:
    values = np.random.default_rng(1).uniform(0, 1, (60, 4))
    built = snnmap.compile_model(ann, "generic-4096", calibration=values, options=snnmap.CompileOptions(allow=("SNN6",)))
    graph = importlib.import_module("snnmap.frontends.relus").load(ann)
    conversion = convert_ann(graph, values)
    assert built.network == conversion.network == open_model(graph, calibration=values).network
    wanted = run_graph(graph, values)["gemm#2"]
    assert np.abs(run_ann(conversion.ann, values)["output"] - wanted).max() < 1e-9


def test_a_layer_graph_without_calibration_data_is_refused(ann: object) -> None:
    with pytest.raises(FrontendError, match="a layer graph is an ANN and has no spikes of its own") as error:
        snnmap.load(ann)
    assert "convert_ann(graph, calibration_data)" in error.value.fix


def test_a_layer_graph_that_was_read_wrong_is_refused(ann: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gemm, "run", lambda _, inputs: 1.01 * (inputs[0] @ inputs[1]))
    with pytest.raises(FrontendError, match="what was read is not what the model computes"):
        open_model(ann, calibration=np.random.default_rng(1).uniform(0, 1, (60, 4)))


def test_a_package_that_no_extra_installs_is_named_by_itself(ann: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(ann), "weights", None)
    with pytest.raises(FrontendError, match="relus is not installed") as error:
        snnmap.load(ann)
    assert error.value.fix == "pip install relus"


def test_frontends_are_asked_in_one_order() -> None:
    listed = list_frontends()
    assert len({frontend.order for frontend in listed}) == len(listed)
    assert listed[-1].name == "torch"


def test_listing_frontends_imports_no_framework() -> None:
    code = "import sys; from snnmap.frontends.registry import list_frontends; n = list_frontends(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", *(frontend.name for frontend in list_frontends())} & set(loaded)


CALLS = {
    "load": snnmap.load,
    "check_model": lambda model: snnmap.check_model(model, "generic-4096"),
    "convert_ann": lambda model: convert_ann(model, np.ones((4, 3))),
    "load_layers": lambda model: load_layers(model, (3,)),
}
MISTAKES = {
    "class": (torch.nn.Linear, r"(?s)a class is not a model.*make one: Linear\(\.\.\.\)"),
    "weights": (torch.nn.Linear(3, 2).state_dict(), "(?s)weights alone are no model.*load_state_dict"),
    "checkpoint": (
        {"epoch": 3, "net": torch.nn.Linear(3, 2).state_dict()},
        r"(?s)no model.*load_state_dict\(checkpoint\['net'\]\)",
    ),
    "batches": (torch.utils.data.DataLoader(torch.ones(4, 3)), r"(?s)no model.*model first.*torch\.cat\(\[batch"),
    "array": (np.ones((4, 3)), "(?s)an array is no model.*calibration="),
    "tensor": (torch.ones(4, 3), "(?s)an array is no model.*calibration="),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_no_model_is_told_what_to_give(name: str, call: str) -> None:
    model, said = MISTAKES[name]
    with pytest.raises(FrontendError, match=said):
        CALLS[call](model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_of_the_other_kind_is_told_where_it_goes() -> None:
    relu = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
    for model in (relu, torch.jit.script(relu), torch.export.export(relu.eval(), (torch.ones(2, 3),))):
        with pytest.raises(FrontendError, match=r"(?s)ANN.*calibration="):
            snnmap.load(model)
    spiking = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), LIF(2))
    with pytest.raises(FrontendError, match=r"(?s)spiking neuron.*module '1'.*compile_model\(model, chip\)"):
        convert_ann(spiking, np.ones((4, 3)))
    for converted in (conversion := convert_ann(relu, np.ones((4, 3))), conversion.network):
        with pytest.raises(FrontendError, match=r"(?s)needs no conversion.*compile_model\(model, chip\)"):
            convert_ann(converted, np.ones((4, 3)))


@pytest.mark.parametrize(
    ("kind", "export"), [("keras.src.models.sequential", r"model\.export\('"), ("tf_keras.src.engine.sequential", "from_keras")]
)
def test_models_of_keras_are_told_the_export_of_their_version(kind: str, export: str) -> None:
    model = type("Sequential", (), {"__module__": kind})()
    with pytest.raises(FrontendError, match=f"(?s)models of Keras.*{export}"):
        snnmap.load(model)

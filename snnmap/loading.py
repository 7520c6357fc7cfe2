"""The one door: whatever a model is, and wherever it lies, to a network."""

import importlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy.typing as npt

from snnmap.core.brief import brief_repr
from snnmap.core.errors import FrontendError, InputError, OptionError
from snnmap.core.fields import list_fields, put_field
from snnmap.core.mistaken import find_mistake
from snnmap.core.near import suggest
from snnmap.core.places import Places
from snnmap.frontends.factories import call_in_file, call_in_module
from snnmap.frontends.named import Call, find_network_file, read_call, read_weights
from snnmap.frontends.registry import Frontend, list_frontends
from snnmap.network import Network, load_network, parse_network

if TYPE_CHECKING:
    from snnmap.chip import Chip
    from snnmap.convert.convert import Conversion
    from snnmap.convert.options import ConvertOptions
    from snnmap.graph import LayerGraph

__all__ = ["Opened", "load", "load_layers", "make_object", "open_model"]

_NAME = re.compile(r"(?P<place>.+?):(?P<name>[A-Za-z_]\w*)(?P<call>\(.*\))?", flags=re.DOTALL)
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def load(model: object, *, weights: str | Path | None = None, **options: Any) -> Network:
    """Read a model from any of the known frameworks and files.

    ::

        snnmap.load(module)                             # torch, snnTorch, Rockpool
        snnmap.load("model.py:make")                    # a function that gives any of these
        snnmap.load("package.models:make(64, bias=False)", weights="model.pt")
        snnmap.load("graph.nir", dt_s=1e-3, integrator="euler", reset="zero")  # options are those of the frontend
        snnmap.load(nengo_network)

    Args:
        model: a :class:`Network`; a model object; ``FILE.py:FUNCTION`` or ``PACKAGE.MODULE:FUNCTION``, a function that gives
            one, with arguments where it takes some, all of them literals; the path of a ``.nir`` file or of a network written
            by ``save_network``; a folder that a build wrote, or the bitstream in it; or ``-``, a network on standard input.
            ONNX files and layer graphs are ANNs, for :func:`snnmap.convert.convert_ann`.
        weights: file of a torch module's ``state_dict``, for the module that a function gives; code in it is not run.
        **options: of the frontend's own ``load``, in :mod:`snnmap.frontends`.

    Returns:
        A network that does what the model does, spike for spike where the source is deterministic.

    Raises:
        FrontendError: no such file or function, or it fails, or its package is missing, or the model cannot be read.
        NetworkError: a saved network that cannot be read.
        InputError: an option that the frontend does not have.
    """
    return open_model(model, weights=weights, **options).network


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model that was read, which stands for it wherever a model is taken.

    Attributes:
        network: that it is.
        places: where in the user's files it and its modules are made.
        conversion: that the network is of, where the model is an ANN; it brings its calibration data.
    """

    network: Network
    places: Places
    conversion: "Conversion | None" = None

    __repr__ = brief_repr


def open_model(
    model: object,
    *,
    weights: str | Path | None = None,
    calibration: npt.ArrayLike | None = None,
    conversion: "ConvertOptions | None" = None,
    chips: "Sequence[Chip]" = (),
    **options: Any,
) -> Opened:
    """Read a model as :func:`load` does, say where in the user's files it is made, and convert an ANN.

    Args:
        model: as :func:`load` takes it; or an ANN: an ONNX file, a torch module of ReLUs, a :class:`~snnmap.graph.LayerGraph`, or
            what a frontend reads as one.
        weights: likewise.
        calibration: input values, ``(n, ...)``, on which an ANN is converted; rasters, on which a frontend measures what it was
            allowed to read otherwise.
        conversion: choices of that.
        chips: for one of which an ANN is converted, where they are known.
        **options: as :func:`load` takes them; of an ANN, choices of the conversion.

    Raises:
        FrontendError: as :func:`load`, and its other errors.
        NoRoomError: none of the chips has channels and neurons enough for an ANN.
    """
    if isinstance(model, Opened):
        _require_no_options(options)
        return model
    made, places, where = make_object(model, weights=weights)
    is_converted = calibration is not None and _is_ann(made)
    if not is_converted:
        made = _load_path(made, options) if isinstance(made, str) else _load_object(made, options, where, calibration)
    if isinstance(made, Network):
        return Opened(network=made, places=places)
    if calibration is None:
        raise _refuse_ann("a layer graph", where or type(made).__name__, "graph")
    from snnmap.convert.convert import convert_model
    from snnmap.convert.options import ConvertOptions

    converted = convert_model(made, calibration, _choose(conversion or ConvertOptions(), options if is_converted else {}), chips)
    return Opened(network=converted.network, places=places, conversion=converted)


def _choose(conversion: "ConvertOptions", choices: Mapping[str, Any]) -> "ConvertOptions":
    known = list_fields(conversion)
    for name, value in choices.items():
        if name not in known:
            raise OptionError(
                "the conversion of an ANN has no such choice",
                measured=name,
                limit=", ".join(known),
                fix=suggest(name, known, "leave it out"),
            )
        conversion = put_field(conversion, name, value)
    return conversion


def load_layers(model: object, *input_shapes: Sequence[int], weights: str | Path | None = None) -> "LayerGraph":
    """Read an ANN as a layer graph, whether all of its operations are known or not; those that are not have shapes alone.

    Args:
        model: a torch module, an ONNX file or ``onnx.ModelProto``, a function that gives any of these, named as for
            :func:`load`, or a ``LayerGraph``.
        input_shapes: of one sample of each input, without the batch; an ONNX graph that tells them needs none.
        weights: file of a torch module's ``state_dict``.

    Raises:
        FrontendError: as :func:`load`; or the model is no ANN, or does not say the shape of its input.
        InputError: a shape that the model's input cannot have.
    """
    from snnmap.graph import LayerGraph

    made, _, where = make_object(model, weights=weights)
    _refuse_mistake(made, where)
    if isinstance(made, LayerGraph):
        graph = made
    elif (isinstance(made, str) and made.lower().endswith(".onnx")) or type(made).__module__.startswith("onnx"):
        graph = importlib.import_module("snnmap.frontends.onnx").read_layer_graph(made, *input_shapes[:1], opaque=True)
    elif not isinstance(made, str) and "sklearn" in _list_packages(made):
        graph = importlib.import_module("snnmap.frontends.sklearn").load(made)
    elif not isinstance(made, str) and _is_layers(made):
        graph = importlib.import_module("snnmap.frontends.torch").read_layer_graph(made, *input_shapes, opaque=True)
    else:
        raise FrontendError(
            "the model is no graph of layers",
            where=where,
            measured="a file" if isinstance(made, str) else type(made).__name__,
            limit="a torch module without spiking neurons, an ONNX model, or an estimator of scikit-learn",
            fix="give FILE.py:FUNCTION, a torch.nn.Module or the path of a .onnx file; of a spiking network, see"
            " snnmap inspect MODEL --chip NAME",
        )
    _require_shapes(graph, input_shapes)
    return graph


def _is_layers(made: object) -> bool:
    """Say whether a model is a torch module without layers of spiking neurons."""
    frontend = _find_frontend(made)
    neurons = ("snnmap.nn.neurons.", "snnmap.nn.chip.")
    return (
        frontend is not None
        and frontend.name == "torch"
        and not any(cls.__module__.startswith(neurons) for cls in _list_classes(made))
    )


def _require_shapes(graph: "LayerGraph", input_shapes: Sequence[Sequence[int]]) -> None:
    """Refuse shapes that were given and not taken."""
    found = [kind.shape for kind in graph.inputs.values()]
    if input_shapes and list(map(tuple, input_shapes)) != found:
        raise InputError(
            "the model's inputs have other shapes than those given",
            where=", ".join(f"'{name}'" for name in graph.inputs),
            measured=", ".join("x".join(map(str, shape)) for shape in input_shapes),
            limit=", ".join("x".join(map(str, shape)) for shape in found),
            fix="give one shape for each input (--input-shape), or export a model of several inputs with other shapes",
        )


def make_object(
    model: object, arguments: Mapping[str, Any] | None = None, *, weights: str | Path | None = None
) -> tuple[object, Places, str]:
    """Return what a model's name stands for: an object, or the path of a file; where that is, and what errors call it.

    Args:
        model: as :func:`load` takes it; what is no text stands for itself.
        arguments: by name, beside those that the text has, for the function that it names.
        weights: file of a torch module's ``state_dict``, for the module that a function gives.

    Raises:
        FrontendError: no such file or function, or it fails, or it takes no such arguments; or weights of another module.
        InputError: weights for what is no torch module.
    """
    made, places, where = _make_object(model, arguments or {})
    if weights is not None:
        read_weights(made, Path(weights), where)
    return made, places, where


def _make_object(model: object, arguments: Mapping[str, Any]) -> tuple[object, Places, str]:
    if not isinstance(model, str | Path):
        return model, Places(), ""
    path = str(model)
    named = _NAME.fullmatch(path)
    if named is not None and not Path(path).exists():
        place, name, call = named["place"], named["name"], read_call(named["call"] or "()", where=path)
        call = replace(call, named={**call.named, **arguments})
        if place.endswith(".py"):
            return *call_in_file(Path(place), name, call), path
        if _MODULE.fullmatch(place):
            return *call_in_module(place, name, call), path
    file, separator, name = path.rpartition(":")
    if separator and file.endswith(".py"):
        return *call_in_file(Path(file), name, Call()), path
    return path, Places(file="" if path == "-" else path), path


def _is_ann(made: object) -> bool:
    """Say whether a model is an ONNX graph, or a torch module without a layer of spiking neurons."""
    if isinstance(made, str):
        return made.lower().endswith(".onnx")
    if type(made).__module__.startswith("onnx"):
        return True
    frontend = _find_frontend(made)
    return frontend is not None and frontend.name == "torch" and "snnmap" not in _list_packages(made)


def _load_object(model: object, options: dict[str, Any], where: str, calibration: npt.ArrayLike | None) -> "Network | LayerGraph":
    if isinstance(model, Network) or _is_layer_graph(model):
        _require_no_options(options)
        return model
    _refuse_mistake(model, where)
    frontend = _find_frontend(model)
    if type(model).__module__.startswith("onnx"):
        raise _refuse_ann("an ONNX graph", where or "ModelProto", "path")
    if type(model).__module__.startswith(("torch.export.", "torch.jit.")):
        raise _refuse_ann("an exported module", where or type(model).__name__, "module")
    if frontend is None:
        known = ", ".join(frontend.name for frontend in list_frontends())
        raise FrontendError(
            "no frontend reads such a model",
            where=where,
            measured=type(model).__name__,
            limit=f"a snnmap.Network, or a model of {known}",
            fix="give the model itself, or export it as NIR",
        )
    try:
        return _call_frontend(frontend.name, model, options, calibration)
    except FrontendError as error:
        if frontend.name != "torch" or not _is_ann(model):
            raise
        more = "an ANN is converted: give input values of typical use (calibration=, --calibration), or its conversion"
        raise error.advising(more) from error


def _refuse_mistake(model: object, where: str) -> None:
    """Refuse what is no model of any kind, and say what to give instead."""
    mistake = find_mistake(model)
    if mistake is not None:
        raise FrontendError(mistake[0], where=where, measured=type(model).__qualname__, fix=mistake[1])


def _is_layer_graph(model: object) -> "TypeGuard[LayerGraph]":
    """Say so without importing graphs, for which most models have no use."""
    return type(model).__module__ == "snnmap.graph.graph"


def _load_path(path: str, options: dict[str, Any]) -> "Network | LayerGraph":
    if path.endswith(".py"):
        raise FrontendError("a Python model needs the name of a function", where=path, fix=f"write {path}:FUNCTION")
    if path.lower().endswith(".onnx"):
        raise _refuse_ann("an ONNX graph", path, "path")
    suffix = Path(path).suffix.lower()
    frontend = next((frontend for frontend in list_frontends() if suffix in frontend.suffixes), None)
    if frontend is not None:
        return _call_frontend(frontend.name, Path(path), options)
    _require_no_options(options)
    if path == "-":
        return parse_network(sys.stdin.read(), where="standard input")
    return load_network(find_network_file(Path(path)))


def _require_no_options(options: dict[str, Any]) -> None:
    if options:
        raise OptionError(
            "a network is read as it is and has no options", measured=", ".join(sorted(options)), fix="leave them out"
        )


def _refuse_ann(what: str, where: str, argument: str) -> FrontendError:
    return FrontendError(
        f"{what} is an ANN and has no spikes of its own",
        where=where,
        fix="give input values of typical use (calibration=, --calibration), on which it is converted, as"
        f" snnmap.convert.convert_ann({argument}, calibration_data) does",
    )


def _find_frontend(model: object) -> Frontend | None:
    """Return the first frontend that knows a model's class or, within a torch module, the classes of its modules."""
    packages = _list_packages(model)
    return next((frontend for frontend in list_frontends() if frontend.name in packages), None)


def _list_packages(model: object) -> set[str]:
    """Return the packages that a model's class, and the classes of a torch module's modules, are from."""
    return {cls.__module__.partition(".")[0] for cls in _list_classes(model)}


def _list_classes(model: object) -> set[type]:
    """Return a model's class and, of a torch module, the classes of its modules, with all that these derive from."""
    parts = [model]
    for cls in type(model).__mro__:
        if cls.__module__ == "torch.nn.modules.module":  # Rockpool's modules have another modules()
            parts += cast(Any, cls).modules(model)
    return {cls for part in parts for cls in type(part).__mro__}


def _call_frontend(
    frontend: str, model: object, options: dict[str, Any], calibration: npt.ArrayLike | None = None
) -> "Network | LayerGraph":
    reader = importlib.import_module(f"snnmap.frontends.{frontend}").load
    parameters = inspect.signature(reader).parameters
    known = list(parameters)[1:]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())  # and judges them itself
    unknown = [] if takes_any else sorted(options.keys() - set(known))
    if unknown:
        raise OptionError(
            f"the {frontend} frontend has no such option",
            measured=", ".join(unknown),
            limit=", ".join(known) or "no options",
            fix=f"see snnmap.frontends.{frontend}.load",
        )
    measured_on = {"calibration": calibration} if "calibration" in known else {}
    return cast("Network | LayerGraph", reader(model, **(measured_on | options)))

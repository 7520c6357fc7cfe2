"""The one door: whatever a model is, and wherever it lies, to a network."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy.typing as npt

from snnmap.core.errors import FrontendError, InputError, SnnmapError
from snnmap.core.near import suggest
from snnmap.core.places import Places
from snnmap.frontends.named import Call, find_network_file, read_call, read_weights
from snnmap.frontends.registry import Frontend, list_frontends
from snnmap.network import Network, load_network, parse_network

if TYPE_CHECKING:
    from snnmap.convert.convert import Conversion

__all__ = ["Opened", "load", "open_model"]

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
            An ONNX graph is an ANN, for :func:`snnmap.convert.convert_ann`.
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


def open_model(
    model: object, *, weights: str | Path | None = None, calibration: npt.ArrayLike | None = None, **options: Any
) -> Opened:
    """Read a model as :func:`load` does, say where in the user's files it is made, and convert an ANN.

    Args:
        model: as :func:`load` takes it; or an ONNX file, or a torch module of ReLUs.
        weights: likewise.
        calibration: input values, ``(n, ...)``, on which an ANN is converted; other models have no use for it.
        **options: as :func:`load` takes them.

    Raises:
        FrontendError: as :func:`load`, and its other errors.
    """
    if isinstance(model, Opened):
        _require_no_options(options)
        return model
    made, places, where = _make_object(model)
    if weights is not None:
        read_weights(made, Path(weights), where)
    if calibration is not None and _is_ann(made):
        from snnmap.convert.convert import convert_model
        from snnmap.convert.options import ConvertOptions

        conversion = convert_model(made, calibration, ConvertOptions())
        return Opened(network=conversion.network, places=places, conversion=conversion)
    network = _load_path(made, options) if isinstance(made, str) else _load_object(made, options, where)
    return Opened(network=network, places=places)


def _make_object(model: object) -> tuple[object, Places, str]:
    """Return what a model's name stands for: an object, or the path of a file; where that is, and what errors call it."""
    if not isinstance(model, str | Path):
        return model, Places(), ""
    path = str(model)
    named = _NAME.fullmatch(path)
    if named is not None and not Path(path).exists():
        place, name, call = named["place"], named["name"], named["call"] or "()"
        if place.endswith(".py"):
            return *_call_factory(Path(place), name, read_call(call, where=path)), path
        if _MODULE.fullmatch(place):
            return *_call_importable(place, name, read_call(call, where=path)), path
    file, separator, name = path.rpartition(":")
    if separator and file.endswith(".py"):
        return *_call_factory(Path(file), name, Call()), path
    return path, Places(file="" if path == "-" else path), path


def _is_ann(made: object) -> bool:
    """Say whether a model is an ONNX graph, or a torch module without a layer of spiking neurons."""
    if isinstance(made, str):
        return made.lower().endswith(".onnx")
    if type(made).__module__.startswith("onnx"):
        return True
    frontend = _find_frontend(made)
    return frontend is not None and frontend.name == "torch" and "snnmap" not in _list_packages(made)


def _load_object(model: object, options: dict[str, Any], where: str = "") -> Network:
    if isinstance(model, Network):
        _require_no_options(options)
        return model
    frontend = _find_frontend(model)
    if type(model).__module__.startswith("onnx"):
        raise _refuse_onnx(where or "ModelProto")
    if frontend is None:
        known = ", ".join(frontend.name for frontend in list_frontends() if not frontend.through_nir)
        raise FrontendError(
            "no frontend reads such a model",
            where=where,
            measured=type(model).__name__,
            limit=f"a snnmap.Network, or a model of {known}",
            fix="give the model itself, or export it as NIR",
        )
    if frontend.through_nir:
        raise FrontendError(
            f"models of {frontend.name} are read through NIR",
            where=where,
            measured=type(model).__name__,
            fix=f"give {frontend.through_nir}",
        )
    return _call_frontend(frontend.name, model, options)


def _load_path(path: str, options: dict[str, Any]) -> Network:
    if path.endswith(".py"):
        raise FrontendError("a Python model needs the name of a function", where=path, fix=f"write {path}:FUNCTION")
    if path.lower().endswith(".onnx"):
        raise _refuse_onnx(path)
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
        raise InputError(
            "a network is read as it is and has no options", measured=", ".join(sorted(options)), fix="leave them out"
        )


def _refuse_onnx(where: str) -> FrontendError:
    return FrontendError(
        "an ONNX graph is an ANN and has no spikes of its own",
        where=where,
        fix="give input values of typical use (calibration=, --calibration), on which it is converted, as"
        " snnmap.convert.convert_ann(path, calibration_data) does",
    )


def _find_frontend(model: object) -> Frontend | None:
    """Return the first frontend that knows a model's class or, within a torch module, the classes of its modules."""
    packages = _list_packages(model)
    return next((frontend for frontend in list_frontends() if frontend.name in packages), None)


def _list_packages(model: object) -> set[str]:
    """Return the packages that a model's class, and the classes of a torch module's modules, are from."""
    parts = [model]
    for cls in type(model).__mro__:
        if cls.__module__ == "torch.nn.modules.module":  # Rockpool's modules have another modules()
            parts += cast(Any, cls).modules(model)
    return {cls.__module__.partition(".")[0] for part in parts for cls in type(part).__mro__}


def _call_frontend(frontend: str, model: object, options: dict[str, Any]) -> Network:
    reader = importlib.import_module(f"snnmap.frontends.{frontend}").load
    parameters = inspect.signature(reader).parameters
    known = list(parameters)[1:]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())  # and judges them itself
    unknown = [] if takes_any else sorted(options.keys() - set(known))
    if unknown:
        raise InputError(
            f"the {frontend} frontend has no such option",
            measured=", ".join(unknown),
            limit=", ".join(known) or "no options",
            fix=f"see snnmap.frontends.{frontend}.load",
        )
    return cast(Network, reader(model, **options))


def _call_factory(path: Path, name: str, call: Call) -> tuple[object, Places]:
    """Import a user's file under its own name and call the function; say what it gives, and where that is made."""
    if not path.is_file():
        raise FrontendError("the model file does not exist", where=str(path), fix="give the path of a Python file")
    file = path.resolve()
    known = file.stem in sys.modules
    spec = importlib.util.spec_from_file_location(f"{file.stem}__model" if known else file.stem, file)
    if spec is None or spec.loader is None:
        raise FrontendError("the model file cannot be imported", where=str(path), fix="give a Python file")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    lines = importlib.import_module("snnmap.frontends.torch.lines").ConstructorLines(file.parent)
    with _importable(module, file.parent):
        with lines.noting():
            _run_user_code(path, lambda: loader.exec_module(module))
        factory = _find_function(module, name, path)
        with lines.noting():
            made = _run_user_code(path, lambda: factory(*call.arguments, **call.named))
    return made, Places(file=str(path), line=_find_line(factory), modules=lines.locate(made))


def _call_importable(module: str, name: str, call: Call) -> tuple[object, Places]:
    """Import a module as Python does in the working directory, and call its function."""
    here = Path.cwd()
    sys.path.insert(0, str(here))
    try:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            known = [entry.name for entry in pkgutil.iter_modules([str(here)])]
            fix = suggest(module.partition(".")[0], known, "give PACKAGE.MODULE:FUNCTION, or FILE.py:FUNCTION")
            raise FrontendError("there is no such module", where=module, fix=fix)
        lines = importlib.import_module("snnmap.frontends.torch.lines").ConstructorLines(here)
        with lines.noting():
            imported = cast(ModuleType, _run_user_code(Path(module), lambda: importlib.import_module(module)))
        file = Path(imported.__file__ or module)
        factory = _find_function(imported, name, file)
        with lines.noting():
            made = _run_user_code(file, lambda: factory(*call.arguments, **call.named))
        return made, Places(file=str(file), line=_find_line(factory), modules=lines.locate(made))
    finally:
        with suppress(ValueError):
            sys.path.remove(str(here))


def _find_line(factory: object) -> int:
    return int(getattr(getattr(factory, "__code__", None), "co_firstlineno", 1))


def _find_function(module: ModuleType, name: str, path: Path) -> Callable[..., object]:
    factory = getattr(module, name, None)
    if callable(factory):
        return cast("Callable[..., object]", factory)
    functions = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
    raise FrontendError(
        f"the model file has no function '{name}'",
        where=str(path),
        limit=", ".join(functions),
        fix=suggest(name, functions, "name a function of the file"),
    )


@contextmanager
def _importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """Let a user's module find itself among the modules and its neighbours on the path, as it does in Python alone."""
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.modules.pop(module.__name__, None)
        with suppress(ValueError):
            sys.path.remove(str(folder))


def _run_user_code(path: Path, call: Callable[[], object]) -> object:
    """Call into the user's file; what goes wrong there is the user's to correct, and is told with file and line."""
    try:
        return call()
    except SnnmapError as error:
        raise error.within(str(path)) from error
    except (Exception, SystemExit) as error:
        file = str(path.resolve())
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines.append(error.lineno)
        where = f"{path}, line {lines[-1]}" if lines else str(path)
        raise FrontendError.from_failure(
            "the model file failed", error, where=where, fix="correct the file; run it in Python alone"
        ) from error

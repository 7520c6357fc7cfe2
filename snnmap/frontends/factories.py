"""Functions of the user's, such as those that make models: in a file, or in a module that Python finds."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import cast

from snnmap.core.errors import FrontendError, SnnmapError
from snnmap.core.near import suggest
from snnmap.core.places import Places
from snnmap.frontends.constructor_lines import ConstructorLines
from snnmap.frontends.named import Call

__all__ = ["call_in_file", "call_in_module", "open_function"]


def call_in_file(path: Path, name: str, call: Call) -> tuple[object, Places]:
    """Import a user's file under its own name and call the function; say what it gives, and where that is made."""
    lines = ConstructorLines(path.resolve().parent)
    with _open_module(path, lines.noting()) as module:
        factory = _find_function(module, name, path)
        _require_arguments(factory, name, call, path)
        with lines.noting():
            made = _run_user_code(path, lambda: factory(*call.arguments, **call.named))
    return made, Places(file=str(path), line=_find_line(factory), modules=lines.locate(made))


@contextmanager
def open_function(path: Path, name: str) -> Iterator[Callable[..., object]]:
    """Import a user's file once, and give a function of it, to be called more than once.

    Raises:
        FrontendError: there is no such file or function, or it fails, of which file and line are told.
    """
    with _open_module(path, nullcontext()) as module:
        function = _find_function(module, name, path)
        yield lambda *arguments: _run_user_code(path, lambda: function(*arguments))


def call_in_module(module: str, name: str, call: Call) -> tuple[object, Places]:
    """Import a module as Python does in the working directory, and call its function."""
    here = Path.cwd()
    sys.path.insert(0, str(here))
    try:
        _require_module(module, here)
        lines = ConstructorLines(here)
        with lines.noting():
            imported = cast(ModuleType, _run_user_code(Path(module), lambda: importlib.import_module(module)))
        file = Path(imported.__file__ or module)
        factory = _find_function(imported, name, file)
        _require_arguments(factory, name, call, file)
        with lines.noting():
            made = _run_user_code(file, lambda: factory(*call.arguments, **call.named))
        return made, Places(file=str(file), line=_find_line(factory), modules=lines.locate(made))
    finally:
        with suppress(ValueError):
            sys.path.remove(str(here))


def _require_module(module: str, here: Path) -> None:
    """Refuse a name that no module has; the packages that it is in are imported."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        if _run_user_code(Path(name), lambda name=name: importlib.util.find_spec(name)) is None:  # type: ignore[misc]
            folder = here.joinpath(*parts[: end - 1])
            known = [".".join([*parts[: end - 1], entry.name]) for entry in pkgutil.iter_modules([str(folder)])]
            fix = suggest(name, known, "give PACKAGE.MODULE:FUNCTION, or FILE.py:FUNCTION")
            raise FrontendError("there is no such module", where=name, fix=fix)


def _require_arguments(factory: Callable[..., object], name: str, call: Call, path: Path) -> None:
    """Refuse arguments that the function does not take."""
    try:
        signature = inspect.signature(factory)
        signature.bind(*call.arguments, **call.named)
    except TypeError as error:
        known = list(signature.parameters)
        wrong = next((given for given in call.named if given not in known), "")
        raise FrontendError(
            f"these are no arguments of '{name}'",
            where=str(path),
            measured=str(error),
            limit=f"{name}{signature}",
            fix=suggest(wrong, known, f"write {path.name}:{name}(...), with values for what it needs"),
        ) from error
    except ValueError:  # it is not written in Python, and judges them itself
        return


def _find_line(factory: object) -> int:
    return int(getattr(getattr(factory, "__code__", None), "co_firstlineno", 1))


def _find_function(module: ModuleType, name: str, path: Path) -> Callable[..., object]:
    factory = getattr(module, name, None)
    if hasattr(factory, "state_dict") and not isinstance(factory, type):
        fix = f"write a function that returns it, such as def make_{name}(): return {name}, and name that"
        raise FrontendError(f"'{name}' is a model and no function that makes one", where=str(path), fix=fix)
    if callable(factory):
        return cast("Callable[..., object]", factory)
    functions = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
    raise FrontendError(
        f"the Python file has no function '{name}'",
        where=str(path),
        limit=", ".join(functions),
        fix=suggest(name, functions, "name a function of the file"),
    )


@contextmanager
def _open_module(path: Path, noting: AbstractContextManager[object]) -> Iterator[ModuleType]:
    """Import a user's file under its own name; a context is entered while its own lines run."""
    if not path.is_file():
        beside = [str(each) for each in path.parent.glob("*.py")]
        fix = suggest(str(path), beside, "give the path of a Python file")
        raise FrontendError("the Python file does not exist", where=str(path), fix=fix)
    file = path.resolve()
    known = file.stem in sys.modules
    spec = importlib.util.spec_from_file_location(f"{file.stem}__model" if known else file.stem, file)
    if spec is None or spec.loader is None:
        raise FrontendError("the Python file cannot be imported", where=str(path), fix="give a file whose name ends in .py")
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    with _importable(module, file.parent):
        with noting:
            _run_user_code(path, lambda: loader.exec_module(module))
        yield module


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
            "the Python file failed",
            error,
            where=where,
            fix="correct the file at that line, or call the function in Python alone",
        ) from error

"""What the name of a model says: the arguments of a call, weights beside it, and what a file is that is no network."""

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from snnmap.core.errors import FrontendError, InputError
from snnmap.core.near import suggest
from snnmap.core.packages import import_package

__all__ = ["Call", "find_network_file", "read_call", "read_weights"]

_MOST_NAMED = 3
_KINDS = (
    (b"\x89HDF", "an HDF5 file, as NIR graphs are", "give it the suffix .nir, if it is one"),
    (
        b"PK\x03\x04",
        "an archive, as torch's weights are",
        "give it as --weights (weights= in Python), beside the function that makes the module",
    ),
    (
        b"\x80",
        "a pickle, whose code is not run",
        "save the module's state_dict by torch.save, and give it as --weights (weights= in Python)",
    ),
    (b"\x93NUMPY", "an array", "give it as --calibration, beside the model"),
    (b"snnmap-image", "a bitstream as text", "make its bytes by `snnmap asm`; `snnmap inspect` shows what is in it"),
)
"""First bytes, what such a file is, and what to do with it."""
_BITSTREAM = b"\x89SNM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Arguments of a function."""

    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


def read_call(text: str, *, where: str) -> Call:
    """Read arguments in parentheses; they are literals, and nothing of them is run.

    Raises:
        FrontendError: they are none.

    Example:
        >>> read_call("(64, bias=False)", where="model.py:make(64, bias=False)")
        Call(arguments=(64,), named={'bias': False})
    """
    try:
        call = cast(ast.Call, ast.parse(f"f{text}", mode="eval").body)
        named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
        arguments = tuple(map(ast.literal_eval, call.args))
        is_plain = isinstance(call.func, ast.Name) and "" not in named and len(named) == len(call.keywords)
    except (ValueError, TypeError, SyntaxError, AttributeError, MemoryError, RecursionError) as error:
        raise _refuse_call(text, where) from error
    if not is_plain:
        raise _refuse_call(text, where)
    return Call(arguments=arguments, named=named)


def _refuse_call(text: str, where: str) -> FrontendError:
    return FrontendError(
        "the arguments of the function are no literals",
        where=where,
        measured=text,
        fix="write numbers, texts, True, None, and lists, tuples or dicts of these; all else belongs in the function",
    )


def read_weights(made: object, path: Path, where: str) -> None:
    """Load the weights of a file into a torch module that a function has just made.

    Raises:
        FrontendError: no file of weights, or one of another module; the module is then as it was.
        InputError: the model is no torch module, or was not made by a function of a file.
    """
    if not where or not hasattr(made, "load_state_dict"):
        kind = type(made).__name__
        raise InputError(
            "weights are for a torch module that a function makes", where=str(path), measured=kind, fix="leave it out"
        )
    torch = import_package("torch")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise FrontendError(f"the weights cannot be read: {error.strerror}", where=str(path), fix="give a file") from error
    except Exception as error:  # of whatever the bytes lead torch to
        raise FrontendError(
            "the file holds no weights, or code, which is not run",
            where=str(path),
            measured=f"{type(error).__name__}",
            fix="save them by torch.save(module.state_dict(), path)",
        ) from error
    _require_same(cast(Any, made).state_dict(), found, path)
    cast(Any, made).load_state_dict(found)


def _require_same(wanted: Mapping[str, Any], found: object, path: Path) -> None:
    """Refuse weights of other names or shapes than the module's."""
    given = found if isinstance(found, Mapping) else {}
    shapes = {key: tuple(getattr(value, "shape", ())) for key, value in given.items()}
    missing = [key for key in wanted if key not in shapes]
    more = [str(key) for key in shapes if key not in wanted]
    other = [key for key in wanted if key in shapes and shapes[key] != tuple(wanted[key].shape)]
    told = [
        f"{len(names)} {what}: {', '.join(names[:_MOST_NAMED])}"
        for names, what in ((missing, "missing"), (more, "too many"), (other, "of another shape"))
        if names
    ]
    if told or not isinstance(found, Mapping):
        fix = _find_weights(wanted, given) or "give the weights of this module, and the arguments that it was made with"
        raise FrontendError("the weights are not the module's", where=str(path), measured="; ".join(told) or "no table", fix=fix)


def _find_weights(wanted: Mapping[str, Any], given: Mapping[Any, Any]) -> str:
    """Say how to get a module's weights out of a checkpoint that holds them among others, or under longer names."""
    for key, value in given.items():
        if isinstance(value, Mapping) and wanted.keys() <= value.keys():
            return f"save that part alone: torch.save(torch.load(path)[{key!r}], new_path)"
    for key in given:
        prefix = str(key).removesuffix(next(iter(wanted), ""))
        if prefix != key and {f"{prefix}{name}" for name in wanted} == given.keys():
            return f"save them without '{prefix}', which a wrapper has put before their names: those of the module within it"
    return ""


def find_network_file(path: Path) -> Path:
    """Return the file of the network that a path names: itself, or the one that a build wrote beside its bitstream.

    Raises:
        FrontendError: the path is of something else; it says of what.
    """
    if path.is_dir():
        if (path / "network.json").is_file():
            return path / "network.json"
        raise FrontendError("this is a folder, and none that a build wrote", where=str(path), fix="give a model")
    if not path.exists():
        fix = suggest(path.name, [entry.name for entry in path.parent.glob("*")], "")
        if fix:
            raise FrontendError("there is no such file (No such file or directory)", where=str(path), fix=fix)
        return path
    if path.suffix.lower() == ".toml":
        raise FrontendError("this is a TOML file, as chips are", where=str(path), fix="give it as --chip, beside the model")
    start = _read_start(path)
    if start.startswith(_BITSTREAM):
        return _find_source(path)
    for magic, kind, fix in _KINDS:
        if start.startswith(magic):
            raise FrontendError(f"this is {kind}", where=str(path), fix=fix)
    return path


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(16)
    except OSError:
        return b""  # of which the reader of networks tells


def _find_source(bitstream: Path) -> Path:
    """Return the network file of the build that a bitstream is of."""
    with_digest = bitstream.with_name("build.json")
    try:
        known = json.loads(with_digest.read_bytes())["sha256"] == hashlib.sha256(bitstream.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if known and bitstream.with_name("network.json").is_file():
        return bitstream.with_name("network.json")
    raise FrontendError(
        "this is a bitstream, and the files of its build are not beside it",
        where=str(bitstream),
        fix="`snnmap inspect` shows what is in it; keep the files of `snnmap build` together",
    )

"""What ``snnmap check --fix`` and ``--diff`` take, tell and write."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from snnmap.cli.records import read_record, record_options
from snnmap.core.errors import InputError, NetworkError
from snnmap.lif.fixes import FIXES, FixOptions
from snnmap.network import format_network, load_network
from snnmap.pipeline import FixResult, is_fixed

__all__ = ["diff_networks", "find_fixed_path", "fix_options", "read_fix_options", "tell_fixes"]

_FUNCTION = re.compile(r"(?P<place>.+?):(?P<name>\w+)(\(.*\))?", flags=re.DOTALL)
_SUFFIX = ".fixed.json"
_WIDEST = 120
"""Letters of a line of a difference that are printed."""


def fix_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of fixing."""
    command = record_options(FixOptions, without=("strict",), complete={"fix_only": _complete_fixes})(command)
    for option in (
        click.option(
            "--fixed", type=click.Path(dir_okay=False), help=f"File for the fixed network; MODEL{_SUFFIX} where left out."
        ),
        click.option("--diff", is_flag=True, help="Print what --fix would change, and write nothing."),
        click.option(
            "--fix",
            is_flag=True,
            help="Change the network until the chip takes it, by what mends errors (with --strict warnings too), and by what "
            "changes no spike; write it beside MODEL, and tell what was changed and what that costs.",
        ),
    ):
        command = option(command)
    return command


def read_fix_options(choices: dict[str, Any], *, strict: bool) -> FixOptions:
    """Take the choices of fixing from the values of a command's options."""
    return read_record(FixOptions, {**choices, "strict": strict})


def tell_fixes(made: FixResult) -> None:
    """Print what was done, and what was tried and taken back, to stderr."""
    for fix in (*made.applied, *made.refused):
        click.echo(f"{'not fixed' if fix.refused else 'fixed'}: {fix}", err=True)
    if not made.applied:
        click.echo("nothing was fixed", err=True)


def diff_networks(made: FixResult, model: str) -> str:
    """Return the difference of the text forms of model and fixed network, as a unified diff; empty where nothing was fixed.

    Lines of many numbers are told by how they begin.
    """
    before, after = (format_network(network).splitlines() for network in (made.source, made.network))
    lines = difflib.unified_diff(before, after, model, f"{model}, fixed", lineterm="")
    return "".join(f"{_shorten(line)}\n" for line in lines)


def _shorten(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}... ({len(line)} characters)"


def find_fixed_path(model: str, given: str | None) -> Path:
    """Return the file for a fixed network: the given one, or one beside the model.

    Raises:
        InputError: there is none to choose, or it is there and was not written by ``--fix``.
    """
    path = Path(given) if given is not None else _name_beside(model)
    if path.resolve() == Path(model).resolve() or (path.exists() and not _was_written(path)):
        raise InputError(
            "the file is there and is not one that --fix wrote", where=str(path), fix="give another file: --fixed FILE"
        )
    return path


def _name_beside(model: str) -> Path:
    if model == "-":
        raise InputError("a network on standard input lies nowhere", where="--fix", fix="name the file to write: --fixed FILE")
    path, named = Path(model), _FUNCTION.fullmatch(model)
    if path.exists() or named is None:
        return path.with_name(path.stem + _SUFFIX)
    name = named["name"] + _SUFFIX
    return Path(named["place"]).with_suffix(f".{name}") if named["place"].endswith(".py") else Path(name)


def _was_written(path: Path) -> bool:
    try:
        return is_fixed(load_network(path))
    except NetworkError:
        return False


def _complete_fixes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in FIXES if name.startswith(incomplete)]

"""Every fix that a finding names is there: a command with its options, or a call with its arguments."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import click
import pytest

from snnmap.cli.main import program

MESSAGES = Path(__file__).parent / "messages"


def list_fixes(rule: str) -> list[str]:
    """Return what a rule's findings say that is to be done, of all cases that break it: those of its golden file."""
    lines = (MESSAGES / f"{rule}.txt").read_text().splitlines()
    return [line.removeprefix("    fix: ") for line in lines if line.startswith("    fix: ")]


def list_code(fix: str) -> list[str]:
    return re.findall(r"`(.*?)`", fix)


def require_command(words: list[str]) -> None:
    """Check that a verb of snnmap has the options that are named."""
    verbs = [word for word in words if not word.startswith("-")]
    command: Any = program
    if verbs:
        command = program.get_command(click.Context(program), verbs[0])
    assert command is not None, words
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known, words


def find_object(name: str) -> Any:
    """Return what a dotted name stands for."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"nothing is called {name}")


def require_call(code: str) -> None:
    """Check that functions and classes are there and take the arguments that are named."""
    for node in ast.walk(ast.parse(code, mode="eval")):
        if isinstance(node, ast.Call):
            parameters = inspect.signature(find_object(ast.unparse(node.func))).parameters
            assert {keyword.arg for keyword in node.keywords} <= parameters.keys(), code
        elif isinstance(node, ast.Attribute) and not isinstance(node.value, ast.Attribute):
            find_object(ast.unparse(node))


def require_code(code: str) -> None:
    if code.startswith("snnmap "):
        require_command(code.split()[1:])
    elif code.startswith("-"):
        require_command(["check", code.split()[0]])
    else:
        tree = ast.parse(code, mode="eval").body
        find_object(ast.unparse(tree.func if isinstance(tree, ast.Call) else tree))
        require_call(code)


@pytest.mark.parametrize("rule", sorted(path.stem for path in MESSAGES.glob("*.txt")))
def test_every_fix_names_what_is_there(rule: str) -> None:
    fixes = list_fixes(rule)
    assert fixes
    for fix in fixes:
        assert list_code(fix), fix
        for code in list_code(fix):
            require_code(code)


@pytest.mark.parametrize(
    "code",
    [
        "snnmap chek --fix",
        "snnmap check --fixx",
        "--stretch",
        "snnmap.Populatio",
        "snnmap.Projection(weight=...)",
        "snnmap.nn.LIV(size=1)",
    ],
)
def test_what_is_not_there_is_found(code: str) -> None:
    with pytest.raises((AssertionError, AttributeError)):
        require_code(code)

"""The examples in docstrings give what they show."""

import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest

import snnmap
from snnmap.network import network as network_module

ROOT = Path(snnmap.__file__).parent
FILES = [path.relative_to(ROOT.parent).with_suffix("") for path in sorted(ROOT.rglob("*.py")) if ">>> " in path.read_text()]
MODULES = [".".join(path.parts) for path in FILES]
"""Found by their text, so that what has no example is not imported."""
AT_LEAST = 24
"""Names with an example."""


def find_examples(module: str, **names: Any) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module), extraglobs=names)
    return [example for example in found if example.examples]


def run(example: doctest.DocTest) -> tuple[int, str]:
    """Give how many lines differ, and what is said of them."""
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(example, out=said.append, clear_globs=False)
    return failed, "".join(said)


@pytest.fixture(scope="module")
def network() -> snnmap.Network:
    """The network of the example of ``snnmap.Network``, which others start from."""
    (example,) = [found for found in find_examples(network_module.__name__) if found.name.endswith(".Network")]
    assert run(example) == (0, "")
    made = example.globs["network"]
    assert isinstance(made, snnmap.Network)
    return made


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_show(module: str, network: snnmap.Network) -> None:
    examples = find_examples(module, network=network)
    assert examples
    for example in examples:
        failed, said = run(example)
        assert not failed, said


def test_the_names_that_one_meets_first_have_examples() -> None:
    named = {example.name for module in MODULES for example in find_examples(module)}
    assert len(named) >= AT_LEAST


def test_an_example_that_shows_something_else_is_found() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert run(wrong)[0] == 1

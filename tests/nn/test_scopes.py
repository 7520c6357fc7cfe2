"""Where the functions that a module's forward names look up torch's."""

import functools
from types import ModuleType
from typing import Any

from torch import nn

from snnmap.nn.scopes import find_scopes

SOURCE = """
import functools
import torch
def plain(x): return torch.relu(x)
def inner(x): return plain(x)
part = functools.partial(plain)
table = {"plain": plain}
class Tool:
    def __call__(self, x): return plain(x)
    @staticmethod
    def still(x): return plain(x)
    @property
    def half(self): return plain(0)
tool = Tool()
def enclose(function):
    def call(x): return function(x)
    return call
unnamed = torch.zeros
"""


def make_module(name: str) -> ModuleType:
    found = ModuleType(name)
    exec(SOURCE, vars(found))  # as a file of the user's
    return found


HELPERS = make_module("helpers")
CALLS: dict[str, Any] = {
    "a function of another file": HELPERS.inner,
    "of a module": lambda x: HELPERS.inner(x),
    "partial": HELPERS.part,
    "of a dict": (lambda x, table=HELPERS.table: table["plain"](x)),
    "an object that is called": HELPERS.tool,
    "a method": HELPERS.Tool.still,
    "enclosed": functools.wraps(HELPERS.inner)(lambda x, of=HELPERS.inner: of(x)),
}


def test_the_files_of_all_functions_that_forward_names_are_found() -> None:
    for name, call in CALLS.items():

        class Net(nn.Module):
            def forward(self, x: Any, call: Any = call) -> Any:
                return call(x)

        found = find_scopes([Net])
        assert any(scope is vars(HELPERS) for scope in found), name
        assert any(scope is globals() for scope in found), name
        assert not any(scope.get("__name__", "").startswith(("torch", "functools")) for scope in found), name


def test_what_no_forward_names_is_left_alone() -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return x

    data = make_module("data")
    assert not any(scope is vars(data) for scope in find_scopes([Net]))

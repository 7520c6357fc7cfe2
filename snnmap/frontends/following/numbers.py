"""How long a trial must be: past every step that the user's own code may count to, as far as its numbers say."""

from collections.abc import Iterator
from types import CodeType
from typing import Any

from torch import nn

from snnmap.frontends.following.framework import Framework
from snnmap.network import Network
from snnmap.nn.scopes import list_codes

__all__ = ["FEWEST_STEPS", "count_trial_steps"]

FEWEST_STEPS = 32
"""Steps of any trial."""
_BEYOND = 2
"""Steps behind the last one that a number names."""
_LARGEST = 100_000
"""Numbers above are none of steps, but seeds and sizes."""
_MOST_WORK, _CALL = 1e9, 2e6
"""Weights read in a trial, some seconds of work, and those that take as long as calling the modules for a step."""


def count_trial_steps(twin: nn.Module, framework: Framework, network: Network) -> tuple[int, int]:
    """Return the steps of a trial, and those that the user's numbers ask for, which may be more than are worth their time.

    A branch on the number of a step, a delay line or a warm-up shows from some step on. That step, or a part of it, stands in the
    code, among the attributes, or as the length of what holds past values.
    """
    wanted = max((number + _BEYOND for part in twin.modules() for number in _list_numbers(part, framework)), default=0)
    work = _CALL + sum(p.weights.nnz for p in network.projections)
    return max(FEWEST_STEPS, min(wanted, int(_MOST_WORK / work))), max(FEWEST_STEPS, wanted)


def _list_numbers(part: nn.Module, framework: Framework) -> Iterator[int]:
    """Yield the whole numbers that a module of the user's own class holds."""
    classes = [
        cls for cls in type(part).__mro__ if not cls.__module__.startswith(("torch.", "builtins", f"{framework.package}."))
    ]
    if not classes:
        return
    found: list[Any] = [*vars(part).values(), *(value for cls in classes for value in vars(cls).values())]
    sizes = [len(value) for value in found if isinstance(value, list | tuple) or hasattr(value, "maxlen")]
    sizes += [int(getattr(value, "maxlen", None) or 0) for value in found]
    sizes += [side for buffer in part.buffers(recurse=False) for side in buffer.shape[:1]]
    codes = [getattr(getattr(value, "__func__", value), "__code__", None) for value in found]
    scopes = [getattr(getattr(value, "__func__", value), "__globals__", {}) for value in found]
    defaults = [one for value in found for one in (getattr(value, "__defaults__", None) or ())]
    for code, scope in zip(codes, scopes, strict=True):
        if isinstance(code, CodeType):
            found += [one for inner in list_codes(code) for one in inner.co_consts]
            found += [scope.get(name) for inner in list_codes(code) for name in inner.co_names]
    yield from (one for one in (*found, *sizes, *defaults) if type(one) is int and 0 < one <= _LARGEST)

"""What a fix is, what it looks at and what it leaves."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.core.diagnostics import Diagnostic
from snnmap.lif.fixes.trial import Trial
from snnmap.lif.program import MappedNetwork
from snnmap.network import Network

__all__ = ["FIXES", "Case", "Change", "Fix", "Origin", "fix"]

Origin: TypeAlias = tuple[str, IntArray]
"""A population or an input port, and the numbers of some of its neurons or channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a fix looks at.

    Attributes:
        network: well-formed; whatever it is to be fixed of, its weights are finite and its decays and thresholds possible.
        chip: that it is to fit.
        mapped: the same, folded; None where it cannot be.
        findings: of the rules that the fix answers, those that are to be mended.
        trial: inputs to run networks on.
    """

    network: Network
    chip: Chip
    mapped: MappedNetwork | None
    findings: tuple[Diagnostic, ...]
    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a fix leaves.

    Attributes:
        network: another one; the source's populations have their names.
        done: what was done, a phrase.
        origins: which of the source's neurons those of a population are, where they are not all of the source's of its name.
    """

    network: Network
    done: str
    origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A way to mend what rules find.

    Attributes:
        name: as users give it.
        answers: ids of the rules.
        exact: whether no spike changes; what is not exact is measured.
        apply: gives the change; None where it can do nothing.
        text: what it does and what that does to the function, from the function's docstring.
    """

    name: str
    answers: tuple[str, ...]
    exact: bool
    apply: Callable[[Case], Change | None]
    text: str


FIXES: dict[str, Fix] = {}
"""All fixes, by name; those that change no spike are tried first."""


def fix(name: str, *answers: str, exact: bool) -> Callable[[Callable[[Case], Change | None]], Callable[[Case], Change | None]]:
    """Register a function as a fix for rules; its docstring is the user documentation."""

    def register(apply: Callable[[Case], Change | None]) -> Callable[[Case], Change | None]:
        FIXES[name] = Fix(name=name, answers=answers, exact=exact, apply=apply, text=inspect.cleandoc(apply.__doc__ or ""))
        return apply

    return register

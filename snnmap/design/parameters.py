"""What a search chooses: one thing each, from a list or a range."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.record import record

__all__ = ["Parameter", "Value", "is_parameter", "list_active", "read_parameter"]

Value: TypeAlias = bool | int | float | str
_KEYS = ("choices", "low", "high", "step", "log", "when")


@record
class Parameter:
    """One thing that a search chooses.

    Attributes:
        name: table and field of the space, such as ``train.learning_rate``.
        choices: values to choose from, numbers in their order; empty for a range.
        low: of a range, included.
        high: of a range, included.
        step: between the values of a range; None for all numbers between, of whole ones 1.
        log: whether ratios count in a range, not differences.
        when: values of other parameters with which this one is of use; with others it is left at its default.

    Raises:
        InputError: it contradicts itself.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: int | float = 0
    high: int | float = 0
    step: int | float | None = None
    log: bool = False
    when: Mapping[str, tuple[Value, ...]]

    def __post_init__(self) -> None:
        if self.choices:
            self._require(len(set(map(repr, self.choices))) == len(self.choices), "a value is listed twice", repr(self.choices))
            return
        bounds = f"{self.low} to {self.high}"
        self._require(all(math.isfinite(bound) for bound in (self.low, self.high)), "a range is infinite", bounds)
        self._require(self.low < self.high, "low is not below high", bounds)
        self._require(not self.log or self.low > 0, "ratios need a range above 0", bounds)
        self._require(not (self.log and self.step), "ratios have no step", str(self.step))
        steps = 1.0 if self.step is None or self.step <= 0 else (self.high - self.low) / self.step
        fits = (self.step is None or self.step > 0) and abs(steps - round(steps)) < 1e-9 and round(steps) >= 1
        self._require(fits, "steps do not lead from low to high", f"{bounds} by {self.step}")
        whole = not self.is_whole or self.step is None or isinstance(self.step, int)
        self._require(whole, "whole numbers have a whole step", str(self.step))

    def _require(self, holds: bool, what: str, measured: str) -> None:
        if not holds:
            raise InputError(what, where=self.name, measured=measured, fix="correct it in the space")

    @property
    def is_whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def is_ordered(self) -> bool:
        """Whether the choices are numbers, so that those side by side are alike."""
        return bool(self.choices) and all(type(choice) in (int, float) for choice in self.choices)

    @property
    def ends(self) -> tuple[Value, ...]:
        """All choices, or both ends of a range."""
        return self.choices or (self.low, self.high)

    def may_be(self, value: Value) -> bool:
        """Say whether it can take a value."""
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        return type(value) in (int, float) and self.low <= float(value) <= self.high

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        kind: dict[str, Any] = (
            {"choices": list(self.choices)}
            if self.choices
            else {"low": self.low, "high": self.high, "step": self.step, "log": self.log}
        )
        return {**kind, "when": {name: list(values) for name, values in self.when.items()}}


def is_parameter(written: Any) -> bool:
    """Say whether a value of a space is to be chosen: a list, or a table of choices or of a range."""
    return isinstance(written, list) or (isinstance(written, dict) and bool({"choices", "low", "high"} & written.keys()))


def read_parameter(name: str, written: Any) -> Parameter:
    """Read what a space says of a parameter: a list of values, or a table.

    Raises:
        InputError: a key that there is not, or a contradiction.
    """
    table: dict[str, Any] = {"choices": written} if isinstance(written, list) else written
    for key in table:
        if key not in _KEYS:
            fix = suggest(key, _KEYS, f"a parameter has {', '.join(_KEYS)}")
            raise InputError("a parameter has no such key", where=name, measured=key, fix=fix)
    if ("choices" in table) == ("low" in table and "high" in table) or ("choices" in table and len(table.keys() - {"when"}) > 1):
        fix = "give either choices, or low and high, of which step or log may say more"
        raise InputError("a parameter is a list or a range", where=name, measured=", ".join(table), fix=fix)
    for key, kind in (("when", dict), ("log", bool)):
        if not isinstance(table.get(key, kind()), kind):
            kinds = {"when": "a table of values by parameter", "log": "true or false"}
            raise InputError(
                "a key has a value of another type", where=f"{name}, {key}", measured=repr(table[key]), limit=kinds[key]
            )
    when = {other: tuple(_read_values(name, values)) for other, values in table.get("when", {}).items()}
    if "choices" in table:
        return Parameter(name=name, choices=tuple(_read_values(name, table["choices"])), when=when)
    numbers: dict[str, Any] = {key: table[key] for key in ("low", "high", "step") if key in table}
    for key, number in numbers.items():
        if type(number) not in (int, float):
            raise InputError("a range is of numbers", where=f"{name}, {key}", measured=repr(number), fix="give a number")
    return Parameter(name=name, **numbers, log=bool(table.get("log", False)), when=when)


def _read_values(name: str, values: Any) -> Iterator[Value]:
    listed = values if isinstance(values, list) else [values]
    if not listed:
        raise InputError("there is nothing to choose from", where=name, measured="[]", fix="list some values")
    for value in listed:
        if not isinstance(value, bool | int | float | str):
            kind = type(value).__name__
            raise InputError("a choice is a number, a text, or true or false", where=name, measured=kind, fix="list such values")
        yield value


def list_active(parameters: Mapping[str, Parameter], drawn: Mapping[str, Value]) -> dict[str, Value]:
    """Return of what was drawn the values that are of use: those whose conditions hold, on values that are of use themselves."""
    active: dict[str, Value] = {}
    waiting = list(parameters.values())
    while waiting:
        ready = [p for p in waiting if not any(other.name in p.when for other in waiting)]
        if not ready:
            names = ", ".join(sorted(p.name for p in waiting))
            raise InputError("conditions wait for each other", where=names, fix="break the circle of their `when`")
        for parameter in ready:
            if all(name in active and active[name] in values for name, values in parameter.when.items()):
                active[parameter.name] = drawn[parameter.name]
        waiting = [p for p in waiting if p not in ready]
    return {name: active[name] for name in parameters if name in active}

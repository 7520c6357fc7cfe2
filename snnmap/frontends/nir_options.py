"""What a NIR graph leaves open, and how each framework fills it in."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from snnmap.errors import FrontendError

__all__ = ["FRAMEWORKS", "Integrator", "NirOptions", "TimeUnit"]

TimeUnit = Literal["s", "ms", "us"]
Integrator = Literal["euler", "zoh", "exp_euler"]

SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class NirOptions:
    """The choices that turn NIR's equations into steps. A choice that a graph needs and that is None is an error.

    Attributes:
        dt_s: length of a step in seconds. Needed by every time constant, by Delay, and by I and IF with
            ``if_gain="dt"``.
        time_unit: unit of tau and Delay in the graph. Real files hold seconds; NIR's documentation writes ms.
        integrator: of ``tau dv/dt = v_leak - v + R I``. "euler": decay ``1 - dt/tau``, input gain ``dt/tau``; "zoh" (the
            input holds for a step, exact): decay ``exp(-dt/tau)``, gain ``1 - decay``; "exp_euler": decay
            ``exp(-dt/tau)``, input gain ``dt/tau``. The synapse of CubaLI and CubaLIF steps first, the membrane sees
            its new current.
        if_gain: what input I adds to the membrane of an I or IF node in a step: "dt" adds ``dt R I``, as NIR's equation
            says; "step" adds ``R I``, as the frameworks do.
        reset: "value" to the node's v_reset, "zero" to 0, "subtract" takes the threshold off.
        fires: at a potential "above" the threshold, as NIR says, or as soon as it is "reached". Threshold nodes: "above".
        max_count: most spikes of a neuron in a step; NIR's spikes are 0 or 1, and those of Threshold nodes always are.
        input_latency_steps: by how many steps an input port's spikes arrive late.
        layer_latency_steps: the same between neurons, where the graph has no Delay.
        spike_scale: what one spike is worth as the signal of its step: 1, or 1/dt_s for an impulse of area 1.
        constant_current: where a constant current meets a synapse with memory. "neuron": one neuron that fires in each
            step carries it, exactly; "membrane": a bias of the membrane, exact once the synapse has settled.

    Raises:
        FrontendError: a value outside its choices.
    """

    dt_s: float | None = None
    time_unit: TimeUnit | None = None
    integrator: Integrator | None = None
    if_gain: Literal["dt", "step"] | None = None
    reset: Literal["value", "zero", "subtract"] | None = None
    fires: Literal["above", "reached"] = "above"
    max_count: int = 1
    input_latency_steps: int = 0
    layer_latency_steps: int = 0
    spike_scale: float = 1.0
    constant_current: Literal["neuron", "membrane"] = "neuron"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise _bad_option(name, value, ", ".join(choices))
        for name, (accepts, limit) in _RANGES.items():
            value = getattr(self, name)
            if not (value is None and name == "dt_s") and not _is_number(value, accepts):
                raise _bad_option(name, value, limit)

    @classmethod
    def like(cls, framework: str, **changes: Any) -> Self:
        """Give the rules of a framework, some changed; ``dt_s`` is still to be given.

        Args:
            framework: "norse", "snntorch", "nengo", "rockpool", "sinabs" or "lava".
            **changes: fields to set.

        Raises:
            FrontendError: unknown framework or option.
        """
        if framework not in FRAMEWORKS:
            raise _bad_option("framework", framework, ", ".join(FRAMEWORKS))
        return cls(**{**FRAMEWORKS[framework], **_known(changes)})

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """Give the same options, some changed.

        Raises:
            FrontendError: unknown option, or a value outside its choices.
        """
        return replace(self, **_known(changes))

    def require(self, name: str, where: str) -> Any:
        """Give a choice that the graph needs.

        Raises:
            FrontendError: it was not made; lists what there is to choose and what each framework does.
        """
        value = getattr(self, name)
        if value is None:
            raise FrontendError(
                f"NIR does not say which {_MEANING[name]} this graph was made for, and option '{name}' is not given",
                where=where,
                limit=_describe(name),
                fix=f"give {name}=..., or NirOptions.like('norse', dt_s=...) for all rules of a framework",
            )
        return value

    @property
    def seconds(self) -> float:
        """Seconds in one time unit of the graph; 1 where none is given."""
        return SECONDS[self.time_unit or "s"]


_CHOICES: dict[str, tuple[str, ...]] = {
    "time_unit": tuple(SECONDS),
    "integrator": ("euler", "zoh", "exp_euler"),
    "if_gain": ("dt", "step"),
    "reset": ("value", "zero", "subtract"),
    "fires": ("above", "reached"),
    "constant_current": ("neuron", "membrane"),
}

_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dt_s": (lambda value: value > 0, "seconds, more than 0"),
    "spike_scale": (lambda value: value > 0, "a number above 0"),
    "max_count": (lambda value: value >= 1 and value == int(value), "an integer of 1 or more"),
    "input_latency_steps": (lambda value: value >= 0 and value == int(value), "an integer of 0 or more"),
    "layer_latency_steps": (lambda value: value >= 0 and value == int(value), "an integer of 0 or more"),
}

_MEANING = {
    "dt_s": "length of a step",
    "time_unit": "unit of time",
    "integrator": "integrator",
    "if_gain": "gain of integrators",
    "reset": "reset",
}

_ONE_SPIKE = {"time_unit": "s", "if_gain": "step", "fires": "above", "max_count": 1}
_MANY_SPIKES = {"time_unit": "s", "if_gain": "step", "integrator": "exp_euler", "reset": "subtract", "fires": "reached"}

FRAMEWORKS: Mapping[str, Mapping[str, Any]] = {
    "norse": {**_ONE_SPIKE, "integrator": "euler", "reset": "value"},
    "snntorch": {**_ONE_SPIKE, "integrator": "euler", "reset": "zero"},
    "nengo": {**_ONE_SPIKE, "integrator": "zoh", "reset": "zero"},
    "rockpool": {**_MANY_SPIKES, "max_count": 2**16},
    "sinabs": {**_MANY_SPIKES, "max_count": 2**31 - 1},
    "lava": {**_ONE_SPIKE, "integrator": "euler", "reset": "zero", "input_latency_steps": 1, "layer_latency_steps": 1},
}
"""Rules by framework. Measured on the traces of the NIR paper (Norse, snnTorch, Nengo, Rockpool); sources of the rest:
counts of several spikes from Rockpool's StepPWL and Sinabs' MultiSpike, latencies from Lava's Dense process."""


def _describe(name: str) -> str:
    if name == "dt_s":
        return "seconds; the NIR paper's files use 1e-4"
    used = [f"{choice} ({', '.join(users)})" if (users := _users(name, choice)) else choice for choice in _CHOICES[name]]
    return ", ".join(used)


def _users(name: str, choice: str) -> list[str]:
    return [framework for framework, rules in FRAMEWORKS.items() if rules.get(name) == choice]


def _is_number(value: Any, accepts: Callable[[Any], bool]) -> bool:
    is_real = isinstance(value, int | float) or (hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0)
    return not isinstance(value, bool) and is_real and math.isfinite(value) and accepts(value)


def _known(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    names = [field.name for field in fields(NirOptions)]
    for name in changes:
        if name not in names:
            raise FrontendError(f"no option is called '{name}'", limit=", ".join(names), fix="use one of these")
    return changes


def _bad_option(name: str, value: Any, limit: str) -> FrontendError:
    return FrontendError(
        f"option '{name}' has a value that it does not take", where="NirOptions", measured=repr(value), limit=limit,
        fix="use one of these",
    )  # fmt: skip

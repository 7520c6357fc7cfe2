"""What a NIR graph leaves open, and how each framework fills it in."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from snnmap.core.errors import FrontendError

__all__ = ["FRAMEWORKS", "Integrator", "NirOptions", "TimeUnit"]

TimeUnit = Literal["s", "ms", "us", "step"]
Integrator = Literal["euler", "zoh", "exp_euler", "exp_jump"]
Writer = Literal["other", "norse", "rockpool", "sinabs", "snntorch", "spikingjelly", "spyx"]

SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class NirOptions:
    """The choices that turn NIR's equations into steps. A choice that a graph needs and that is None is an error.

    Attributes:
        dt_s: length of a step in seconds. Needed, with its unit, by every time constant, by Delay, and by I and IF with
            ``if_gain="dt"``.
        time_unit: unit of tau and Delay in the graph. Real files hold seconds, Sinabs' steps; NIR's documentation writes ms.
        integrator: of ``tau dv/dt = v_leak - v + R I``. "euler": decay ``1 - dt/tau``, input gain ``dt/tau``; "zoh" (the
            input holds for a step, exact): decay ``exp(-dt/tau)``, gain ``1 - decay``; "exp_euler": decay
            ``exp(-dt/tau)``, input gain ``dt/tau``; "exp_jump": decay ``exp(-dt/tau)``, input gain 1. The synapse of CubaLI
            and CubaLIF steps first, the membrane sees its new current.
        if_gain: what input I adds to the membrane of an I or IF node in a step: "dt" adds ``dt R I``, as NIR's equation
            says, with dt in the graph's unit; "step" adds ``R I``, as the frameworks do.
        reset: "value" to the node's v_reset, "zero" to 0, "subtract" takes the threshold off.
        reset_delay_steps: 1 where the reset comes in the step after the spike, as in snnTorch (1.0.0) without
            ``reset_delay=False``; else 0. Without that delay, snnTorch's "subtract" takes the threshold off once more in the
            step after, from membranes above twice the threshold; such graphs are read without it.
        fires: at a potential "above" the threshold, as NIR says, or as soon as it is "reached". Threshold nodes: "above".
        max_count: most spikes of a neuron in a step; NIR's spikes are 0 or 1, and those of Threshold nodes always are.
        input_latency_steps: by how many steps an input port's spikes arrive late.
        layer_latency_steps: the same between neurons, where the graph has no Delay.
        spike_scale: what one spike is worth as the signal of its step: 1, or 1/dt_s for an impulse of area 1.
        written_by: tool whose exporter wrote the graph, since some write other gains than NIR's equations
            (:mod:`snnmap.frontends.nir.exporters`); "other" takes the equations as they are.
        w_in: how Norse's CubaLIF with w_in and r of 1 are meant: "left_out" by Norse's exporter of LIFCell, whose input is
            not diminished, or "given".
        floor: "none" where membranes may fall without limit. Sinabs has a limit of ``min_v_mem`` in ``from_model`` and
            ``from_nir``, which no linear membrane has and no file says.
        initial_potential: where the membrane starts: at "zero", at the node's "leak" potential or at its "reset" potential.
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
    reset_delay_steps: int = 0
    fires: Literal["above", "reached"] = "above"
    max_count: int = 1
    input_latency_steps: int = 0
    layer_latency_steps: int = 0
    spike_scale: float = 1.0
    written_by: Writer = "other"
    w_in: Literal["given", "left_out"] | None = "given"
    floor: Literal["none"] | None = "none"
    initial_potential: Literal["zero", "leak", "reset"] = "zero"
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
        """Return the rules of a framework's own models as its own exporter writes them, some changed.

        ``dt_s`` is still to be given, and what a framework leaves out of its files where its models differ in it.

        Args:
            framework: "norse", "snntorch", "nengo", "rockpool", "sinabs", "spikingjelly", "spyx" or "lava".
            **changes: fields to set.

        Raises:
            FrontendError: unknown framework or option.
        """
        if framework not in FRAMEWORKS:
            raise _bad_option("framework", framework, ", ".join(FRAMEWORKS))
        return cls(**{**FRAMEWORKS[framework], **_known(changes)})

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """Return the same options, some changed.

        Raises:
            FrontendError: unknown option, or a value outside its choices.
        """
        return replace(self, **_known(changes))

    def require(self, name: str, where: str) -> Any:
        """Return a choice that the graph needs.

        Raises:
            FrontendError: it was not made; lists what there is to choose and what each framework does.
        """
        value = getattr(self, name)
        if value is None:
            values = " or ".join(map(repr, _CHOICES.get(name, ()))) or "..."
            told = next((framework for framework, rules in FRAMEWORKS.items() if rules.get(name) is not None), None)
            others = "" if told is None else f", or NirOptions.like({told!r}, dt_s=...) for all rules of a framework"
            raise FrontendError(
                f"NIR does not say which {_MEANING[name]} this graph was made for, and option '{name}' is not given",
                where=where,
                limit=_describe(name),
                fix=f"give {name}={values}{others}",
            )
        return value

    def step(self, where: str) -> float:
        """Return the length of a step in the graph's unit of time.

        Raises:
            FrontendError: the unit is not given, or dt_s where the unit is not the step.
        """
        unit = self.require("time_unit", where)
        return 1.0 if unit == "step" else float(self.require("dt_s", where)) / SECONDS[unit]

    @property
    def seconds(self) -> float:
        """Seconds in one time unit of the graph; 1 where none is given."""
        return (self.dt_s or 1.0) if self.time_unit == "step" else SECONDS[self.time_unit or "s"]


_CHOICES: dict[str, tuple[str, ...]] = {
    "time_unit": (*SECONDS, "step"),
    "integrator": ("euler", "zoh", "exp_euler", "exp_jump"),
    "if_gain": ("dt", "step"),
    "reset": ("value", "zero", "subtract"),
    "fires": ("above", "reached"),
    "written_by": ("other", "norse", "rockpool", "sinabs", "snntorch", "spikingjelly", "spyx"),
    "w_in": ("given", "left_out"),
    "floor": ("none",),
    "initial_potential": ("zero", "leak", "reset"),
    "constant_current": ("neuron", "membrane"),
}

_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dt_s": (lambda value: value > 0, "seconds, more than 0"),
    "spike_scale": (lambda value: value > 0, "a number above 0"),
    "reset_delay_steps": (lambda value: value in (0, 1), "0 or 1"),
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
    "w_in": "meaning of w_in = 1",
    "floor": "lower limit of the membrane (Sinabs' min_v_mem)",
}

_ONE_SPIKE = {"time_unit": "s", "if_gain": "step", "fires": "above", "max_count": 1}
_MANY_SPIKES = {"time_unit": "s", "if_gain": "step", "integrator": "exp_euler", "reset": "subtract", "fires": "reached"}

FRAMEWORKS: Mapping[str, Mapping[str, Any]] = {
    "norse": {
        **_ONE_SPIKE, "integrator": "euler", "reset": "value", "written_by": "norse", "w_in": None, "initial_potential": "leak",
    },
    "snntorch": {**_ONE_SPIKE, "integrator": "euler", "reset": "subtract", "reset_delay_steps": 1, "written_by": "snntorch"},
    "nengo": {**_ONE_SPIKE, "integrator": "zoh", "reset": "zero"},
    "rockpool": {**_MANY_SPIKES, "max_count": 2**16, "written_by": "rockpool"},
    "sinabs": {
        **_MANY_SPIKES, "max_count": 2**31 - 1, "time_unit": "step", "integrator": "zoh", "written_by": "sinabs", "floor": None,
    },
    "spikingjelly": {
        **_ONE_SPIKE, "integrator": "euler", "if_gain": "dt", "reset": "value", "fires": "reached", "written_by": "spikingjelly",
        "initial_potential": "reset",
    },
    "spyx": {
        **_ONE_SPIKE, "integrator": "euler", "reset": "subtract", "reset_delay_steps": 1, "layer_latency_steps": 1,
        "written_by": "spyx",
    },
    "lava": {**_ONE_SPIKE, "integrator": "euler", "reset": "zero", "input_latency_steps": 1, "layer_latency_steps": 1},
}  # fmt: skip
"""Rules by framework. Measured on the traces of the NIR paper (Norse, Nengo, Rockpool) and on the frameworks' own modules
(snnTorch 1.0.0, Norse 1.1.0, Rockpool 3.1.0, Sinabs 3.1.3, SpikingJelly 2.0.0, spyx 1.0.0, whose outputs come another step late);
Lava's latencies from its Dense process."""


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

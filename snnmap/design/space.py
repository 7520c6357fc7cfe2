"""Where a search looks: models, training, build and chip, as one space written in TOML."""

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from snnmap.chip import Chip, load_chip
from snnmap.core.errors import ChipError, InputError
from snnmap.core.fields import list_fields, put_field
from snnmap.core.near import suggest
from snnmap.core.record import freeze_mapping, record
from snnmap.design.objectives import OBJECTIVES
from snnmap.design.parameters import Parameter, Value, is_parameter, list_active, read_parameter
from snnmap.lif.program import Decision
from snnmap.pipeline import CompileOptions
from snnmap.train import TrainOptions

__all__ = ["EarlyStopping", "Sampler", "Space", "read_space"]

Sampler = Literal["tpe", "gp", "random"]
_TABLES = ("model", "data", "train", "build", "chip")
"""Tables whose values are chosen or fixed."""
_MOST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What a search chooses of a training beside its options."""

    batch_size: int = 64
    limit_fan_in: bool = False

    def __post_init__(self) -> None:
        InputError.require_option(self, "batch_size", self.batch_size >= 1, ">= 1", of="the training")


_BESIDE = tuple(list_fields(_Beside()))


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """When the training of a candidate ends early.

    Attributes:
        share: a candidate is stopped after an epoch in which it is among this share of the worst, of those before it that store
            no more weights; 0 stops none.
        n_before: candidates that must have been trained before any is stopped.
        n_epochs: of training before a candidate is stopped.

    Raises:
        InputError: a value out of its range.
    """

    share: float = 0.25
    n_before: int = 8
    n_epochs: int = 1

    def __post_init__(self) -> None:
        InputError.require_option(self, "share", 0.0 <= self.share < 1.0, "0 to below 1", of="early stopping")
        InputError.require_option(self, "n_before", self.n_before >= 1, ">= 1", of="early stopping")
        InputError.require_option(self, "n_epochs", self.n_epochs >= 1, ">= 1", of="early stopping")


@record
class Space:
    """Where a search looks, and what for.

    Attributes:
        name: of the search.
        model_from: ``FILE.py:FUNCTION`` or ``PACKAGE.MODULE:FUNCTION``, which makes a model of the parameters of ``model``.
        data_from: likewise, of the parameters of ``data``; or an ``.npz`` file. Either gives ``train``, ``train_labels``,
            ``validation`` and ``validation_labels``: spike counts ``(n, n_steps, n_channels)`` and classes ``(n,)``.
        objectives: of :data:`snnmap.design.OBJECTIVES`.
        parameters: what is chosen, by name.
        fixed: values that are not.
        limits: bounds on objectives, or on other figures by the same names.
        early_stopping: when the training of a candidate ends early.
        n_trials: candidates.
        parallel: candidates that may run at a time: each is chosen without what the ``parallel - 1`` before it give, whether
            they are waited for or not, so that a search by one worker is that by several.
        sampler: ``tpe`` (Bergstra et al. 2011; Ozaki et al. 2022), ``gp`` (Gaussian processes) or ``random``.
        seed: of the choice, of initial weights and of training.
        readout: how classes are read from the outputs.
        n_calibration: training samples on which a candidate is quantised.
        folder: which relative paths start from.
    """

    name: str
    model_from: str
    data_from: str
    objectives: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    fixed: Mapping[str, Value]
    limits: Mapping[str, float]
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    n_trials: int = 40
    parallel: int = 2
    sampler: Sampler = "tpe"
    seed: int = 0
    readout: Decision = "last"
    n_calibration: int = 256
    folder: str = ""

    def __post_init__(self) -> None:
        for name, holds, limit in (
            ("n_trials", self.n_trials >= 1, ">= 1"),
            ("parallel", self.parallel >= 1, ">= 1"),
            ("sampler", self.sampler in get_args(Sampler), ", ".join(get_args(Sampler))),
            ("readout", self.readout in get_args(Decision), ", ".join(get_args(Decision))),
            ("n_calibration", self.n_calibration >= 1, ">= 1"),
            ("seed", 0 <= self.seed <= _MOST_SEED, f"0 to {_MOST_SEED}"),
            ("objectives", bool(self.objectives), f"some of {', '.join(OBJECTIVES)}"),
            ("objectives", len(set(self.objectives)) == len(self.objectives), "each once"),
        ):
            InputError.require_option(self, name, holds, limit, of="the search")
        for name in (*self.objectives, *self.limits):
            _require_known("objective", name, OBJECTIVES, "objectives and limits")
        _require_values(self)
        _require_conditions(self)
        _require_measured(self)

    def select(self, values: Mapping[str, Value], table: str) -> dict[str, Value]:
        """Return what a candidate has in one table, fixed values included, by field."""
        every = {**self.fixed, **values}
        return {name.partition(".")[2]: value for name, value in every.items() if name.partition(".")[0] == table}

    def make_chip(self, values: Mapping[str, Value]) -> Chip:
        """Return the chip of a candidate.

        Raises:
            ChipError: its record contradicts itself, or there is none of its name.
        """
        chosen = self.select(values, "chip")
        chip = load_chip(self.locate(str(chosen.pop("name"))))
        varied: Chip = _put_all(chip, chosen)
        return varied

    def make_options(self, values: Mapping[str, Value]) -> tuple[CompileOptions, TrainOptions, int, bool]:
        """Return a candidate's choices of the build and of the training, its batch size, and whether its fan-in is limited."""
        of_training = self.select(values, "train")
        beside = {name: of_training.pop(name) for name in _BESIDE if name in of_training}
        chosen: _Beside = _put_all(_Beside(), beside)
        build = _put_all(CompileOptions(decision=self.readout), self.select(values, "build"))
        return build, _put_all(TrainOptions(seed=self.seed), of_training), chosen.batch_size, chosen.limit_fan_in

    def locate(self, name: str) -> str:
        """Return a path that the space names, as seen from where the search runs."""
        path, _, _ = name.partition(":")
        is_path = path.endswith((".py", ".npz", ".toml"))
        return str(Path(self.folder) / name) if is_path else name

    def describe(self) -> dict[str, str]:
        """Return digests of all that a candidate's figures rest on, by part, the files that are named included."""
        parts: dict[str, Any] = {
            "objectives": list(self.objectives),
            "parameters": {name: parameter.to_plain() for name, parameter in self.parameters.items()},
            "fixed values": dict(self.fixed),
            "limits": dict(self.limits),
            "early stopping": str(self.early_stopping),
            "choice": [self.parallel, self.sampler, self.seed],
            "reading": [self.readout, self.n_calibration],
            **{name: _digest_file(Path(self.locate(name).partition(":")[0])) for name in self._list_files()},
        }
        return {name: hashlib.sha256(json.dumps(part).encode()).hexdigest()[:16] for name, part in parts.items()}

    def _list_files(self) -> list[str]:
        chips = self.list_values("chip.name")
        return [self.model_from, self.data_from, *(str(name) for name in chips)]

    def list_values(self, name: str) -> tuple[Value, ...]:
        """Return the values that a name may have: those to choose from, or the fixed one."""
        if name in self.parameters:
            return self.parameters[name].ends
        return (self.fixed[name],) if name in self.fixed else ()


def _digest_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path)


def _put_all(part: Any, values: Mapping[str, Value]) -> Any:
    for path, value in values.items():
        part = put_field(part, path, value)
    return part


def _require_known(what: str, name: str, known: Any, where: str) -> None:
    if name not in known:
        fix = suggest(name, known, f"name one of {', '.join(known)}")
        raise InputError(f"there is no such {what}", where=where, measured=name, fix=fix)


def _require_values(space: Space) -> None:
    """Refuse fields that there are not, and values that they cannot have."""
    if not space.list_values("chip.name"):
        raise InputError("the space names no chip", where="chip.name", fix='write [chip] and name = "xylo-audio-3"')
    chips = [load_chip(space.locate(str(name))) for name in space.list_values("chip.name")]
    records: dict[str, Any] = {"train": TrainOptions(), "build": CompileOptions()}
    for name in (*space.parameters, *space.fixed):
        table, _, path = name.partition(".")
        if name == "chip.name" or table in ("model", "data"):
            continue
        is_beside = table == "train" and path in _BESIDE
        for record_ in chips if table == "chip" else [_Beside() if is_beside else records[table]]:
            _require_known("field", path, [*list_fields(record_), *(_BESIDE if table == "train" else ())], f"[{table}]")
            for value in space.list_values(name):
                _try_value(record_, path, value, table)


def _try_value(part: Any, path: str, value: Value, table: str) -> None:
    try:
        put_field(part, path, value)
    except ChipError:  # together with other fields it may do
        return
    except InputError as error:
        raise error.within(f"[{table}]") from error


def _require_conditions(space: Space) -> None:
    for parameter in space.parameters.values():
        for name, values in parameter.when.items():
            where = f"{parameter.name}, when"
            _require_known("parameter", name, space.parameters, where)
            for value in values:
                if not space.parameters[name].may_be(value):
                    limit = ", ".join(map(str, space.parameters[name].ends))
                    fix = "name a value that it can take"
                    raise InputError(f"{name} never is this", where=where, measured=repr(value), limit=limit, fix=fix)
    list_active(space.parameters, {name: parameter.ends[0] for name, parameter in space.parameters.items()})


def _require_measured(space: Space) -> None:
    """Refuse objectives and limits that a chip's record has no figures for."""
    for name in space.list_values("chip.name"):
        chip = load_chip(space.locate(str(name)))
        for objective in (*space.objectives, *space.limits):
            unknown = OBJECTIVES[objective].find_unknown(chip)
            if unknown:
                raise InputError(
                    f"nobody can measure {objective} on chip '{chip.name}': its record does not know what that takes",
                    where="objectives and limits",
                    measured=f"{', '.join(unknown)} unknown",
                    fix=f"give them in a record of your own (`snnmap chips show {chip.name}`), or leave {objective} out",
                )


def read_space(path: str | Path) -> Space:
    """Read a space from a TOML file.

    Raises:
        InputError: it cannot be read, a key is unknown, or it contradicts itself.
        ChipError: an unknown or malformed chip.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"the space cannot be read: {reason}", where=str(path), fix="give a TOML file") from error
    try:
        return _read_table(table, Path(path))
    except InputError as error:
        raise error.within(str(path)) from error


def _read_table(table: Mapping[str, Any], path: Path) -> Space:
    plain = {entry.name: entry for entry in fields(Space) if entry.name not in ("parameters", "fixed", "folder")}
    for key in table:
        _require_known("key", key, [*plain, *_TABLES], "the top of the space")
    for key in _TABLES:
        if not isinstance(table.get(key, {}), dict):
            raise InputError("this is no table", where=key, measured=repr(table[key]), fix=f"write [{key}], and its fields below")
    for key in ("model_from", "data_from", "objectives"):
        if key not in table:
            raise InputError("the space lacks a key", where=key, fix="docs/search.md shows a whole one")
    parameters: dict[str, Parameter] = {}
    fixed: dict[str, Value] = {}
    for name, written in _flatten({key: table[key] for key in _TABLES if key in table}):
        if is_parameter(written):
            parameters[name] = read_parameter(name, written)
        elif isinstance(written, bool | int | float | str):
            fixed[name] = written
        else:
            raise InputError("this is no value", where=name, measured=type(written).__name__, fix="give a number, text or list")
    if not parameters:
        raise InputError("the space leaves nothing to choose", where=", ".join(_TABLES), fix="give some value as a list or range")
    given = {key: table[key] for key in plain if key in table}
    _require_types(given)
    given["early_stopping"] = _read_stopping(given.get("early_stopping", {}))
    given["limits"] = _read_limits(given.get("limits", {}))
    return Space(
        **{"name": path.stem, **given, "objectives": tuple(given["objectives"])},
        parameters=freeze_mapping(parameters),
        fixed=freeze_mapping(fixed),
        folder=str(path.parent),
    )


def _flatten(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        nested = isinstance(value, dict) and not is_parameter(value)
        found += _flatten(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
    return found


def _read_stopping(table: Any) -> EarlyStopping:
    known = [entry.name for entry in fields(EarlyStopping)]
    for key in table if isinstance(table, dict) else ["no table"]:
        _require_known("key", key, known, "early_stopping")
    try:
        stopping: EarlyStopping = _put_all(EarlyStopping(), table)
    except InputError as error:
        raise error.within("early_stopping") from error
    return stopping


def _read_limits(table: Any) -> Mapping[str, float]:
    if not isinstance(table, dict) or any(type(value) not in (int, float) or math.isnan(value) for value in table.values()):
        raise InputError(
            "limits are a table of numbers", where="limits", measured=repr(table), fix="write [limits] neurons = 200"
        )
    return freeze_mapping({name: float(value) for name, value in table.items()})


def _require_types(given: Mapping[str, Any]) -> None:
    kinds: dict[str, type] = {
        **dict.fromkeys(("name", "model_from", "data_from", "sampler", "readout"), str),
        **dict.fromkeys(("n_trials", "parallel", "seed", "n_calibration"), int),
        "objectives": list,
    }
    for key, kind in kinds.items():
        wrong = key in given and type(given[key]) is not kind
        if wrong or (key == "objectives" and any(not isinstance(name, str) for name in given[key])):
            raise InputError("a key has a value of another type", where=key, measured=repr(given[key]), limit=kind.__name__,
                             fix="correct it in the space")  # fmt: skip

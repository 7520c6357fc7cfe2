"""Options that are the fields of records: all of them, with the words and defaults that stand there."""

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import click
import pytest
from click.testing import CliRunner
from command_line import Run

from snnmap.cli.records import read_attributes, read_record, record_options
from snnmap.cli.verbs import build, check, inspect
from snnmap.core.errors import InputError
from snnmap.lif.mapping import FoldOptions
from snnmap.lif.program import AgreementLimits
from snnmap.lif.quantise import QuantiseOptions
from snnmap.pipeline import CompileOptions


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Numbers.

    Attributes:
        low: the ``least`` of :func:`snnmap.load`,
            told over two lines.
        high: the most.

    Raises:
        InputError: no attribute.
    """

    low: float = 0.5
    high: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Choices.

    Attributes:
        is_on: whether it is.
        colour: which.
        maybe: none without.
        names: several.
        inner: numbers.
    """

    is_on: bool = True
    colour: Literal["red", "blue"] = "red"
    maybe: int | None = None
    names: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)


def call(*arguments: str, **options: Any) -> Outer:
    found: list[Outer] = []

    @click.command()
    @record_options(Outer, **options)
    def command(**values: Any) -> None:
        found.append(read_record(Outer, values))

    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert result.exception is None, result.exception
    return found[0]


def test_without_options_all_is_as_the_record_has_it() -> None:
    assert call() == Outer()
    assert call(pairs={"inner": "--limit"}) == Outer()
    assert call(without=("maybe", "inner")) == Outer()


def test_each_kind_of_field_is_read() -> None:
    given = ("--no-is-on", "--colour", "blue", "--maybe", "3", "--names", "a", "--names", "b", "--low", "0.25")
    assert call(*given) == Outer(is_on=False, colour="blue", maybe=3, names=("a", "b"), inner=Inner(low=0.25))
    assert call("--limit", "low=0.25", "--limit", "high=3", pairs={"inner": "--limit"}).inner == Inner(low=0.25, high=3.0)


@pytest.mark.parametrize("text", ["low", "low=", "low=x", "low=nan", "none=1", "=1"])
def test_a_pair_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--limit(.|\n)*low, high"):
        call("--limit", text, pairs={"inner": "--limit"})


def test_attributes_are_read_as_plain_text() -> None:
    assert read_attributes(Inner) == {"low": "the least of snnmap.load, told over two lines.", "high": "the most."}


def leaves(cls: type[Any]) -> dict[str, type[Any]]:
    """Give the record that each field is of, but for those that are records."""
    hints = get_type_hints(cls)
    nested = [leaves(hints[part.name]) for part in fields(cls) if is_dataclass(hints[part.name])]
    own = {part.name: cls for part in fields(cls) if not is_dataclass(hints[part.name])}
    return {name: owner for part in (own, *nested) for name, owner in part.items()}


@pytest.mark.parametrize("verb", [build, check, inspect])
def test_every_choice_of_folding_and_quantisation_is_an_option(verb: Any) -> None:
    options = {option.name: option for option in verb.command.params}
    wanted = leaves(CompileOptions) if verb is not inspect else {**leaves(FoldOptions), **leaves(QuantiseOptions)}
    limits = [name for name, owner in wanted.items() if owner is AgreementLimits]
    for name in wanted.keys() - set(limits) - ({"waivers"} | ({"verify"} if verb is check else set())):
        said = read_attributes(wanted[name])[name]
        assert options[name].help.lower().startswith(said.lower())
        assert options[name].default in (getattr(wanted[name](), name), None)
    assert all(f"{name} (" in options["limits"].help for name in limits)


@pytest.mark.parametrize(("verb", "call"), [("check", "check_model"), ("build", "compile_model")])
def test_what_is_chosen_reaches_the_build(verb: str, call: str, run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def stop(*_: Any, options: CompileOptions, **__: Any) -> None:
        seen.append(options)
        raise InputError("seen")

    monkeypatch.setattr(f"snnmap.cli.verbs.{verb}.{call}", stop)
    more: tuple[str, ...] = ("-o", "none") if verb == "build" else ()
    run(verb, model, "-c", "xylo-audio-3", *more)
    run(
        verb,
        model,
        "-c",
        "xylo-audio-3",
        *more,
        "--second-synapse",
        "always",
        "--depth",
        "8",
        "--stretch-loops",
        "--allow",
        "SNN6",
    )
    quantise = QuantiseOptions(second_synapse="always", depth=8.0)
    chosen = CompileOptions(quantise=quantise, fold=FoldOptions(stretch_loops=True), allow=("SNN6",))
    assert seen == [CompileOptions(), chosen]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--depth", "-1", "0 or more"), ("--depth", "nan", "0 or more"), ("--readout-margin", "0", "1..1e6")],
)
def test_a_choice_out_of_its_range_is_refused(option: str, value: str, said: str, run: Run, model: Path) -> None:
    result = run("check", model, "--chip", "xylo-audio-3", option, value)
    assert (result.code, said in result.err) == (2, True)


def test_choices_in_python_are_refused_likewise() -> None:
    with pytest.raises(InputError, match="decays, always, never, unmatched"):
        QuantiseOptions(second_synapse="sometimes")  # type: ignore[arg-type]

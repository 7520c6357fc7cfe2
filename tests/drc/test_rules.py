"""Each rule fires on its case, says what its golden file says, and is silent at its limit."""

from pathlib import Path

import numpy as np
import pytest
from golden import require_golden
from rule_cases import (
    CASES,
    CLEAN,
    GENERIC,
    XYLO,
    Case,
    chain,
    check,
    check_aliases,
    edit,
    extend,
    limit,
    make_projection,
    residual,
    with_weights,
)

from snnmap.drc import RULES, explain_rule, format_rules
from snnmap.errors import InputError
from snnmap.ir import Network, OutputPort, Report, SpikeSum

MESSAGES = Path(__file__).parent / "messages"
HEADINGS = ("What it does:", "Why it matters:", "Example:", "How to fix:")


def add_sum(*terms: str) -> Network:
    return extend(sums=(SpikeSum(name="sum", terms=terms, source="model.add"),))


def set_parameter(name: str, value: float, *, population: str = "h1") -> Network:
    """Set one parameter of one neuron, the second."""
    values = getattr(CLEAN.population(population), name).copy()
    values[..., 1] = value
    return edit("populations", population, **{name: values})


# further ways to break a rule that has more than one thing to say; all are in its golden file, behind the case
VARIANTS: dict[str, tuple[Case, ...]] = {
    "SNN101": (
        (edit("projections", "h1->h2", pre="h9"), XYLO),
        (edit("outputs", "port", populations=("out", "h9")), XYLO),
        (add_sum("h1", "h9"), XYLO),
    ),
    "SNN102": (
        (edit("projections", "h1->h2", delay_steps=-1), XYLO),
        (edit("projections", "h1->h2", synapse=1), XYLO),
        (add_sum("h1", "h2"), XYLO),
    ),
    "SNN104": ((add_sum(), XYLO),),
    "SNN108": (
        (
            extend(
                make_projection("sum", "out", np.ones((5, 2))),
                network=chain(5, 5, 4, 2),
                sums=(SpikeSum(name="sum", terms=("h1", "in")),),
            ),
            XYLO,
        ),
    ),
    "SNN110": ((extend(inputs=()), XYLO),),
    "SNN204": (
        (CLEAN, limit(GENERIC, "input_weights", max_fan_in=2)),
        (CLEAN, limit(GENERIC, "output_weights", max_fan_in=3)),
    ),
    "SNN205": ((CLEAN, limit(XYLO, "output_weights", max_fan_out=1)),),
    "SNN206": (
        (CLEAN, limit(GENERIC, "input_weights", max_words=14)),
        (CLEAN, limit(GENERIC, "output_weights", max_words=7)),
    ),
    "SNN207": ((edit("populations", "out", alpha=np.full((2, 2), 0.5)), XYLO),),
    "SNN210": ((edit("populations", "out", bias=np.array([0.0, -0.25])), limit(XYLO, "outputs", bias=False)),),
    "SNN401": ((set_parameter("threshold", np.inf), XYLO),),
    "SNN402": ((set_parameter("alpha", -0.5), XYLO),),
    "SNN404": ((set_parameter("max_count", 1), XYLO),),
    "SNN501": (
        (with_weights("h1->h2", lambda weights: np.where(weights > 0.3, np.inf, weights)), XYLO),
        (set_parameter("alpha", np.nan), XYLO),
        (set_parameter("beta", np.nan), XYLO),
        (set_parameter("bias", -np.inf), XYLO),
        (set_parameter("threshold", 1e-31), XYLO),
    ),
    "SNN503": ((set_parameter("alpha", 0.6), XYLO), (set_parameter("beta", 1.0), XYLO)),
    "SNN504": ((with_weights("h1->h2", lambda weights: 1e-9 * weights), XYLO),),
}


def find_all(report: Report, rule: str) -> list[str]:
    return [str(diagnostic) for diagnostic in report.diagnostics if diagnostic.rule == rule]


def require_silence(report: Report, rule: str) -> None:
    """Check that a rule looked, without crashing, and had nothing to say, and that nothing else stops the build."""
    assert rule in report.rules_run
    assert find_all(report, rule) == []
    assert report.errors == ()


def test_every_rule_has_a_case() -> None:
    assert set(CASES) | {"SNN211"} == set(RULES)
    assert set(VARIANTS) <= set(CASES)


def test_the_clean_network_is_clean() -> None:
    assert check((CLEAN, XYLO)).diagnostics == ()
    assert check((CLEAN, GENERIC)).diagnostics == ()


@pytest.mark.parametrize("rule", CASES)
def test_rule_fires_with_its_message(rule: str) -> None:
    found = [find_all(check(case), rule) for case in (CASES[rule][0], *VARIANTS.get(rule, ()))]
    assert all(found)
    require_golden(MESSAGES / f"{rule}.txt", "".join(text + "\n" for texts in found for text in texts))


@pytest.mark.parametrize("rule", CASES)
def test_rule_is_silent_at_its_limit(rule: str) -> None:
    require_silence(check(CASES[rule][1]), rule)


def test_alias_on_a_chip_without() -> None:
    found = find_all(check_aliases(GENERIC), "SNN211")
    require_golden(MESSAGES / "SNN211.txt", "\n".join(found) + "\n")
    require_silence(check_aliases(XYLO), "SNN211")


@pytest.mark.parametrize("port", ["port", "second"])
def test_an_infinite_threshold_is_a_readout(port: str) -> None:
    """The exception of SNN401: the potential is read, by this port or by another one."""
    outputs = (OutputPort(name="port", populations=("out",)), OutputPort(name="second", populations=("out",)))
    network = edit("populations", "out", threshold=np.full(2, np.inf), network=extend(outputs=outputs))
    assert find_all(check((network, XYLO)), "SNN401")
    require_silence(check((edit("outputs", port, network, readout="potential"), XYLO)), "SNN401")


def test_relays_count_as_neurons_and_as_targets() -> None:
    """A residual block of 5 + 5 needs 5 relays; each is one more target of the neuron that it repeats."""
    assert find_all(check((residual(), limit(XYLO, "recurrent_weights", max_fan_out=5))), "SNN205")
    require_silence(check((residual(), limit(XYLO, "recurrent_weights", max_fan_out=6))), "SNN205")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_documented_under_the_same_headings(rule: str) -> None:
    text = explain_rule(rule)
    assert text == explain_rule(RULES[rule].name)
    assert text.startswith(f"{rule} {RULES[rule].name} (")
    places = [text.find(heading) for heading in HEADINGS]
    assert -1 not in places
    assert places == sorted(places)
    assert all(len(part.split()) >= 3 for part in text.split("\n\n"))


def test_unknown_rule() -> None:
    with pytest.raises(InputError, match="SNN101"):
        explain_rule("SNN999")


def test_the_rule_table_is_up_to_date() -> None:
    require_golden(Path(__file__).parents[2] / "snnmap" / "drc" / "RULES.md", format_rules())


def test_messages_belong_to_rules() -> None:
    assert {path.stem for path in MESSAGES.glob("*.txt")} == set(RULES)

"""For each rule of agreement comparisons that break it, and one at its limit that does not."""

from dataclasses import replace
from typing import Any

from snnmap.chip import load_chip
from snnmap.lif.program import (
    Agreement,
    AgreementLimits,
    Comparison,
    PopulationComparison,
    PortComparison,
    SilentInputs,
    SourceOutputs,
)

XYLO = load_chip("xylo-audio-3")


def population(name: str = "h1", **fields: Any) -> PopulationComparison:
    """A population that does on the chip what it does in the model."""
    same = {
        "source": f"model.{name}", "size": 10, "fires": True, "is_output": False, "model_spikes": 1000, "chip_spikes": 1000,
        "active": 900, "differing": 90, "died": 0, "woke": 0, "firing": 10, "max_count": 31, "beyond": 0, "excess": 0,
        "saturated": 0, "pairs": 10000, "lowest_rate": 1.0, "highest_rate": 1.0,
    }  # fmt: skip
    return PopulationComparison(name=name, **{**same, **fields})


def port(**fields: Any) -> PortComparison:
    same = {
        "readout": "potential",
        "size": 4,
        "error": 0.02,
        "worst_error": 0.03,
        "spikes": 0,
        "saturated": 0,
        "agreements": (agreement(),),
    }
    return PortComparison(name="port", **{**same, **fields})


def agreement(**fields: Any) -> Agreement:
    return Agreement(**{"decision": "last", "agreeing": 100, "undecided": 0, **fields})


def comparison(**fields: Any) -> Comparison:
    """A bitstream that does what the model does, on 100 samples of calibration data."""
    same = {
        "drawn": False, "n_given": 100, "n_samples": 100, "n_steps": 10, "input_spikes": 5000, "is_constant": False, "clamped": 0,
        "populations": (population(),), "ports": (port(),), "limits": AgreementLimits(), "framework": "snntorch 1.0.0",
    }  # fmt: skip
    return Comparison(**{**same, **fields})


def of_population(**fields: Any) -> Comparison:
    return comparison(populations=(population(**fields),))


def of_port(**fields: Any) -> Comparison:
    return comparison(ports=(port(**fields),))


def of_silent(**fields: Any) -> Comparison:
    return comparison(silent_inputs=(SilentInputs(port="in", **fields),))


def framework(name: str) -> Comparison:
    return replace(of_population(max_count=1, excess=50, beyond=70), framework=name)


def agreeing(*counts: int, **fields: Any) -> Comparison:
    ways = tuple(agreement(decision=way, agreeing=n) for way, n in zip(("last", "mean", "max"), counts, strict=False))
    return comparison(ports=(port(agreements=ways),), **fields)


def converted(error: float, same: int) -> Comparison:
    return comparison(converted=SourceOutputs(what="torch", error=error, agreeing=same, n_samples=100))


AGREEMENT_CASES: dict[str, tuple[tuple[Comparison, ...], Comparison]] = {
    "SNN601": (
        (
            of_population(chip_spikes=700),
            of_population(chip_spikes=0, model_spikes=3000),
            of_population(model_spikes=3, chip_spikes=5),
            replace(of_population(chip_spikes=1300), drawn=True),
            replace(of_population(lowest_rate=0.4), drawn=True),
        ),
        of_population(chip_spikes=800, lowest_rate=0.4),
    ),
    "SNN602": (
        (
            of_population(max_count=1),
            of_population(max_count=1, excess=1, beyond=0),
            of_population(max_count=1, beyond=900),
            *map(framework, ("snntorch 1.0.0", "rockpool 3.1.0", "torch 2.13.0", "nir 1.0.8")),
        ),
        of_population(excess=0, beyond=5),
    ),
    "SNN603": (
        (
            of_port(spikes=3),
            of_port(saturated=2, readout="current"),
            replace(of_port(spikes=1), drawn=True),
            replace(of_port(spikes=1), drawn=True, integers=True),
            replace(of_port(spikes=1), integers=True),
        ),
        of_port(spikes=0, saturated=0),
    ),
    "SNN604": (
        (
            agreeing(80, classifies=True),
            agreeing(80),
            agreeing(94, classifies=True),
            agreeing(80, 100, 100, classifies=True),
            agreeing(80, 85, 70, classifies=True),
            agreeing(80, drawn=True, classifies=True),
            agreeing(7, n_samples=8, classifies=True),
            agreeing(1800, n_samples=2000, classifies=True),
            of_port(agreements=(agreement(decision="count", agreeing=80),), readout="spikes"),
            of_port(agreements=(agreement(agreeing=80),), error=0.5),
        ),
        agreeing(95, 95, 95),
    ),
    "SNN605": ((of_population(died=2), replace(of_population(died=9), drawn=True)), of_population(died=1)),
    "SNN606": (
        (
            of_population(saturated=300),
            replace(of_population(saturated=300), converted=SourceOutputs(what="torch", error=0.5, agreeing=100, n_samples=100)),
            replace(of_population(saturated=300), drawn=True),
        ),
        of_population(saturated=200),
    ),
    "SNN607": (
        (
            comparison(input_spikes=0, is_constant=True),
            comparison(is_constant=True),
            of_population(model_spikes=0),
            replace(of_population(model_spikes=0), drawn=True),
            comparison(populations=(population(), population("h2", model_spikes=0))),
            of_port(agreements=(agreement(undecided=100), agreement(decision="mean", undecided=100))),
            replace(of_port(agreements=(agreement(undecided=100),)), drawn=True),
            comparison(n_given=1, n_steps=99),
            of_silent(channels=(3,), n_neurons=1, coarser=6.25),
            of_silent(channels=tuple(range(10)), n_neurons=12, coarser=300.0),
            replace(of_port(agreements=(agreement(agreeing=58),)), n_samples=58),
            replace(of_port(agreements=(agreement(agreeing=98),)), drawn=True),
            comparison(drawn=True),
        ),
        replace(
            of_port(agreements=(agreement(agreeing=59, undecided=59), agreement(decision="mean", agreeing=59))), n_samples=59
        ),
    ),
    "SNN608": (
        (of_port(worst_error=0.4), of_port(error=1.2, worst_error=2.0), replace(of_port(error=1.2, worst_error=2.0), drawn=True)),
        of_port(error=0.3, worst_error=0.3),
    ),
    "SNN609": ((comparison(clamped=7),), comparison(clamped=0)),
    "SNN610": (
        (
            replace(converted(0.4, 97), ports=(port(), replace(port(), name="second"))),
            converted(0.8, 97),
            replace(converted(0.8, 97), ports=(port(error=0.6),)),
            converted(0.1, 93),
            converted(0.1, 80),
            converted(0.05, 80),
        ),
        converted(0.3, 95),
    ),
    "SNN611": ((comparison(integers=True),), replace(of_population(differing=0), integers=True)),
    "SNN612": (
        (
            replace(of_population(beyond=30), otherwise="max_count=1"),
            replace(of_population(beyond=300), otherwise="max_count=1"),
            replace(of_population(beyond=300), otherwise="overshoot='ignore': h0, h1", drawn=True),
        ),
        replace(of_population(beyond=300), otherwise="overshoot='ignore': h0"),
    ),
}


def with_limits(of: Comparison, **limits: float) -> Comparison:
    return replace(of, limits=AgreementLimits(**limits))


# rule, comparison, the severities of what is told: on either side of each edge
AGREEMENT_EDGES: tuple[tuple[str, Comparison, str], ...] = (
    ("SNN601", of_population(chip_spikes=1250), ""),
    ("SNN601", of_population(chip_spikes=1251), "error"),
    ("SNN601", of_population(chip_spikes=799), "error"),
    ("SNN601", of_population(chip_spikes=0, fires=False), ""),
    ("SNN601", of_population(model_spikes=9, chip_spikes=0), "warning"),  # 3 square roots of the spikes of both
    ("SNN601", of_population(model_spikes=10, chip_spikes=0), "error"),
    ("SNN601", of_population(model_spikes=0, chip_spikes=9), "warning"),
    ("SNN601", of_population(model_spikes=0, chip_spikes=10), "error"),
    ("SNN601", of_population(model_spikes=27, chip_spikes=54), "warning"),
    ("SNN601", of_population(model_spikes=28, chip_spikes=56), "error"),
    ("SNN602", of_population(max_count=30), "warning"),
    ("SNN602", of_population(max_count=31, excess=50, beyond=50), ""),
    ("SNN602", of_population(max_count=1, fires=False), ""),
    ("SNN602", of_population(max_count=1, is_output=True), ""),
    ("SNN602", of_population(max_count=0, is_output=True), "warning"),
    ("SNN602", of_population(max_count=1, excess=2), "error"),
    ("SNN602", of_population(max_count=1, active=2000, beyond=2), "warning"),
    ("SNN602", of_population(max_count=1, active=2000, beyond=3), "error"),
    ("SNN602", of_population(max_count=1, chip_spikes=0), "warning"),
    ("SNN603", of_port(spikes=3, saturated=2, readout="spikes"), ""),
    ("SNN604", agreeing(88, classifies=True), "error"),  # chances of 0.4% and 1.1%
    ("SNN604", agreeing(89, classifies=True), "warning"),
    ("SNN604", agreeing(57, n_samples=66, classifies=True), "error"),  # of 0.55%
    ("SNN604", of_port(agreements=(agreement(agreeing=80),), error=0.3), "warning"),
    ("SNN604", of_port(agreements=(agreement(agreeing=80),), error=0.31), "error"),
    ("SNN605", of_population(died=1, firing=9), "warning"),
    ("SNN606", of_population(saturated=201), "warning"),
    ("SNN606", of_population(saturated=300, fires=False), ""),
    ("SNN607", of_population(model_spikes=0, fires=False), ""),
    ("SNN607", of_silent(channels=(3,), n_neurons=1, coarser=4.0), ""),
    ("SNN607", of_silent(channels=(3,), n_neurons=1, coarser=4.01), "warning"),
    ("SNN607", comparison(populations=(population(model_spikes=0), population("out", fires=False))), "error"),
    ("SNN607", of_port(agreements=(agreement(undecided=99),)), ""),
    ("SNN607", of_port(agreements=(agreement(undecided=100), agreement(decision="mean", undecided=99))), ""),
    ("SNN607", replace(of_port(agreements=()), n_samples=1), ""),
    ("SNN607", replace(of_port(agreements=(agreement(agreeing=0),)), n_samples=0), "warning"),
    ("SNN607", comparison(n_given=10), ""),
    ("SNN607", comparison(n_given=1, drawn=True), "advice"),
    ("SNN607", replace(of_port(error=0.0), populations=(population(differing=0),), drawn=True), ""),
    ("SNN607", replace(of_port(error=0.0), drawn=True), "advice"),
    ("SNN607", agreeing(95, drawn=True), "warning"),
    ("SNN607", agreeing(94, drawn=True), "advice"),
    ("SNN607", agreeing(58, 55, n_samples=58), ""),
    ("SNN607", agreeing(58, n_samples=58, integers=True), ""),
    ("SNN607", replace(of_port(error=0.0, agreements=(agreement(agreeing=58),)), n_samples=58), ""),
    ("SNN607", with_limits(agreeing(58, n_samples=58), decisions=1.0), ""),
    ("SNN607", with_limits(agreeing(58, n_samples=58), decisions=0.0), ""),
    ("SNN607", with_limits(agreeing(99, drawn=True), decisions=0.0), "advice"),
    ("SNN607", with_limits(agreeing(4, n_samples=4, n_given=10), decisions=0.5), "warning"),
    ("SNN607", with_limits(agreeing(5, n_samples=5, n_given=10), decisions=0.5), ""),
    ("SNN608", of_port(error=0.5, worst_error=0.5, readout="spikes"), ""),
    ("SNN608", of_port(error=0.99, worst_error=2.0), "warning"),
    ("SNN608", of_port(error=1.0, worst_error=2.0), "error"),
    ("SNN610", converted(0.31, 97), "warning"),
    ("SNN610", converted(0.6, 97), "warning"),
    ("SNN610", converted(0.61, 97), "error"),
    ("SNN610", converted(0.11, 94), "warning"),
    ("SNN610", converted(0.11, 88), "error"),
    ("SNN610", converted(0.11, 89), "warning"),
    ("SNN610", converted(0.3 / 3, 88), "warning"),
    ("SNN610", converted(0.09, 88), "warning"),
    ("SNN610", replace(converted(0.09, 88), classifies=True), "error"),
    ("SNN611", comparison(), ""),
    ("SNN612", of_population(beyond=30), ""),
    ("SNN612", replace(of_population(beyond=30, fires=False), otherwise="max_count=1"), ""),
    ("SNN612", replace(of_population(beyond=0), otherwise="max_count=1"), ""),
    ("SNN612", replace(of_population(beyond=45), otherwise="max_count=1"), "warning"),
    ("SNN612", replace(of_population(beyond=46), otherwise="max_count=1"), "error"),
    ("SNN612", replace(of_population(beyond=1, active=0), otherwise="max_count=1"), "error"),
)

# rule, comparison, the numbers behind what is measured and its limit
AGREEMENT_NUMBERS: tuple[tuple[str, Comparison, float, float], ...] = (
    ("SNN601", of_population(chip_spikes=700), 0.7, 0.8),
    ("SNN601", of_population(chip_spikes=1300), 1.3, 1.25),
    ("SNN601", replace(of_population(lowest_rate=0.4), drawn=True), 0.4, 0.8**0.5),
    ("SNN601", replace(of_population(lowest_rate=0.8**0.5, highest_rate=2.0), drawn=True), 2.0, 1.25**0.5),
    ("SNN602", of_population(max_count=1, excess=50), 50, 1),
    ("SNN603", of_port(spikes=3, saturated=2), 5, 0),
    ("SNN604", agreeing(90, 85, 70), 0.7, 0.95),
    ("SNN605", of_population(died=2, firing=5), 2, 0.5),
    ("SNN606", of_population(saturated=300), 0.03, 0.02),
    ("SNN607", comparison(n_given=3, n_steps=9), 27, 100),
    ("SNN608", of_port(worst_error=0.4), 0.4, 0.3),
    ("SNN609", comparison(clamped=7), 7, 0),
    ("SNN610", converted(0.4, 97), 0.4, 0.3),
    ("SNN610", converted(0.1, 80), 0.8, 0.95),
    ("SNN612", replace(of_population(beyond=90), otherwise="max_count=1"), 0.1, 0.05),
    ("SNN612", replace(of_population(beyond=1, active=0), otherwise="max_count=1"), 1, 0.05),
)

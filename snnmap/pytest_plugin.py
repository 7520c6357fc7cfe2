"""Design rules in pytest: the fixture ``drc_clean`` and the option ``--snnmap-chip``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from snnmap.chip import Chip
    from snnmap.pipeline import CheckResult

__all__ = ["drc_clean", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names chips."""
    parser.getgroup("snnmap").addoption(
        "--snnmap-chip",
        action="append",
        default=[],
        metavar="NAME",
        help="Chip that drc_clean(model) checks against, name or TOML file; may be given several times. "
        "Without, those of [tool.snnmap].",
    )


@pytest.fixture
def drc_clean(request: pytest.FixtureRequest) -> "Callable[..., tuple[CheckResult, ...]]":
    """Return a function that fails the test where a model breaks a design rule of a chip; waivers of the project hold,
    and what is in its baseline is known.

    ``drc_clean(model, chip)`` takes what :func:`snnmap.check_model` takes, and its ``calibration=`` and ``labels=``. Without a
    chip, the model is checked on those of ``--snnmap-chip``, else of ``[tool.snnmap]``. With ``strict`` (or where the project
    says so) warnings fail as well; what the project chose not to be told does not. It returns what was found, by chip.
    """

    def check(
        model: object, chip: "Chip | str | None" = None, *, strict: bool | None = None, **given: Any
    ) -> "tuple[CheckResult, ...]":
        __tracebackhide__ = True
        from snnmap.chip import load_chip
        from snnmap.findings import find_config, read_baseline
        from snnmap.pipeline import CompileOptions, check_model

        project = find_config(request.path.parent)
        chips = (chip,) if chip is not None else tuple(request.config.getoption("--snnmap-chip")) or project.chips
        if not chips:
            pytest.fail(
                "drc_clean needs a chip: drc_clean(model, chip), --snnmap-chip NAME, or chips in [tool.snnmap]", pytrace=False
            )
        options = given.pop("options", None) or CompileOptions(waivers=project.waivers)
        records = [load_chip(each) for each in chips]
        found = tuple(check_model(model, record, options=options, **given) for record in records)
        strict = project.strict if strict is None else strict
        reports = [project.selection.split(result.report)[0] for result in found]
        if project.baseline:
            known = read_baseline(Path(project.baseline))
            reports = [known.split(r, record.name, record.digest.hex())[0] for r, record in zip(reports, records, strict=True)]
        told = [
            f"{record.name}: {report.summary}\n{report}"
            for record, report in zip(records, reports, strict=True)
            if not report.is_clean or (strict and report.warnings)
        ]
        if told:
            pytest.fail("\n".join(told), pytrace=False)
        return found

    return check

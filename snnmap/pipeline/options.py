"""Choices of a build."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, get_args

import numpy.typing as npt

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.errors import InputError
from snnmap.findings import Waiver
from snnmap.lif.drc import RULES, Rule, find_rule
from snnmap.lif.mapping import FoldOptions
from snnmap.lif.program import AgreementLimits, Comparison, Decision
from snnmap.lif.quantise import QuantiseOptions

__all__ = ["CompileOptions", "Rasters"]

Rasters: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOptions:
    """Choices of a build.

    Attributes:
        fold: choices of the mapping stage.
        quantise: choices of the quantisation.
        limits: how far the bitstream may be from the model before it is a finding.
        decision: how classes are read from the outputs: ``count`` of spikes, ``last``, ``mean`` or ``max`` value; where it is
            not given, every usual way is measured.
        hold_back: share of the calibration samples, evenly chosen, that the quantiser does not see and that the bitstream is
            compared on; where these would be fewer than 16, all samples are for both.
        allow: rules of family 6 (agreement), by id or name in any case, whose errors are told as warnings; ``SNN6`` is
            all of them.
        golden: samples of the calibration (or drawn) that the bitstream keeps with what it gives for them, 0 to 2, for
            ``snnmap selftest``.
        verify: run source and folded network against each other and refuse any difference.
        waivers: findings that are accepted, each with its reason: warnings, and errors of family 6.

    Raises:
        InputError: an unknown rule or way of reading, or a share that leaves nothing to calibrate on.
    """

    fold: FoldOptions = field(default_factory=FoldOptions)
    quantise: QuantiseOptions = field(default_factory=QuantiseOptions)
    limits: AgreementLimits = field(default_factory=AgreementLimits)
    decision: Decision | None = None
    hold_back: float = 0.25
    allow: tuple[str, ...] = ()
    golden: int = 2
    verify: bool = True
    waivers: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        known = {key for rule in RULES.values() for key in _allowing(rule)}
        given = (self.allow,) if isinstance(self.allow, str) else self.allow
        in_any_case = {key.lower(): key for key in known}
        object.__setattr__(self, "allow", tuple(in_any_case.get(key.lower(), key) for key in given))
        wrong = ", ".join(sorted(set(self.allow) - known))
        families = {rule.family for rule in RULES.values()} & known
        listed = f"{', '.join(sorted(families))} or some of {', '.join(sorted(known - families))}"
        InputError.require_option(self, "allow", not wrong, listed, of="the build")
        InputError.require_option(self, "hold_back", 0 <= self.hold_back <= 0.9, "0 to 0.9", of="the build")
        InputError.require_option(self, "golden", 0 <= self.golden <= 2, "0 to 2", of="the build")
        InputError.require_option(
            self,
            "decision",
            self.decision is None or self.decision in get_args(Decision),
            ", ".join(get_args(Decision)),
            of="the build",
        )

    def allows(self, diagnostic: Diagnostic) -> bool:
        """Say whether a finding is to be told as a warning."""
        return not _allowing(find_rule(diagnostic)).isdisjoint(self.allow)

    def may_waive(self, diagnostic: Diagnostic) -> bool:
        """Say whether a finding may be accepted: a build does without what it asks for."""
        return diagnostic.severity is not Severity.ERROR or bool(_allowing(find_rule(diagnostic)))


def _allowing(rule: Rule | None) -> set[str]:
    """Return the words that allow a rule: id, name or family, of a rule that judges the agreement of bitstream and model."""
    return set() if rule is None or rule.subject is not Comparison else {rule.id, rule.name, rule.family}

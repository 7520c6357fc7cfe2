"""Fixing a network: one fix after the other, each proved or measured, until nothing is left that one mends."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import IntArray, Report, record
from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.lif.drc import check_mapped, check_network, ease_relays, find_rule
from snnmap.lif.fixes.fix import FIXES, Case, Change, Fix
from snnmap.lif.fixes.trial import Difference, Trial, compare_networks, read_trial
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import MappedNetwork
from snnmap.network import Network, find_structure_problems

__all__ = ["Applied", "FixOptions", "Fixed", "fix_network"]

_MOST_STEPS = 50
_CLOSE = 1e-9
"""What the order of float64 sums makes of potentials that are read, as a share of their spread."""
_MEANINGLESS = frozenset({"SNN401", "SNN402", "SNN501"})
"""Rules about values with which a network means nothing, so that nothing can be proved or measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixOptions:
    """Choices of fixing.

    Attributes:
        fix_only: fixes that may be applied, by name; all where none is given.
        exact_only: apply only fixes that change no spike.
        strict: whether those that do change some may mend warnings too, not only errors.

    Raises:
        InputError: there is no such fix.
    """

    fix_only: tuple[str, ...] = ()
    exact_only: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        for name in self.fix_only:
            if name not in FIXES:
                raise InputError(
                    f"no fix is called '{name}'", limit=", ".join(FIXES), fix=suggest(name, FIXES, "use one of these names")
                )

    def allows(self, fix: Fix, finding: Diagnostic) -> bool:
        """Say whether a fix may be applied for a finding."""
        chosen = not self.fix_only or fix.name in self.fix_only
        heavy = finding.severity is Severity.ERROR or (self.strict and finding.severity is Severity.WARNING)
        return chosen and finding.rule in fix.answers and (fix.exact or (heavy and not self.exact_only))


@record
class Applied:
    """A fix that was applied, or taken back.

    Attributes:
        name: of the fix.
        exact: whether it changes no spike.
        done: what was done, in words.
        shown: what was proved or measured, in words.
        difference: from the network before it; of an exact fix the sum over all runs.
        refused: why it was taken back; empty where it was not.
    """

    name: str
    exact: bool
    done: str
    shown: str
    difference: Difference
    refused: str = ""

    def __str__(self) -> str:
        taken_back = f"; taken back: {self.refused}" if self.refused else ""
        return f"{self.name} ({'exact' if self.exact else 'inexact'}): {self.done}; {self.shown}{taken_back}"


@record
class Fixed:
    """A fixed network.

    Attributes:
        network: with all fixes that were applied; the given one where none was.
        applied: in their order.
        refused: fixes that were tried and taken back.
        report: of the rules on a network and on a folded one, of what is left.
    """

    network: Network
    applied: tuple[Applied, ...]
    refused: tuple[Applied, ...]
    report: Report


def fix_network(
    network: Network,
    chip: Chip,
    *,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    options: FixOptions | None = None,
    told: Callable[[Report], Report] = lambda report: report,
) -> Fixed:
    """Apply fixes until nothing is left that one mends.

    A fix that is called exact is run beside the network before it and taken back where a single count differs; what another one
    changes is measured. A fix is taken back as well where it mends nothing or breaks another rule.

    Args:
        network: any; one without a meaning (broken structure, values that are not finite) stays as it is.
        chip: that it is to fit.
        calibration: input rasters of typical use, on which weights are chosen and errors measured; drawn where left out.
        options: choices.
        told: gives the part of a report that is to be mended.

    Raises:
        InputError: calibration data that do not suit the network.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from dataclasses import replace
        >>> from snnmap.chip import load_chip
        >>> from snnmap.core import CsrMatrix
        >>> dead = replace(network.projections[0], weights=CsrMatrix.from_dense([[1.0, 0.0], [0.0, -1.0]]))
        >>> broken = replace(network, projections=(dead, network.projections[1]))
        >>> fixed = fix_network(broken, load_chip("xylo-audio-3"))
        >>> fixed.network.population("h").size, [fix.name for fix in fixed.applied]
        (1, ['drop-neurons'])
    """
    state = _judge(network, chip, {})
    if any(find_structure_problems(network)) or _MEANINGLESS & {found.rule for found in state.report.errors}:
        return Fixed(network=network, applied=(), refused=(), report=state.report)
    trial, options = read_trial(network, chip, calibration), options or FixOptions()
    state = replace(state, report=ease_relays(state.report, chip, trial.given))
    applied: list[Applied] = []
    refused: dict[str, Applied] = {}
    for _ in range(_MOST_STEPS):
        for step, reached in _try_fixes(state, chip, trial, options, told):
            if not step.refused:
                applied.append(step)
                state = reached
                break
            refused.setdefault(str(step), step)
        else:
            break
    return Fixed(network=state.network, applied=tuple(applied), refused=tuple(refused.values()), report=state.report)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """A network, folded as far as it can be, and what the rules say."""

    network: Network
    mapped: MappedNetwork | None
    report: Report


def _judge(network: Network, chip: Chip, given: Mapping[str, IntArray]) -> _State:
    report = check_network(network, chip)
    if any((rule := find_rule(found)) is None or rule.stops_folding for found in report.errors):
        return _State(network=network, mapped=None, report=report)
    mapped = fold_network(network, chip)
    return _State(network=network, mapped=mapped, report=report.merge(ease_relays(check_mapped(mapped), chip, given)))


def _try_fixes(
    state: _State, chip: Chip, trial: Trial, options: FixOptions, told: Callable[[Report], Report]
) -> Iterator[tuple[Applied, _State]]:
    """Yield what each fix that has something to mend did, and where that leads to."""
    findings = told(state.report).diagnostics
    for fix in sorted(FIXES.values(), key=lambda fix: not fix.exact):
        wanted = tuple(found for found in findings if not found.waived and options.allows(fix, found))
        case = Case(network=state.network, chip=chip, mapped=state.mapped, findings=wanted, trial=trial)
        change = fix.apply(case) if wanted else None
        if change is not None:
            reached = _judge(change.network, chip, trial.given)
            yield _weigh(fix, case, change, state.report, reached.report), reached


def _weigh(fix: Fix, case: Case, change: Change, before: Report, after: Report) -> Applied:
    """Say what a fix did, and whether it is to be kept."""
    refused, worse = _find_harm(fix, case, before, after), _tell_worse(fix, before, after)
    if refused:
        return Applied(name=fix.name, exact=fix.exact, done=change.done, shown="not run", difference=_NONE, refused=refused)
    if not fix.exact:
        found = compare_networks(case.network, change.network, change.origins, case.trial.rasters)
        shown = f"{found}, on {case.trial.inputs}{worse}"
        return Applied(name=fix.name, exact=False, done=change.done, shown=shown, difference=found)
    found = _prove(fix, case)
    shown = f"{found.n_differing} of {found.n_compared} spike counts differ{worse}"
    refused = "it is not exact here" if found.n_differing or found.readout > _CLOSE else ""
    return Applied(name=fix.name, exact=True, done=change.done, shown=shown, difference=found, refused=refused)


_NONE = Difference(readout=0.0, n_compared=0, n_active=0, n_differing=0)


def _prove(fix: Fix, case: Case) -> Difference:
    """Run the network and what a fix makes of it, on all inputs of a proof; give the sum of what differs."""
    total = _NONE
    for network, rasters in case.trial.prove_exact(case.network):
        change = fix.apply(replace(case, network=network))
        if change is None:
            raise RuntimeError(f"the fix {fix.name} does something else on rounded weights")
        total = total.add(compare_networks(network, change.network, change.origins, rasters))
    return total


def _find_harm(fix: Fix, case: Case, before: Report, after: Report) -> str:
    """Say why a fix is to be taken back: it mends nothing, or breaks a rule that was kept; empty where neither."""
    wanted, left = _weigh_all(case.findings), _weigh_all(after.diagnostics)
    if not any(left.get(key, _NOTHING) < weight for key, weight in wanted.items()):
        return "it mends nothing"
    known = {found.fingerprint for found in before.errors}
    looked = set(before.rules_run) - set(fix.answers)
    broken = [
        found for found in after.errors if found.fingerprint not in known and (found.rule in looked or not find_rule(found))
    ]
    return f"it breaks {broken[0].rule} ({broken[0].location}: {broken[0].message})" if broken else ""


def _tell_worse(fix: Fix, before: Report, after: Report) -> str:
    """Tell the violations of other rules that a fix leaves further from their limits than they were."""
    known, left = _weigh_all(before.errors), _weigh_all(after.errors)
    worse = dict[str, str]()
    for found in after.errors:
        key = found.fingerprint
        if found.rule not in fix.answers and key in known and left[key] > known[key]:
            worse[key] = (
                f"; {found.rule} at {found.location} is further off, {found.measured} of {found.limit} {found.unit}".rstrip()
            )
    return "".join(worse.values())


@dataclass(frozen=True, slots=True, order=True)
class _Weight:
    """How much is told by findings that are the same but for neurons and numbers; less of any is better."""

    n_findings: int
    n_neurons: int
    excess: float


_NOTHING = _Weight(0, 0, 0.0)


def _weigh_all(findings: Iterable[Diagnostic]) -> dict[str, _Weight]:
    """Add up findings by fingerprint."""
    found: dict[str, _Weight] = {}
    for one in findings:
        known = found.get(one.fingerprint, _NOTHING)
        found[one.fingerprint] = _Weight(
            known.n_findings + 1, known.n_neurons + one.location.n_neurons, known.excess + _excess(one)
        )  # fmt: skip
    return found


def _excess(found: Diagnostic) -> float:
    if found.measured_value is None or found.limit_value is None:
        return 0.0
    return abs(found.measured_value - found.limit_value)

"""From a model that a chip does not take to a network that it takes, as far as fixes lead there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy.typing as npt

from snnmap.chip import Chip, load_chip
from snnmap.core import Report
from snnmap.core.errors import NoRoomError
from snnmap.lif.fixes import Applied, FixOptions, fix_network
from snnmap.network import Network
from snnmap.pipeline.artifacts import CheckResult
from snnmap.pipeline.build import OnStage, check_task, open_task
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.ways import Task

__all__ = ["FixResult", "fix_model", "fix_task", "is_fixed", "open_to_fix"]

T = TypeVar("T")

_KEY = "fixes"
"""Of the provenance: what was fixed, by which a network that this made is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixResult:
    """A model as a network, fixed.

    Attributes:
        source: the model as a network, as it was.
        network: fixed; ``source`` where no fix was applied. Its provenance says what was done.
        applied: fixes, in their order, each with what was proved or measured.
        refused: fixes that were tried and taken back, each with the reason.
        checked: what the design rules say of ``network``.
    """

    source: Network
    network: Network
    applied: tuple[Applied, ...]
    refused: tuple[Applied, ...]
    checked: CheckResult


def fix_model(
    model: object,
    chip: Chip | str,
    *,
    options: CompileOptions | None = None,
    fixes: FixOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    read: Mapping[str, Any] | None = None,
    told: Callable[[Report], Report] = lambda report: report,
    on_stage: OnStage = lambda _: None,
) -> FixResult:
    """Change a model's network until the chip takes it, as far as there are fixes; the model itself stays as it is.

    A fix that is called exact changes no spike, which is shown by running both; what another one changes is measured on the
    calibration data. Findings that are waived are left alone.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: a chip record, catalog name or TOML path.
        options: choices of the build.
        fixes: which fixes may be applied.
        calibration: as :func:`compile_model` takes it.
        labels: likewise.
        read: likewise.
        told: gives the part of a report that is to be mended.
        on_stage: called with a line of text as each stage starts.

    Raises:
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.
        InputError: calibration data that do not suit the model.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> fixed = fix_model(network, "xylo-audio-3")
        >>> fixed.applied, fixed.network == network
        ((), True)
    """
    record = load_chip(chip)
    task = open_to_fix(partial(open_task, model, options, calibration, labels, read), (record,))
    return fix_task(task, record, fixes=fixes, told=told, on_stage=on_stage)


def open_to_fix(read: Callable[[Sequence[Chip]], T], chips: Sequence[Chip]) -> T:
    """Read a model for chips, or, where they have no room, for none in particular: fixes drop neurons that do nothing."""
    try:
        return read(chips)
    except NoRoomError:
        return read(())


def fix_task(
    task: Task,
    chip: Chip,
    *,
    fixes: FixOptions | None,
    told: Callable[[Report], Report] = lambda report: report,
    on_stage: OnStage,
) -> FixResult:
    """Do what :func:`fix_model` does, of a model that is read."""
    waivers = task.options.waivers

    def choose(report: Report) -> Report:
        kept = told(report)
        return kept.with_diagnostics(d for d in kept.diagnostics if not any(waiver.matches(d) for waiver in waivers))

    on_stage("fixing the network")
    found = fix_network(task.network, chip, calibration=task.calibration, options=fixes, told=choose)
    network = _sign(found.network, found.applied)
    conversion = None if found.applied else task.conversion
    checked = check_task(replace(task, network=network, conversion=conversion), chip, on_stage)
    return FixResult(source=task.network, network=network, applied=found.applied, refused=found.refused, checked=checked)


def is_fixed(network: Network) -> bool:
    """Say whether a network was made by fixes."""
    return _KEY in network.provenance


def _sign(network: Network, applied: tuple[Applied, ...]) -> Network:
    if not applied:
        return network
    told = [network.provenance.get(_KEY, ""), *map(str, applied)]
    return replace(network, provenance={**network.provenance, _KEY: "; ".join(filter(None, told))})

"""Choices of a build."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy.typing as npt

from snnmap.ir import AgreementLimits, Decision
from snnmap.mapping import FoldOptions
from snnmap.quantise import QuantiseOptions

__all__ = ["CompileOptions", "Rasters"]

Rasters: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOptions:
    """Choices of a build.

    Attributes:
        fold: choices of the mapping stage.
        quantise: choices of the quantisation.
        limits: how far the bitstream may be from the model before it is a finding.
        decision: how classes are read from the outputs: ``count`` of spikes, ``last``, ``mean`` or ``max`` value; None measures
            every usual way.
        allow: rules of family 6 (agreement), by id or name, whose errors are told as warnings; ``SNN6`` is all of them.
        verify: run source and folded network against each other and refuse any difference.
    """

    fold: FoldOptions = field(default_factory=FoldOptions)
    quantise: QuantiseOptions = field(default_factory=QuantiseOptions)
    limits: AgreementLimits = field(default_factory=AgreementLimits)
    decision: Decision | None = None
    allow: tuple[str, ...] = ()
    verify: bool = True

"""Which steps of the inputs neurons take in steps of their own."""

from collections.abc import Mapping, Sequence

import numpy as np

from snnmap.core.errors import FrontendError
from snnmap.frontends.following.signal import Part

__all__ = ["InputSteps", "OtherStepsError"]

_N_TOLD = 5
"""Steps that an error names."""
_MANY = "the neurons of one module run more often than the input has steps, with the memory that the runs before left"


class OtherStepsError(FrontendError):
    """Neurons take other steps of an input than their own, in an order of batch and time that fits."""


class InputSteps:
    """Steps of the inputs that neurons took so far.

    Attributes:
        n_given: steps that the inputs have; 0 where they have none.
    """

    def __init__(self) -> None:
        self.n_given = 0
        self._taken: dict[tuple[str, str], dict[int, list[int]]] = {}
        self._restarts: dict[tuple[str, str], int] = {}

    def mixes(self, path: str, step: int, parts: Sequence[Part]) -> bool:
        """Say whether neurons take all steps, later ones than their own too, as those of a batch; note what else they take."""
        found: dict[str, list[int]] = {}
        for part in parts:
            if part.source.kind == "input" and part.source.step is not None:
                found.setdefault(part.source.name, []).append(part.source.step)
        if any(max(steps) > step and len(steps) == self.n_given for steps in found.values()):
            return True
        for name, steps in found.items():
            taken = self._taken.setdefault((path, name), {})
            if step == 0 and taken.get(0, steps) != steps:
                self._restarts.setdefault((path, name), steps[0])
            taken[step] = steps
        return False

    def require_one_run(self, path: str, n_before: int, reset_call: str) -> None:
        """Refuse neurons that run more often than there are steps.

        Raises:
            FrontendError: they do.
        """
        if 0 < self.n_given <= n_before:
            raise FrontendError(
                _MANY,
                where=f"module '{path}'",
                measured=f"{n_before + 1} or more runs",
                limit=f"{self.n_given} steps",
                fix=f"give each place a module of its own; of one that runs over all steps again, call {reset_call} before",
            )

    def require_own(self) -> None:
        """Refuse neurons that take later steps of an input than their own.

        Raises:
            OtherStepsError: they do; it says which.
        """
        for (path, name), taken in self._taken.items():
            if any(max(steps) > step for step, steps in taken.items()):
                raise self._refuse(path, name, taken)

    def _refuse(self, path: str, name: str, taken: Mapping[int, Sequence[int]]) -> OtherStepsError:
        if (path, name) in self._restarts:
            return OtherStepsError(
                f"forward lets neurons start anew in the middle of its input '{name}'",
                where=f"module '{path}'",
                measured=f"step {self._restarts[path, name]}",
                limit="step 0",
                fix="let one loop go over all steps, and give the parts as samples of their own",
            )
        told = [" and ".join(map(str, steps)) for _, steps in sorted(taken.items())]
        what, fix = _describe([steps[0] for _, steps in sorted(taken.items()) if len(steps) == 1], len(taken), self.n_given)
        return OtherStepsError(
            f"forward takes {what} of its input '{name}'",
            where=f"module '{path}'",
            measured=f"steps {', '.join(told[:_N_TOLD])}" + (", ..." if len(told) > _N_TOLD else ""),
            limit="step 0, 1, 2, ... in step 0, 1, 2, ...",
            fix=fix,
        )


def _describe(steps: Sequence[int], n_taken: int, n_given: int) -> tuple[str, str]:
    """Return how steps are taken, and what to do."""
    strides = set(np.diff(steps).tolist())
    if len(steps) < n_taken or len(strides) != 1:
        return "other steps", "give the raster in the order in which forward needs its steps, and let it take step t in step t"
    stride = strides.pop()
    if stride == -1 and steps[0] == n_given - 1:
        return "the steps in reverse", "flip the raster before you give it, and leave the flip out of forward"
    if stride == 1:
        cut = f"[{steps[0]}:]"
        return "later steps", f"cut the raster, raster{cut}, before you give it, and leave {cut} out of forward"
    cut = f"[{steps[0] or ''}::{stride}]"
    return "not all steps", f"thin the raster out, raster{cut}, before you give it, and leave {cut} out of forward"

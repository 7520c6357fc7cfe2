"""Seconds and peak memory of the stages of a build."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stage", "StageProfile"]

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_CHECKS = ("comparing", "verifying")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a stage took, all its turns together.

    Attributes:
        name: as it is told.
        seconds: of wall clock.
        peak_bytes: most memory that the process held in it.
    """

    name: str
    seconds: float
    peak_bytes: int

    @property
    def is_check(self) -> bool:
        """Whether nothing is built in it: bitstream or folded network are held against the model."""
        return self.name.startswith(_CHECKS)


class StageProfile:
    """Measures stages as they are told: give it as ``on_stage``.

    Args:
        on_stage: is told them too.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap import compile_model
        >>> profile = StageProfile()
        >>> artifacts = compile_model(network, "xylo-audio-3", on_stage=profile)
        >>> [stage.name for stage in profile.finish()][:2]
        ['checking the design rules', 'folding into the hidden population']
    """

    def __init__(self, on_stage: Callable[[str], None] = lambda _: None) -> None:
        self._on_stage, self._name, self._since = on_stage, "", 0.0
        self._stages: dict[str, Stage] = {}

    def __call__(self, text: str) -> None:
        """Begin a stage; what ran before is over."""
        self._end()
        self._on_stage(text)
        self._name, self._since = text, time.perf_counter()
        _forget_peak()

    def finish(self) -> tuple[Stage, ...]:
        """End the last stage and return all, in the order in which they first came."""
        self._end()
        self._name = ""
        return tuple(self._stages.values())

    def _end(self) -> None:
        if self._name:
            seconds, peak = time.perf_counter() - self._since, _read_peak()
            before = self._stages.get(self._name)
            if before is not None:
                seconds, peak = before.seconds + seconds, max(before.peak_bytes, peak)
            self._stages[self._name] = Stage(name=self._name, seconds=seconds, peak_bytes=peak)


def _forget_peak() -> None:
    """Let the peak start anew, where the system can do that; elsewhere it is the highest so far."""
    if _CLEAR.exists():
        try:
            _CLEAR.write_text("5")
        except OSError:
            return


def _read_peak() -> int:
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        if "VmHWM" in lines:
            return 1024 * int(lines["VmHWM"].split()[0])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most

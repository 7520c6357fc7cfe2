"""What a window's stream keeps of each signal, and how a step moves it on."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from snnmap.delta.moving import Moving, Way, sees_last
from snnmap.frontends.torch.partial import TorchCall

__all__ = ["Kept"]

_Reach: TypeAlias = tuple[str, "Kept", int, int]


@dataclass(frozen=True, slots=True)
class _Part:
    """Places that are computed, from ``start`` to before ``stop``, and which of its inputs' places they see."""

    start: int
    stop: int
    reaches: tuple[_Reach, ...]


@dataclass(slots=True)
class Kept:
    """A signal: places of time from ``start`` to before ``stop`` of one that moves, all of one that does not.

    Attributes:
        call: that makes it; None for the window itself.
        sources: the signals that the call takes.
        way: how it moves with them; None where the call runs whole.
        moving: the window, or what the way gives.
        parts: what a step computes anew of one that moves.
        values: ``(1, ...)``, or whatever the call gives.
    """

    call: TorchCall | None
    sources: dict[str, "Kept"]
    way: Way | None
    moving: Moving | None
    start: int = 0
    stop: int = 0
    parts: list[_Part] = field(default_factory=list)
    values: Any = None

    def widen(self, start: int, stop: int) -> None:
        """Keep a range of places too."""
        self.start, self.stop = (min(start, self.start), max(stop, self.stop)) if self.stop else (start, stop)

    def widen_sources(self) -> None:
        """Let the sources keep what this signal sees of them, and find what a step computes."""
        moving = {name: source.moving for name, source in self.sources.items() if source.moving is not None}
        if self.way is None:
            is_last = 0 < len(moving) == len(self.sources) and self.call is not None and sees_last(self.call, moving)
            for name, one in moving.items():
                self.sources[name].widen(one.size - 1 if is_last else 0, one.size)
            return
        if not self.stop:
            self.widen(0, 1)  # which nobody sees
        for name, one in moving.items():
            self.sources[name].widen(*self.way.reaches(one, self.start, self.stop))
        low, high = max(self.start, self.way.out.first), min(self.stop - self.way.out.hop, self.way.out.stop)
        ranges = [(self.start, low), (high, self.stop)] if low < high else [(self.start, self.stop)]
        self.parts = [self._find_part(start, stop) for start, stop in ranges if start < stop]

    def enter(self, entering: Tensor) -> None:
        """Move the window on."""
        assert self.moving is not None
        joint = torch.cat([self.values, entering], self.moving.axis)
        n_places = self.stop - self.start
        self.values = joint.narrow(self.moving.axis, joint.shape[self.moving.axis] - n_places, n_places)

    def load(self) -> None:
        """Compute all that is kept."""
        self.values = self._run_whole() if self.way is None else self._compute(self._find_part(self.start, self.stop))

    def follow(self) -> None:
        """Compute what the step reaches, and move the rest."""
        if self.way is None:
            self.values = self._run_whole()
            return
        hop, at, pieces = self.way.out.hop, self.start, []
        for part in self.parts:
            if at < part.start:
                pieces.append(self._narrow(at + hop, part.start + hop))
            pieces.append(self._compute(part))
            at = part.stop
        if at < self.stop:
            pieces.append(self._narrow(at + hop, self.stop + hop))
        self.values = pieces[0] if len(pieces) == 1 else torch.cat(pieces, self.way.out.axis)

    def copy_whole(self) -> Any:
        """Return a copy of the whole, which a call may change, with zeros where nothing is kept since nobody looks there."""
        if self.moving is None or self.stop - self.start == self.moving.size:
            return self.values.clone() if isinstance(self.values, Tensor) else self.values
        found = self.values.new_zeros(self.moving.shape)
        found.narrow(self.moving.axis, self.start, self.stop - self.start).copy_(self.values)
        return found

    def _find_part(self, start: int, stop: int) -> _Part:
        assert self.way is not None
        reaches = []
        for name, source in self.sources.items():
            assert source.moving is not None
            reaches.append((name, source, *self.way.reaches(source.moving, start, stop)))
        return _Part(start, stop, tuple(reaches))

    def _compute(self, part: _Part) -> Tensor:
        assert self.way is not None
        values = {name: source._narrow(start, stop).clone() for name, source, start, stop in part.reaches}
        return self.way.run(values, part.start, part.stop)

    def _narrow(self, start: int, stop: int) -> Tensor:
        assert self.moving is not None
        found: Tensor = self.values.narrow(self.moving.axis, start - self.start, stop - start)
        return found

    def _run_whole(self) -> Any:
        assert self.call is not None
        return self.call.run(lambda name: self.sources[name].copy_whole())

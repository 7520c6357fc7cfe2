"""What a window's stream keeps of each signal, and how a step moves it on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from snnmap.delta.moving import Moving, Way, sees_last
from snnmap.frontends.torch.partial import TorchCall

__all__ = ["Followed", "MovingSignal", "Signal", "Whole", "Window"]


@dataclass(slots=True, kw_only=True)
class Signal:
    """A signal of which all is kept.

    Attributes:
        values: ``(1, ...)``, or whatever a call gives.
    """

    values: Any = None

    def copy_whole(self) -> Any:
        """Return a copy of the whole, which a call may change."""
        return self.values.clone() if isinstance(self.values, Tensor) else self.values


@dataclass(slots=True, kw_only=True)
class MovingSignal(Signal):
    """A signal along time, of which the places from ``start`` to before ``stop`` are kept.

    Attributes:
        moving: its shape, and how a step moves it.
    """

    moving: Moving
    start: int = 0
    stop: int = 0

    def widen(self, start: int, stop: int) -> None:
        """Keep a range of places too."""
        self.start, self.stop = (min(start, self.start), max(stop, self.stop)) if self.stop else (start, stop)

    def narrow(self, start: int, stop: int) -> Tensor:
        """Return some of the kept places."""
        found: Tensor = self.values.narrow(self.moving.axis, start - self.start, stop - start)
        return found

    def copy_whole(self) -> Any:
        """Return a copy of the whole, with zeros where nothing is kept since nobody looks there."""
        n_places = self.stop - self.start
        if n_places == self.moving.size:
            return self.values.clone()
        found = self.values.new_zeros(self.moving.shape)
        found.narrow(self.moving.axis, self.start, n_places).copy_(self.values)
        return found


@dataclass(slots=True, kw_only=True)
class Window(MovingSignal):
    """The window itself."""

    def enter(self, entering: Tensor) -> None:
        """Move the window on."""
        joint = torch.cat([self.values, entering], self.moving.axis)
        n_places = self.stop - self.start
        self.values = joint.narrow(self.moving.axis, joint.shape[self.moving.axis] - n_places, n_places)


@dataclass(frozen=True, slots=True)
class _Part:
    """Places that are computed, from ``start`` to before ``stop``, and which of its inputs' places they see."""

    start: int
    stop: int
    reaches: Mapping[str, tuple[int, int]]


@dataclass(slots=True, kw_only=True)
class Followed(MovingSignal):
    """What a call gives that moves as its sources do: only what a step reaches is computed.

    Attributes:
        call: that makes it.
        sources: the signals that the call takes.
        way: how it moves with them.
        parts: what a step computes anew.
    """

    call: TorchCall
    sources: Mapping[str, MovingSignal]
    way: Way
    parts: list[_Part] = field(default_factory=list)

    def widen_sources(self) -> None:
        """Let the sources keep what this signal sees of them, and find what a step computes."""
        if not self.stop:
            self.widen(0, 1)  # which nobody sees
        for source in self.sources.values():
            source.widen(*self.way.reaches(source.moving, self.start, self.stop))
        low, high = max(self.start, self.moving.first), min(self.stop - self.moving.hop, self.moving.stop)
        ranges = [(self.start, low), (high, self.stop)] if low < high else [(self.start, self.stop)]
        self.parts = [self._find_part(start, stop) for start, stop in ranges if start < stop]

    def load(self) -> None:
        """Compute all that is kept."""
        self.values = self._compute(self._find_part(self.start, self.stop))

    def follow(self) -> None:
        """Compute what the step reaches, and move the rest."""
        hop, at, pieces = self.moving.hop, self.start, []
        for part in self.parts:
            if at < part.start:
                pieces.append(self.narrow(at + hop, part.start + hop))
            pieces.append(self._compute(part))
            at = part.stop
        if at < self.stop:
            pieces.append(self.narrow(at + hop, self.stop + hop))
        self.values = pieces[0] if len(pieces) == 1 else torch.cat(pieces, self.moving.axis)

    def _find_part(self, start: int, stop: int) -> _Part:
        reaches = {name: self.way.reaches(source.moving, start, stop) for name, source in self.sources.items()}
        return _Part(start, stop, reaches)

    def _compute(self, part: _Part) -> Tensor:
        values = {name: self.sources[name].narrow(*reach).clone() for name, reach in part.reaches.items()}
        return self.way.run(values, part.start, part.stop)


@dataclass(slots=True, kw_only=True)
class Whole(Signal):
    """What a call gives that runs on the whole window at every step.

    Attributes:
        call: that makes it.
        sources: the signals that the call takes.
    """

    call: TorchCall
    sources: Mapping[str, Signal]

    def widen_sources(self) -> None:
        """Let the sources keep what this signal sees of them."""
        moving = {name: source for name, source in self.sources.items() if isinstance(source, MovingSignal)}
        all_move = 0 < len(moving) == len(self.sources)
        is_last = all_move and sees_last(self.call, {name: source.moving for name, source in moving.items()})
        for source in moving.values():
            source.widen(source.moving.size - 1 if is_last else 0, source.moving.size)

    def load(self) -> None:
        """Run the call."""
        self.values = self.call.run(lambda name: self.sources[name].copy_whole())

    def follow(self) -> None:
        """Run the call anew."""
        self.load()

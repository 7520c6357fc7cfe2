"""The compiled loop of the simulation: firings, not cycles; every stage goes on as long as words and room let it.

What a stage does depends on when words came and room was made, not on the order in which stages are looked at: so each is
followed as far as it can, round by round, until nothing moves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba

__all__ = ["UNKNOWN", "Log", "Plan", "follow"]

UNKNOWN = -1
"""A cycle that has not come; in lists of buffers, none."""
_compile: Callable[..., Any] = numba.njit(cache=True)


class Plan(NamedTuple):
    """Stages and buffers by number; what differs in length stands in a row, and where each one's part starts beside it.

    Attributes:
        firings: of each stage in a sample.
        steps: cycles of a firing.
        latency: cycles from the end of a firing to its words.
        given: words of a sample that a stage gives.
        gives: words that have been given behind each firing, of all stages.
        gives_at: where those of a stage start.
        pace: of an input, cycles of a sample, over which its firings are spread; 0 of others.
        ins: ``(n_stages, most)`` buffers that a stage reads.
        outs: ``(n_stages, most)`` buffers that it fills.
        source: stage that fills each buffer.
        words: of a sample that go through a buffer.
        depth: words that it holds.
        needs: words that must have come before each firing of the reader, of all buffers.
        frees: words that are not needed behind it.
        flow_at: where those of a buffer start.
    """

    firings: Any
    steps: Any
    latency: Any
    given: Any
    gives: Any
    gives_at: Any
    pace: Any
    ins: Any
    outs: Any
    source: Any
    words: Any
    depth: Any
    needs: Any
    frees: Any
    flow_at: Any


class Log(NamedTuple):
    """What a run fills in.

    Attributes:
        handed: cycles at which words took their places, of all stages and samples.
        handed_at: where those of a stage start.
        freed: cycles at which words left, of all buffers and samples.
        freed_at: where those of a buffer start.
        started: firings that each stage has started.
        given: words that it has handed over.
        owed: words that it has computed.
        ended: cycle at which it ended what it did last.
        gone: words of each buffer that are needed no more.
        stalls: ``(n_stages, n_samples)`` cycles in which a stage waited for room.
        blocked: ``(n_buffers, n_samples)`` cycles of these that a buffer was the last one full.
    """

    handed: Any
    handed_at: Any
    freed: Any
    freed_at: Any
    started: Any
    given: Any
    owed: Any
    ended: Any
    gone: Any
    stalls: Any
    blocked: Any


@_compile
def follow(plan: Plan, log: Log, n_samples: int) -> None:
    """Run samples until nothing moves: all are done, or stages wait for each other."""
    moved = True
    while moved:
        moved = False
        for stage in range(len(plan.firings)):
            while _hand_over(plan, log, stage) if log.given[stage] < log.owed[stage] else _fire(plan, log, stage, n_samples):
                moved = True


@_compile
def _hand_over(plan: Plan, log: Log, stage: int) -> bool:
    """Give a word to all buffers as soon as each has room; False where one has none before its reader goes on."""
    word = log.given[stage]
    when, full = log.ended[stage], UNKNOWN
    for place in range(plan.outs.shape[1]):
        buffer = plan.outs[stage, place]
        first = word - plan.depth[buffer]
        if buffer == UNKNOWN or first < 0:
            continue
        if first >= log.gone[buffer]:
            return False
        room = log.freed[log.freed_at[buffer] + first]
        if room > when:
            when, full = room, buffer
    if full != UNKNOWN:
        sample = word // plan.given[stage]
        log.stalls[stage, sample] += when - log.ended[stage]
        log.blocked[full, sample] += when - log.ended[stage]
    log.ended[stage] = when
    log.handed[log.handed_at[stage] + word] = when
    log.given[stage] += 1
    for place in range(plan.outs.shape[1]):
        buffer = plan.outs[stage, place]
        if buffer != UNKNOWN and word < log.gone[buffer]:  # nobody needs it: it leaves as it comes
            at = log.freed_at[buffer] + word
            log.freed[at] = max(log.freed[at], when + plan.latency[stage])
    return True


@_compile
def _fire(plan: Plan, log: Log, stage: int, n_samples: int) -> bool:
    """Start the next firing and end it; False where none is left, or a word has not come."""
    n_firings = plan.firings[stage]
    if log.started[stage] == n_firings * n_samples:
        return False
    sample, number = divmod(log.started[stage], n_firings)
    start = max(log.ended[stage], sample * plan.pace[stage] + number * plan.pace[stage] // n_firings)
    for place in range(plan.ins.shape[1]):
        buffer = plan.ins[stage, place]
        if buffer != UNKNOWN:
            source = plan.source[buffer]
            needed = sample * plan.words[buffer] + plan.needs[plan.flow_at[buffer] + number] - 1
            if needed >= log.given[source]:
                return False
            start = max(start, log.handed[log.handed_at[source] + needed] + plan.latency[source])
    end = start + plan.steps[stage]
    for place in range(plan.ins.shape[1]):
        buffer = plan.ins[stage, place]
        if buffer != UNKNOWN:
            _free(plan, log, buffer, sample * plan.words[buffer] + plan.frees[plan.flow_at[buffer] + number], end)
    log.ended[stage] = end
    log.owed[stage] = sample * plan.given[stage] + plan.gives[plan.gives_at[stage] + number]
    log.started[stage] += 1
    return True


@_compile
def _free(plan: Plan, log: Log, buffer: int, upto: int, end: int) -> None:
    """Free the words before one, those that have not come as soon as they do."""
    source = plan.source[buffer]
    for word in range(log.gone[buffer], upto):
        left = end
        if word < log.given[source]:
            left = max(left, log.handed[log.handed_at[source] + word] + plan.latency[source])
        log.freed[log.freed_at[buffer] + word] = left
    log.gone[buffer] = max(log.gone[buffer], upto)

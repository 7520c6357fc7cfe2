"""The design loop: choose, evaluate, keep; on workers of this machine or of others, resumable after any kill."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from snnmap.core.errors import InputError, SnnmapError
from snnmap.design.candidate import Curve, Outcome, evaluate, folder_of, require_start
from snnmap.design.choose import Candidate, choose_next
from snnmap.design.result import Search, write_front
from snnmap.design.space import Space, read_space
from snnmap.design.store import Store, open_store

__all__ = ["search"]

_MOST_FAILED = 5
"""Candidates that all fail, after which a search is given up."""
_MOST_DEATHS = 2
"""Of workers that had nothing else to do, after which a candidate is given up."""

OnCandidate = Callable[[Candidate], None]


def search(
    space: Space | Path | str,
    folder: Path | str,
    *,
    n_trials: int | None = None,
    n_workers: int = 1,
    executor: Executor | None = None,
    storage: str | None = None,
    on_candidate: OnCandidate = lambda _: None,
) -> Search:
    """Search a space of models, trainings and chips for the best by several objectives, and write the best as bitstreams.

    Each candidate is held against the design rules and limits, then trained, stopped where it is worse than others, built, and
    measured from its bytes. A search that ended, however it did, goes on from its folder; space and seed settle what it finds,
    whatever the workers.

    Args:
        space: or the TOML file of one (docs/search.md).
        folder: for the store and the best candidates, each the folder of a build with ``candidate.json`` and ``model.pt``.
        n_trials: candidates in all, those of an earlier run included; as the space says where left out.
        n_workers: processes of this machine, up to ``parallel`` of the space; one is this process.
        executor: workers elsewhere, in place of these, such as ``dask.distributed.Client().get_executor()``; they see the
            folder and the files that the space names under the same paths.
        storage: URL of a store that Optuna opens; without, ``search.db`` in the folder.
        on_candidate: called as each candidate ends.

    Raises:
        FrontendError: Optuna is not installed, or the model cannot be made.
        InputError: the space contradicts itself, its data do not suit, the folder is another search's, or all candidates fail.
        ChipError: an unknown or malformed chip.
        SnnmapError: workers elsewhere are gone; what was finished is kept.
    """
    space = space if isinstance(space, Space) else read_space(space)
    space, folder = replace(space, n_trials=space.n_trials if n_trials is None else n_trials), Path(folder)
    _require_workers(space, n_workers)
    with open_store(space, folder, storage) as store, _hire(n_workers, executor) as crew:
        run = _Run(space=space, store=store, folder=folder, crew=crew, candidates=store.read(), on_candidate=on_candidate)
        run.go()
        found = Search(name=space.name, objectives=space.objectives, candidates=tuple(run.candidates))
        for number in write_front(found, folder):  # built by a run whose files are gone
            run.build_again(number)
        write_front(found, folder)
        return found


def _require_workers(space: Space, n_workers: int) -> None:
    if not 1 <= n_workers <= max(1, space.parallel):
        raise InputError(
            "there are more workers than candidates that may run at a time",
            where="n_workers (--workers)",
            measured=str(n_workers),
            limit=f"1 to {space.parallel}, `parallel` of the space",
            fix=f"write parallel = {max(1, n_workers)} into the space, or take fewer",
        )


class _Here(Executor):
    """Does everything at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclass(slots=True, kw_only=True)
class _Crew:
    """Workers, and how they are replaced when one of them dies; None where they are others'."""

    executor: Executor
    n_workers: int
    replace: Callable[[], Executor] | None


@contextmanager
def _hire(n_workers: int, executor: Executor | None) -> Iterator[_Crew]:
    if executor is not None:
        yield _Crew(executor=executor, n_workers=2**31, replace=None)
        return

    def hire() -> Executor:
        return _Here() if n_workers == 1 else _make_pool(n_workers)

    crew = _Crew(executor=hire(), n_workers=n_workers, replace=hire)
    try:
        yield crew
    finally:
        crew.executor.shutdown(wait=False, cancel_futures=True)


def _make_pool(n_workers: int) -> Executor:
    return ProcessPoolExecutor(n_workers, mp_context=get_context("spawn"), initializer=_leave_with_parent)


def _leave_with_parent() -> None:
    """End this worker when the process that it works for has ended, however that did."""
    parent = parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: connection.wait([sentinel]) and os._exit(1), daemon=True).start()


@dataclass(slots=True, kw_only=True)
class _Run:
    """A search on its way."""

    space: Space
    store: Store
    folder: Path
    crew: _Crew
    candidates: list[Candidate]
    on_candidate: OnCandidate
    running: dict[Future[Outcome], int] = field(default_factory=dict)
    suspects: set[int] = field(default_factory=set)
    deaths: Counter[int] = field(default_factory=Counter)
    is_exhausted: bool = False

    def go(self) -> None:
        """Run until all candidates have an outcome."""
        if not any(candidate.outcome for candidate in self.candidates):
            self._rehearse()
        while True:
            while (candidate := self._find_startable()) is not None:
                self.running[self._submit(candidate)] = candidate.number
            if not self.running:
                return
            done, _ = wait(self.running, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda future: (future.exception() is not None, self.running[future])):
                if future in self.running:  # of workers that were replaced meanwhile
                    self._take(future)

    def _rehearse(self) -> None:
        """Make a candidate, so that what is wrong with all of them is told at once; some may be wrong alone."""
        tried: list[Candidate] = []
        errors: list[SnnmapError] = []
        for _ in range(_MOST_FAILED):
            candidate = choose_next(self.space, tried)
            if candidate is None:
                break
            try:
                require_start(self.space, candidate.values)
            except SnnmapError as error:
                errors.append(error)
            else:
                return
            tried.append(candidate)
        raise errors[0]

    def _find_startable(self) -> Candidate | None:
        """Return the next candidate that may run; it is chosen, and kept, where it is new."""
        busy = set(self.running.values())
        if len(busy) >= (1 if self.suspects else self.crew.n_workers):
            return None
        first = next((c.number for c in self.candidates if c.outcome is None), len(self.candidates))
        may_start = self.candidates[first : first + self.space.parallel]
        waiting = [c for c in may_start if c.outcome is None and c.number not in busy]
        if waiting:
            return min(waiting, key=lambda c: (c.number not in self.suspects, c.number))
        return self._add_candidate() if len(self.candidates) < first + self.space.parallel else None

    def _add_candidate(self) -> Candidate | None:
        """Choose a candidate and keep it; None where there are enough, or no other."""
        if self.is_exhausted or len(self.candidates) >= self.space.n_trials:
            return None
        chosen = choose_next(self.space, self.candidates)
        if chosen is None:
            self.is_exhausted = True
            return None
        self.store.add(chosen)
        self.candidates.append(chosen)
        return chosen

    def _submit(self, candidate: Candidate) -> Future[Outcome]:
        earlier = tuple(
            Curve(weights=c.outcome.measures["weights"], accuracies=c.outcome.accuracies)
            for c in self.candidates[: max(0, candidate.number - self.space.parallel + 1)]
            if c.outcome is not None and c.outcome.accuracies
        )
        folder = folder_of(self.folder, candidate.number)
        try:
            return self.crew.executor.submit(evaluate, self.space, dict(candidate.values), earlier, folder)
        except BrokenExecutor as error:  # while it was idle
            failed: Future[Outcome] = Future()
            failed.set_exception(error)
            return failed

    def _take(self, future: Future[Outcome]) -> None:
        """Keep what a candidate came to, or start again where its worker died."""
        number = self.running[future]
        try:
            outcome = future.result()
        except BrokenExecutor as error:
            self._replace_workers(error)
            return
        del self.running[future]
        self._keep(number, outcome)

    def _keep(self, number: int, outcome: Outcome) -> None:
        self.store.finish(number, outcome)
        self.candidates[number] = replace(self.candidates[number], outcome=outcome)
        self.suspects.discard(number)
        self.on_candidate(self.candidates[number])
        self._require_some_success()

    def _replace_workers(self, error: BrokenExecutor) -> None:
        """Let new workers do what those were at, one after the other, so that what kills them is found."""
        if self.crew.replace is None:
            raise SnnmapError(
                f"the workers are gone: {error}",
                where=str(self.folder),
                fix="start them again and search into the same folder: what was finished is kept",
            ) from error
        lost = list(self.running.values())
        self.running.clear()
        self.crew.executor.shutdown(wait=False, cancel_futures=True)
        self.crew.executor = self.crew.replace()
        if self.suspects and len(lost) == 1:
            self.deaths[lost[0]] += 1
        self.suspects |= set(lost)
        if len(lost) == 1 and self.deaths[lost[0]] >= _MOST_DEATHS:
            self._keep(lost[0], Outcome(state="failed", measures={}, reason="its worker died each time: out of memory?"))

    def _require_some_success(self) -> None:
        first = [c.outcome for c in self.candidates[:_MOST_FAILED] if c.outcome is not None]
        if len(first) == _MOST_FAILED and all(outcome.state == "failed" for outcome in first):
            raise SnnmapError(
                f"the first {_MOST_FAILED} candidates all failed: {first[0].reason}",
                where=self.space.name,
                fix="correct what they tell, and search into another folder",
            )

    def build_again(self, number: int) -> None:
        """Write the files of a candidate anew; it is evaluated as it was.

        Raises:
            SnnmapError: it now comes to something else.
        """
        candidate = self.candidates[number]
        outcome = evaluate(self.space, candidate.values, (), folder_of(self.folder, number))
        if candidate.outcome is None or outcome.measures != candidate.outcome.measures:
            raise SnnmapError(
                f"candidate {number} comes to other figures than it did",
                where=str(folder_of(self.folder, number)),
                measured=str(outcome.measures),
                limit=str(None if candidate.outcome is None else candidate.outcome.measures),
                fix="the machine or its packages have changed: search into another folder",
            )

"""Where a search is kept while it runs and afterwards: a study of Optuna, which its own tools show too."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnmap.core.errors import InputError
from snnmap.design.candidate import Outcome
from snnmap.design.choose import Candidate, find_distribution
from snnmap.design.objectives import OBJECTIVES
from snnmap.design.optimiser import open_optuna
from snnmap.design.parameters import Value, list_active
from snnmap.design.space import Space

__all__ = ["Store", "open_store"]

_OUTCOME, _SPACE = "snnmap:outcome:", "snnmap:space"
_STATES = {"finished": "COMPLETE", "broken": "PRUNED", "stopped": "PRUNED", "failed": "FAIL"}


class Store:
    """The candidates of a search, on disk as soon as they are told.

    Args:
        study: that holds them.
        optuna: the package.
        space: that they are of.
    """

    def __init__(self, study: Any, optuna: Any, space: Space) -> None:
        self._study, self._optuna, self._space = study, optuna, space

    def read(self) -> list[Candidate]:
        """Return all candidates, by number; those that ran when a search ended have no outcome."""
        kept = self._study.user_attrs
        return [
            self._to_candidate(trial, kept.get(f"{_OUTCOME}{trial.number}")) for trial in self._study.get_trials(deepcopy=False)
        ]

    def add(self, candidate: Candidate) -> None:
        """Keep a candidate that is about to run."""
        trial = self._optuna.trial
        kinds = {name: find_distribution(self._optuna, self._space.parameters[name]) for name in candidate.drawn}
        state = trial.TrialState.RUNNING
        self._study.add_trial(trial.create_trial(state=state, params=dict(candidate.drawn), distributions=kinds))

    def finish(self, number: int, outcome: Outcome) -> None:
        """Keep what became of a candidate."""
        self._study.set_user_attr(f"{_OUTCOME}{number}", json.dumps(outcome.to_plain()))
        values = [outcome.measures[name] for name in self._space.objectives] if outcome.state == "finished" else None
        self._study.tell(number, values=values, state=self._optuna.trial.TrialState[_STATES[outcome.state]])

    def _to_candidate(self, trial: Any, told: str | None) -> Candidate:
        drawn: dict[str, Value] = dict(trial.params)
        values = list_active(self._space.parameters, drawn)
        outcome = _read_outcome(told) if told is not None and trial.state.is_finished() else None
        return Candidate(number=trial.number, drawn=drawn, values=values, outcome=outcome)


def _read_outcome(text: str) -> Outcome:
    plain = json.loads(text)
    return Outcome(**{**plain, "accuracies": tuple(plain["accuracies"])})


@contextmanager
def open_store(space: Space, folder: Path, storage: str | None) -> Iterator[Store]:
    """Open the store of a search in a folder, or make it; one search at a time.

    Args:
        space: of the search.
        folder: of the search.
        storage: URL as Optuna takes it; without, ``search.db`` in the folder.

    Raises:
        InputError: another search runs there, or the store is of another space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "name a folder, or where one can be made"
        raise InputError(f"this is no folder: {error.strerror}", where=str(folder), fix=fix) from error
    with _own(folder), open_optuna() as optuna:
        url = f"sqlite:///{(folder / 'search.db').resolve()}" if storage is None else storage
        try:
            kept = optuna.storages.get_storage(url)
            study = _make_study(optuna, space, kept)
            if not study.get_trials(deepcopy=False):  # perhaps of a space that was told to be wrong
                optuna.delete_study(study_name=space.name, storage=kept)
                study = _make_study(optuna, space, kept)
        except Exception as error:  # of drivers, files and servers
            fix = "give another folder, or a storage that Optuna opens"
            raise InputError(f"the store cannot be opened: {error}", where=url, fix=fix) from error
        _require_space(study, space.describe(), url)
        try:
            yield Store(study, optuna, space)
        finally:
            kept.remove_session()


def _make_study(optuna: Any, space: Space, storage: Any) -> Any:
    directions = ["maximize" if OBJECTIVES[name].better == "higher" else "minimize" for name in space.objectives]
    return optuna.create_study(study_name=space.name, storage=storage, directions=directions, load_if_exists=True)


def _require_space(study: Any, parts: Mapping[str, str], url: str) -> None:
    """Refuse a store of another space: its candidates would be none of this search."""
    held = study.user_attrs.get(_SPACE)
    if held is None:
        study.set_user_attr(_SPACE, dict(parts))
        return
    changed = sorted(name for name in {*held, *parts} if held.get(name) != parts.get(name))
    if changed:
        raise InputError(
            "the store holds candidates of another space",
            where=url,
            measured=f"changed since: {', '.join(changed)}",
            fix="search into another folder (--output), or undo the change; n_trials alone may grow",
        )


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the system gives back when the process ends."""
    handle = os.open(folder / "search.lock", os.O_RDWR | os.O_CREAT)  # that of the folder itself is for those who write into it
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            fix = "wait for it, or search into another folder"
            raise InputError("another search runs in this folder", where=str(folder), fix=fix) from error
        yield
    finally:
        os.close(handle)

"""Jobs run once, whoever runs them and whoever dies."""

import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import dying_jobs
import pytest

from snnmap.core import jobs
from snnmap.core.errors import InputError
from snnmap.core.jobs import find_version, open_cluster, run_jobs

SQUARES = {number: number * number for number in range(9)}


def test_local_processes_and_an_executor_give_the_same() -> None:
    given = {number: (number,) for number in SQUARES}
    assert dict(run_jobs(dying_jobs.square, given, n_workers=2)) == SQUARES
    with ThreadPoolExecutor(2) as threads:
        assert dict(run_jobs(dying_jobs.square, given, threads)) == SQUARES
    assert dict(run_jobs(dying_jobs.square, {})) == {}


def test_more_jobs_than_wait_at_once_all_run() -> None:
    given = {number: (number,) for number in range(500)}
    with ThreadPoolExecutor(2) as threads:
        assert dict(run_jobs(dying_jobs.square, given, threads)) == {number: number**2 for number in range(500)}


def test_a_killed_process_changes_nothing(tmp_path: Path) -> None:
    given = {number: (number, str(tmp_path / "killed")) for number in SQUARES}
    found = list(run_jobs(dying_jobs.die_once, given, n_workers=2))
    assert sorted(found) == sorted(SQUARES.items())
    assert (tmp_path / "killed").exists()


def test_processes_that_a_broken_pool_does_not_know_are_ended() -> None:
    """A pool that breaks while it starts a process waits for that process, which nobody tells to end."""
    context = jobs._Spawning()
    process = context.Process(target=time.sleep, args=(600,))
    context.Process(target=time.sleep, args=(600,))  # not started
    process.start()
    context.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_an_executor_that_broke_is_told() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool, pytest.raises(InputError, match="lost its workers"):
        list(run_jobs(dying_jobs.die, {1: (1,)}, pool))


def test_processes_that_always_die_are_told() -> None:
    with pytest.raises(InputError, match="local processes die"):
        list(run_jobs(dying_jobs.die, {1: (1,)}, n_workers=1))


def test_a_worker_of_another_snnmap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    find_version()
    monkeypatch.setattr(jobs, "find_version", lambda: "0.0.1+of-the-caller")
    with pytest.raises(InputError, match="a worker has another snnmap") as refused:
        list(run_jobs(dying_jobs.square, {1: (1,)}, n_workers=1))
    assert refused.value.limit == "0.0.1+of-the-caller"


def test_an_error_of_a_job_is_the_caller_s() -> None:
    with pytest.raises(ValueError, match="no 3"):
        list(run_jobs(dying_jobs.refuse, {3: (3,)}, n_workers=1))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere", "http://127.0.0.1:1", ""])
def test_a_cluster_that_cannot_be_reached_is_told_with_a_fix(address: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="the cluster cannot be reached") as refused, open_cluster(address, timeout_s=1.0):
        pass
    assert "dask scheduler" in refused.value.fix

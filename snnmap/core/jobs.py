"""Jobs on other processes and machines: whatever has the interface of ``concurrent.futures`` runs them."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

import snnmap
from snnmap.core.errors import InputError
from snnmap.core.packages import import_package

__all__ = ["find_version", "open_cluster", "run_jobs"]

K = TypeVar("K")
R = TypeVar("R")
_AHEAD = 64
"""Jobs that wait with an executor, so that their data need not all be copied at once."""
_MOST_DEATHS = 3
"""Pools of local processes that may break one after the other without a job being finished."""


@lru_cache(maxsize=1)
def find_version() -> str:
    """Return snnmap's version and a digest of its source, by which workers are known to run the same code."""
    root = Path(snnmap.__file__).parent
    files = sorted(root.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{snnmap.__version__}+{digest.hexdigest()[:12]}"


def run_jobs(
    function: Callable[..., R],
    jobs: Mapping[K, tuple[Any, ...]],
    executor: Executor | None = None,
    *,
    n_workers: int | None = None,
) -> Iterator[tuple[K, R]]:
    """Run a function on the arguments of each job, and give each result as it is finished.

    A local process that dies takes nothing along: what was not finished is run again. A cluster sees to its own workers.

    Args:
        function: of a module that workers can import.
        jobs: arguments by key.
        executor: runs them; None is local processes, which scripts must start under ``if __name__ == "__main__":``.
        n_workers: local processes; as many as there are cores where left out.

    Yields:
        Key and result, in the order in which jobs are finished.

    Raises:
        InputError: workers die again and again, or have another snnmap.
    """
    if executor is not None:
        try:
            yield from _run_on(executor, function, jobs)
        except BrokenExecutor as error:
            fix = "call again with a new executor; what a table holds by then is not run again"
            raise InputError("the executor lost its workers", where=type(executor).__name__, fix=fix) from error
        return
    left, deaths = dict(jobs), 0
    while left:
        context = _Spawning()
        with ProcessPoolExecutor(min(n_workers or os.cpu_count() or 1, len(left)), mp_context=context) as pool:
            try:
                for key, result in _run_on(pool, function, dict(left)):
                    del left[key]
                    deaths = 0
                    yield key, result
            except BrokenProcessPool as error:
                context.kill()
                deaths += 1
                if deaths == _MOST_DEATHS:
                    raise _tell_deaths(len(left)) from error


class _Spawning(SpawnContext):
    """Starts processes anew, and knows them: a pool that breaks while it starts one waits for that one for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._started: list[SpawnProcess] = []

    def Process(self, *given: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802 - a class there
        process = SpawnProcess(*given, **options)
        self._started.append(process)
        return process

    def kill(self) -> None:
        for process in self._started:
            with suppress(ValueError):  # closed
                if process.is_alive():
                    process.kill()


def _tell_deaths(n_left: int) -> InputError:
    return InputError(
        "local processes die before they finish a job",
        where=f"{n_left} jobs that are left",
        measured=f"{_MOST_DEATHS} times in a row",
        fix='give fewer workers or smaller chunks where memory is short; start scripts under if __name__ == "__main__":',
    )


def _run_on(executor: Executor, function: Callable[..., R], jobs: Mapping[K, tuple[Any, ...]]) -> Iterator[tuple[K, R]]:
    left, running = iter(jobs.items()), dict[Future[R], K]()
    try:
        while True:
            for key, arguments in islice(left, _AHEAD - len(running)):
                running[executor.submit(_run_same, find_version(), function, *arguments)] = key
            if not running:
                return
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=_has_failed):
                yield running.pop(future), _take(future)
    finally:
        for future in running:
            future.cancel()


def _has_failed(future: "Future[Any]") -> bool:
    """Whether a job that is done failed; the others are given first, so that nothing finished is lost."""
    return future.exception() is not None


def _run_same(version: str, function: Callable[..., R], *arguments: Any) -> R:
    """Run a function on a worker, if that has the same snnmap."""
    if find_version() != version:
        raise InputError(
            "a worker has another snnmap",
            where=f"process {os.getpid()} on {platform.node()}",
            measured=find_version(),
            limit=version,
            fix="install the same snnmap there and start the worker anew",
        )
    return function(*arguments)


def _take(future: "Future[R]") -> R:
    """Return a result; what a worker could not even load is told as such."""
    try:
        return future.result()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"a worker cannot load what it is given: {error}",
            limit=find_version(),
            fix=f"install snnmap {snnmap.__version__} there and start the worker anew",
        ) from error


@contextmanager
def open_cluster(address: str, *, timeout_s: float = 10.0) -> Iterator[Executor]:
    """Connect to a Dask cluster that runs already; it needs the extra ``cluster``.

    Args:
        address: of its scheduler, such as ``tcp://10.0.0.1:8786``.
        timeout_s: that scheduler and a first worker may take to answer.

    Raises:
        FrontendError: ``distributed`` is not installed.
        InputError: no scheduler answers there, or it has no worker.
    """
    distributed = import_package("distributed", extra="cluster")
    try:
        client = distributed.Client(address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError, TypeError, AssertionError) as error:  # the last where its loop does not start in time
        fix = "start one with `dask scheduler`, and give the address that it prints: --cluster tcp://HOST:8786"
        raise InputError("the cluster cannot be reached", where=address, measured=_tell(error), fix=fix) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout_s)
        except TimeoutError as error:
            fix = f"start some with `dask worker {address}`"
            raise InputError("the cluster has no workers", where=address, measured="0", limit="1", fix=fix) from error
        with client.get_executor() as executor:
            yield executor


def _tell(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

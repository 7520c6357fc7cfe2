"""Options that say what runs images and jobs."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import click

from snnmap.core.errors import InputError
from snnmap.core.packages import import_package
from snnmap.lif.simulator import Engine

__all__ = ["engine_options", "open_executor", "read_engine", "worker_options"]


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what runs an image."""
    for option in (
        click.option("--device", default="cpu", show_default=True, help="Of the torch engine, such as cuda."),
        click.option(
            "--engine",
            type=click.Choice(["batch", "reference", "rtl", "torch"]),
            default="batch",
            help="All give the same numbers; rtl is the open core's Verilog.",
        ),
    ):
        command = option(command)
    return command


def read_engine(name: str, device: str) -> Engine:
    """Return the engine that a command names.

    Raises:
        FrontendError: torch is not installed.
        InputError: torch has no such device, or the engine has none to choose.
    """
    if name == "torch":
        import_package("torch")
        from snnmap.nn import torch_engine

        return torch_engine(device)
    if device != "cpu":
        raise InputError("only the torch engine has devices", where="--device", measured=device, fix="add --engine torch")
    if name == "rtl":
        from snnmap.lif.simulator import run_cores

        return run_cores
    return "reference" if name == "reference" else "batch"


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what runs jobs: local processes, or a cluster."""
    for option in (
        click.option("--workers", type=click.IntRange(min=1), help="Local processes that run the jobs."),
        click.option("--cluster", metavar="ADDRESS", help="Scheduler of a Dask cluster that runs them: tcp://HOST:8786."),
    ):
        command = option(command)
    return command


@contextmanager
def open_executor(cluster: str | None, workers: int | None) -> Iterator[Executor | None]:
    """Connect to the cluster that a command names; None where it names none.

    Raises:
        InputError: it names local processes, too, or the cluster cannot be reached.
        FrontendError: ``distributed`` is not installed.
    """
    if cluster is None:
        yield None
        return
    if workers is not None:
        fix = "leave --workers out: a cluster has its own"
        raise InputError("either a cluster or local processes run the jobs", where="--cluster, --workers", fix=fix)
    from snnmap.core.jobs import open_cluster

    with open_cluster(cluster) as executor:
        yield executor

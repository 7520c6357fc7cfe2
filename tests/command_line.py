"""Run snnmap's command line in this process."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from snnmap.cli import main

__all__ = ["Result", "Run", "make_runner"]


@dataclass
class Result:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def make_runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs a command given as its words."""

    def run(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(stopped.value.code if isinstance(stopped.value.code, int) else 0, captured.out, captured.err)

    return run

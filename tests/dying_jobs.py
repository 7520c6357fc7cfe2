"""Jobs for the tests of what happens when workers die or differ."""

import os
import signal
from pathlib import Path


def square(number: int) -> int:
    return number * number


def die_once(number: int, mark: str) -> int:
    """Kill the worker, unless the mark says that one was killed."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")

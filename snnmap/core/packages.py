"""Packages that only some users have: imported where they are used, and named where they are missing."""

import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from snnmap.core.errors import FrontendError

__all__ = ["import_nengo", "import_package"]


def import_package(name: str, *, called: str = "", extra: str = "") -> Any:
    """Return a package, which an extra installs where there is one of its name.

    Args:
        name: of the package.
        called: what its users call it, for the error.
        extra: that installs it, where it has not the package's name.

    Raises:
        FrontendError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise FrontendError(f"{called or name} is not installed", fix=_tell_install(name.partition(".")[0], extra)) from error


def _tell_install(name: str, extra: str) -> str:
    if extra:
        return f"pip install 'snnmap[{extra}]'"
    try:
        extras = metadata("snnmap").get_all("Provides-Extra") or []
    except PackageNotFoundError:  # a tree that was not installed
        extras = []
    return f"pip install 'snnmap[{name}]'" if name in extras else f"pip install {name}"


def import_nengo() -> Any:
    """Return nengo, as :func:`import_package`."""
    with warnings.catch_warnings():  # nengo 4.1 uses names that numpy 2 deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_package("nengo")

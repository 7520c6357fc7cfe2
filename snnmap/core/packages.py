"""Packages that only some users have: imported where they are used, and named where they are missing."""

import warnings
from importlib import import_module
from typing import Any

from snnmap.core.errors import FrontendError

__all__ = ["import_nengo", "import_package"]


def import_package(name: str, *, called: str = "", extra: str = "") -> Any:
    """Return a package that an extra installs.

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
        raise FrontendError(f"{called or name} is not installed", fix=f"pip install 'snnmap[{extra or name}]'") from error


def import_nengo() -> Any:
    """Return nengo, as :func:`import_package`."""
    with warnings.catch_warnings():  # nengo 4.1 uses names that numpy 2 deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_package("nengo")

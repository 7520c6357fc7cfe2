"""Forms in which the findings of a check leave: a module each, found by its name, with ``render(run) -> str``."""

import importlib
import pkgutil

from snnmap.findings.run import CheckRun

__all__ = ["list_formats", "render"]


def list_formats() -> list[str]:
    """Return the names of all forms, text first."""
    names = {module.name for module in pkgutil.iter_modules(__path__)}
    return ["text", *sorted(names - {"text"})]


def render(run: CheckRun, form: str) -> str:
    """Return the findings in a form of :func:`list_formats`, each line ended."""
    text: str = importlib.import_module(f"{__name__}.{form}").render(run)
    return text if text.endswith("\n") or not text else text + "\n"

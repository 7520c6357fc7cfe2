"""Golden files: compared in every run, written anew by ``SNNMAP_UPDATE_GOLDEN=1 pytest``, which CI refuses."""

import os
from pathlib import Path


def may_update() -> bool:
    """Say whether golden files are to be written anew.

    Raises:
        RuntimeError: in CI, where they never are.
    """
    if os.environ.get("SNNMAP_UPDATE_GOLDEN") != "1":
        return False
    if os.environ.get("CI"):
        raise RuntimeError("golden files are not written in CI")
    return True


def require_golden(path: Path, text: str) -> None:
    if may_update():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text

"""Folders that are replaced as a whole: written beside, then exchanged with the old one in one step."""

import ctypes
import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from snnmap.core.errors import InputError
from snnmap.core.fsio import make_directories, sync_directory, umask, write_synced

__all__ = ["replace_folder"]

_HERE, _EXCHANGE = -100, 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE`` of Linux's renameat2."""
_NOT_THERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV}
_MOST_KEPT = 1000
"""Files of others in a folder, beyond which it is no folder for what is written."""


def replace_folder(folder: Path, files: Mapping[str, bytes], is_replaced: Callable[[str], bool]) -> None:
    """Put a folder of these files in the place of the old one: whoever looks sees all of the old ones or all of the new.

    Writers of one folder wait for each other, and the last one wins whole. What killed ones left is removed. On file systems
    that cannot exchange two names a kill between two renames leaves no folder, and the next call brings the old one back first.

    Args:
        folder: made if absent; of a symbolic link, the folder that it points to.
        files: contents by name; a name may hold sub-folders.
        is_replaced: says of a file of the old folder, by its name, whether it goes; all others stay.

    Raises:
        InputError: the folder cannot be exchanged: a file, a mount point, the working directory or above it, or full of other
            files.
        OSError: it cannot be written or the disk is full; the old folder stays as it was.
    """
    target = Path(os.path.realpath(folder))
    _require_own_folder(target)
    with ExitStack() as undo:
        make_directories(target.parent, undo)
        with _lock(target.parent) as is_locked:
            if is_locked:
                _clear_leftovers(target)
            staged = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=".tmp", dir=target.parent))
            undo.callback(shutil.rmtree, staged, ignore_errors=True)
            _fill(staged, files)
            _keep_others(target, staged, lambda name: name in files or is_replaced(name))
            _switch(staged, target)
            undo.pop_all()
            shutil.rmtree(staged, ignore_errors=True)  # which now is the old one
            sync_directory(target.parent)


def _require_own_folder(target: Path) -> None:
    taken = next((path for path in (target, *target.parents) if path.exists() and not path.is_dir()), None)
    if taken is not None:
        raise InputError(
            "a file lies where the folder is to be", where=str(taken), fix="give another name, or move the file away first"
        )
    if target.is_dir() and (target == Path.cwd() or target in Path.cwd().parents or target.is_mount()):
        raise InputError(
            "this folder cannot be replaced as a whole: it is mounted, or the working directory is in it",
            where=str(target),
            fix=f"give a folder in it, such as {target / 'build'}",
        )


def _prefix(target: Path) -> str:
    return f".{target.name[:100]}."


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder, which the system gives back when the process ends; say whether there are locks here."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        is_locked = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            is_locked = False
        yield is_locked
    finally:
        os.close(handle)


def _clear_leftovers(target: Path) -> None:
    """Remove what killed writers left beside the folder; where one was killed between two renames, bring the old one back."""
    for entry in sorted(target.parent.glob(f"{glob.escape(_prefix(target))}*")):
        if entry.suffix == ".old" and not target.exists():
            entry.rename(target)
        elif entry.suffix in (".tmp", ".old") and entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


def _fill(staged: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        write_synced(staged / name, data)
    staged.chmod(0o777 & ~umask())
    for inner in {(staged / name).parent for name in files}:
        sync_directory(inner)


def _keep_others(target: Path, staged: Path, goes: Callable[[str], bool]) -> None:
    """Let files of others be in the new folder too."""
    found = [path for path in target.rglob("*") if path.is_symlink() or not path.is_dir()] if target.is_dir() else []
    kept = [name for path in found if not goes(name := str(path.relative_to(target)))]
    if len(kept) > _MOST_KEPT:
        raise InputError(
            "the folder holds other files, and is none for a build",
            where=str(target),
            measured=f"{len(kept)} files",
            limit=str(_MOST_KEPT),
            fix=f"give a folder of its own, such as {target / 'build'}",
        )
    for name in kept:
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(target / name, staged / name, follow_symlinks=False)
        except OSError:  # a file system without hard links
            shutil.copy2(target / name, staged / name, follow_symlinks=False)


def _switch(staged: Path, target: Path) -> None:
    """Exchange the new folder with the old one, or put it where none is."""
    try:
        staged.replace(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _exchange(staged, target)


def _exchange(staged: Path, target: Path) -> None:
    if _exchange_at_once(staged, target):
        return
    aside = staged.with_suffix(".old")
    target.rename(aside)
    try:
        staged.rename(target)
    except OSError:
        aside.rename(target)
        raise
    aside.rename(staged)


def _exchange_at_once(staged: Path, target: Path) -> bool:
    """Exchange two names in one step; say whether this system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(staged), _HERE, os.fsencode(target), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_THERE:
        return False
    raise OSError(code, os.strerror(code), str(target))

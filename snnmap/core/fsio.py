"""Files that are whole or absent: written to a temporary sibling, synced, then renamed."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

__all__ = ["make_directories", "sync_directory", "umask", "write_file", "write_files", "write_synced"]


def write_file(path: Path, data: bytes) -> None:
    """Write one file so that a crash or a full disk leaves the old one whole.

    A device or pipe is written to as it is; of a symbolic link, the file that it points to is written.

    Raises:
        OSError: when the directory cannot be written or the disk is full; nothing is left behind.
    """
    write_files(path.parent, {path.name: data})


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write several files into a directory, all or none: where one cannot be renamed into place, the old ones come back.

    Args:
        directory: made if absent (and removed again if the write fails).
        files: contents by name; a name may hold sub-directories.

    Raises:
        OSError: as for :func:`write_file`.
    """
    targets = {_follow(directory / name): data for name, data in files.items()}
    with ExitStack() as undo:
        for folder in [_follow(directory), *(target.parent for target in sorted(targets))]:
            make_directories(folder, undo)
        staged = [(_stage(target, data, undo), target) for target, data in targets.items() if not _is_stream(target)]
        for target, data in targets.items():
            if _is_stream(target):
                target.write_bytes(data)
        backups = [_back_up(temporary, target, undo) for temporary, target in staged if len(staged) > 1]
        for temporary, target in staged:
            temporary.replace(target)
        undo.pop_all()
    for backup in backups:
        backup.unlink(missing_ok=True)
    for folder in {target.parent for _, target in staged}:
        sync_directory(folder)


def _follow(path: Path) -> Path:
    """Return what symbolic links lead to; a stream keeps its name, for it may have no other."""
    return path if _is_stream(path) else Path(os.path.realpath(path))


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def make_directories(folder: Path, undo: ExitStack) -> None:
    """Make a folder and those above it; ``undo`` removes them again where they are empty."""
    missing = [parent for parent in [folder, *folder.parents] if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        undo.callback(_remove_if_empty, parent)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _stage(target: Path, data: bytes, undo: ExitStack) -> Path:
    """Write the data to a new file beside the target."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    undo.callback(temporary.unlink, missing_ok=True)
    _write_synced(handle, data)
    temporary.chmod(0o666 & ~umask())
    return temporary


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file; when this returns, it is on the disk."""
    _write_synced(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), data)


def _write_synced(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _back_up(temporary: Path, target: Path, undo: ExitStack) -> Path:
    """Keep the old file, where there is one, under a second name, and let ``undo`` bring it back."""
    backup = temporary.with_suffix(".old")
    if not target.exists():
        undo.callback(target.unlink, missing_ok=True)
        return backup
    undo.callback(backup.unlink, missing_ok=True)
    try:
        backup.hardlink_to(target)
    except OSError:  # a file system without hard links
        shutil.copy2(target, backup)
    undo.callback(_restore, backup, target)
    return backup


def _restore(backup: Path, target: Path) -> None:
    if not (target.exists() and target.samefile(backup)):
        backup.replace(target)


def umask() -> int:
    """Return the process's mask of permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_directory(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

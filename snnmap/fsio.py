"""Files that are whole or absent: written to a temporary sibling, synced, then renamed."""

import errno
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["write_file", "write_files"]


def write_file(path: Path, data: bytes) -> None:
    """Write one file so that a crash or a full disk leaves the old one whole; a device or pipe is written to as it is.

    Raises:
        OSError: when the directory cannot be written or the disk is full; nothing is left behind.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
    else:
        write_files(path.parent, {path.name: data})


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write several files into a directory; none is renamed into place before all are safely on disk.

    Args:
        directory: made if absent (and removed again if the write fails).
        files: contents by name; a name may hold sub-directories.

    Raises:
        OSError: as for :func:`write_file`.
    """
    made = _make_directories([directory, *((directory / name).parent for name in sorted(files))])
    staged: list[tuple[Path, Path]] = []
    try:
        for name, data in files.items():
            target = directory / name
            staged.append((_stage(target, data), target))
        for temporary, target in staged:
            temporary.replace(target)
    except BaseException:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise
    for folder in {target.parent for _, target in staged}:
        _sync_directory(folder)


def _stage(target: Path, data: bytes) -> Path:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
    except BaseException:
        temporary.unlink()
        raise
    return temporary


def _make_directories(folders: list[Path]) -> list[Path]:
    made: list[Path] = []
    for folder in folders:
        missing = [parent for parent in [folder, *folder.parents] if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            made.append(parent)
    return made


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

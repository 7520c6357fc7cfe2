"""The folder of a build: written as one thing, checked as one thing, marked where a later build failed."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnmap.core import fsio
from snnmap.core.errors import FormatError
from snnmap.core.folders import replace_folder

__all__ = ["FAILED_BUILD", "digest_files", "mark_failure", "require_same_build", "write_folder"]

FAILED_BUILD = "FAILED.txt"
"""File beside an older build that says why a later one into its folder failed."""
_BUILD = "build.json"
_ALWAYS = {_BUILD, FAILED_BUILD, "network.json", "report.json", "slots.csv"}
_FIX = "fetch the whole folder of the build again, or test a copy of the bitstream in a folder of its own"
_LEFT_BEHIND = re.compile(r"(.*/)?\.[^/]+\.(tmp|old)|readmemh/.*")
"""Memory files, and what builds of older versions left where they were killed."""


def digest_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file, in hexadecimal, in the order of the names."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files of a build in the place of those of the one before it; files that no build wrote stay.

    Raises:
        InputError: the folder cannot be replaced as a whole.
        OSError: it cannot be written; the build before it stays.
    """
    before = _read_build(folder)
    stem = str(before.get("bitstream", "")).removesuffix(".bin")
    known = {*_ALWAYS, f"{stem}.bin", f"{stem}.txt", *_list_digests(before)}
    replace_folder(folder, files, lambda name: name in known or _LEFT_BEHIND.fullmatch(name) is not None)


def mark_failure(folder: Path, error: Exception) -> None:
    """Say in the folder of an older build that a later one failed, and why, so that nobody takes it for that one."""
    if (folder / _BUILD).is_file():
        text = f"A later build into this folder failed; these files are of the build before it.\n\n{error}\n"
        fsio.write_file(folder / FAILED_BUILD, text.encode())


def require_same_build(bitstream: Path) -> str:
    """Refuse a bitstream beside which files of another build lie.

    Returns:
        Why none was held against it: no build lies beside it, or that of another file; empty where all were.

    Raises:
        FormatError: a file is missing, or is not the one that was written with it, or what tells of them is damaged.
    """
    told = bitstream.with_name(_BUILD)
    if not told.is_file():
        return f"{told} is not there"
    build = _read_build(bitstream.parent)
    if not (_list_digests(build) and {"bitstream", "sha256"} <= build.keys()):
        raise FormatError(f"{_BUILD} does not tell of a build", where=str(told), fix=_FIX)
    if build["bitstream"] != bitstream.name:
        return f"{told} tells of {build['bitstream']}"
    for name, digest in {**_list_digests(build), bitstream.name: build.get("sha256")}.items():
        path = bitstream.parent / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        if found != digest:
            raise FormatError(
                "the folder holds files of different builds",
                where=str(path),
                measured=found[:16],
                limit=f"{str(digest)[:16]}, as {_BUILD} says",
                fix=_FIX,
            )
    return ""


def _list_digests(build: Mapping[str, Any]) -> dict[str, str]:
    files = build.get("files")
    return files if isinstance(files, dict) else {}


def _read_build(folder: Path) -> dict[str, Any]:
    """Read what a folder's build says of its files; nothing where there is none that can be read."""
    try:
        build = json.loads((folder / _BUILD).read_bytes())
    except (OSError, ValueError):
        return {}
    return build if isinstance(build, dict) else {}

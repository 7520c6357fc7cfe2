"""The core of a chip as a shared library: translated by Verilator, compiled once and kept."""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from snnmap.chip import Chip
from snnmap.core.errors import InputError
from snnmap.core.packages import import_package
from snnmap.lif.rtl.sources import list_sources, read_text

__all__ = ["build_library"]

_MODEL = "model.cpp"
_TRANSLATE = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", "-Wno-lint", "-Wno-fatal")
_COMPILE = ("-std=c++17", "-O2", "-fPIC")
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


def build_library(chip: Chip) -> Path:
    """Return the shared library of a chip's core, with the functions of ``verilog/model.cpp``; the first call builds it.

    Libraries are kept in ``$XDG_CACHE_HOME/snnmap/rtl`` (``~/.cache/snnmap/rtl``) under a digest of all that they are made of.

    Raises:
        FrontendError: Verilator is not installed.
        InputError: there is no C++ compiler, or it fails.
        ChipError: there is no Verilog of the chip's arithmetic.
    """
    sources = {**{name: _tick_at_each_edge(text) for name, text in list_sources(chip).items()}, _MODEL: read_text(_MODEL)}
    folder = _find_cache()
    library = folder / f"{_digest(*(text for item in sorted(sources.items()) for text in item))}.so"
    if not library.exists():
        _build(sources, library)
    return library


def _tick_at_each_edge(text: str) -> str:
    """Return Verilog whose cycles begin at both edges of the clock, so that a cycle of the model is one evaluation, not two."""
    return text.replace("posedge clk", "edge clk")


def _find_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "snnmap" / "rtl"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(*texts: str) -> str:
    """Return a digest of texts, and of the tools and the machine that libraries depend on."""
    tools = (metadata.version("verilator") if _has_verilator() else "", platform.machine(), *_TRANSLATE, *_COMPILE)
    return hashlib.sha256("\0".join((*texts, *tools)).encode()).hexdigest()[:32]


def _has_verilator() -> bool:
    try:
        metadata.version("verilator")
    except metadata.PackageNotFoundError:
        return False
    return True


def _build(sources: dict[str, str], library: Path) -> None:
    root = Path(import_package("verilator", called="Verilator", extra="rtl").__file__).parent
    compiler = _find_compiler()
    runtime = library.parent / f"runtime-{_digest()}.o"
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        folder = Path(scratch)
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
        verilog = [name for name in sources if name != _MODEL]
        translate = (str(root / "bin" / "verilator_bin"), *_TRANSLATE, "--prefix", "Vchip", "--top-module", "chip", "--Mdir", ".")
        _call((*translate, *verilog), folder, {"VERILATOR_ROOT": str(root)})
        compile_one = (*compiler, *_COMPILE, "-I.", f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}")
        if not runtime.exists():
            _compile_all(compile_one, _RUNTIME, folder, "runtime")
            (folder / "runtime.o").replace(runtime)
        _compile_all(compile_one, sorted([_MODEL, *(path.name for path in folder.glob("V*.cpp"))]), folder, "all")
        _call((*compiler, "-shared", "-o", "chip.so", "all.o", str(runtime), "-lpthread"), folder)
        (folder / "chip.so").replace(library)


def _find_compiler() -> tuple[str, ...]:
    named = os.environ.get("CXX")
    found = shlex.split(named) if named else [name for name in ("g++", "clang++", "c++") if shutil.which(name)][:1]
    if not found or shutil.which(found[0]) is None:
        raise InputError(
            "the engine rtl needs a C++ compiler, and there is none",
            where=f"CXX={named}" if named else "PATH",
            limit="g++ or clang++",
            fix="install one (apt-get install g++), or give --engine batch, which gives the same numbers",
        )
    return tuple(found)


def _compile_all(compile_one: Sequence[str], names: Sequence[str], folder: Path, made: str) -> None:
    """Compile several files as one, which takes a fraction of the time."""
    (folder / f"{made}.cpp").write_text("".join(f'#include "{name}"\n' for name in names), encoding="utf-8")
    _call((*compile_one, "-c", "-o", f"{made}.o", f"{made}.cpp"), folder)


def _call(command: Sequence[str], folder: Path, variables: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(variables or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise InputError(
            f"the core cannot be built: {Path(command[0]).name} fails",
            where=" ".join(command),
            measured=(done.stderr or done.stdout).strip()[-1000:],
            fix="check the compiler, or give --engine batch, which gives the same numbers",
        )

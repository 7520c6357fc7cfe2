"""Where a user's code makes each torch module: file and line of the constructor's call."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["ConstructorLines"]


class ConstructorLines:
    """Notes from which line below a folder each torch module is made, while user code runs.

    Args:
        folder: of the user's code; packages that are installed below it do not count.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder.resolve()}/"
        self._made: dict[int, tuple[object, str, int]] = {}  # with the module, so that its id stays its own

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note the modules that are made meanwhile; nothing where torch is not in use yet."""
        torch: Any = sys.modules.get("torch")
        base = getattr(getattr(torch, "nn", None), "Module", None)
        if base is None:
            yield
            return
        make = base.__init__

        def make_and_note(module: object, *args: Any, **kwargs: Any) -> None:
            self._note(module, sys._getframe(1))
            make(module, *args, **kwargs)

        base.__init__ = make_and_note
        try:
            yield
        finally:
            base.__init__ = make

    def _note(self, module: object, frame: FrameType | None) -> None:
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self._folder) and "site-packages" not in file and not _is_within(module, frame):
                self._made[id(module)] = (module, file, frame.f_lineno)
                return
            frame = frame.f_back

    def locate(self, model: object) -> Mapping[str, tuple[str, int]]:
        """Return file and line of each module of a model, by its path in it; nothing of other models."""
        base = getattr(getattr(sys.modules.get("torch"), "nn", None), "Module", None)
        if base is None or not isinstance(model, base):
            return {}
        named = base.named_modules(model)  # frameworks have their own method of that name
        return {path: self._made[id(module)][1:] for path, module in named if id(module) in self._made}


def _is_within(module: object, frame: FrameType) -> bool:
    """Say whether a frame is the module's own method, such as its constructor."""
    code = frame.f_code
    return bool(code.co_argcount) and frame.f_locals.get(code.co_varnames[0]) is module

"""What modules of neurons keep from one call to the next, and whether forward has reset it between two."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path

__all__ = ["Memories"]


class Memories:
    """States that modules keep themselves, by path: before their first call, and after their last."""

    def __init__(self) -> None:
        self._first: dict[str, Mapping[str, Any]] = {}
        self._last: dict[str, Mapping[str, Any]] = {}

    def was_reset(self, path: str, module: nn.Module, states: Sequence[str]) -> bool:
        """Say, before a call, whether what the calls so far left in the module is again what it was before the first.

        Args:
            path: of the module.
            module: with its states.
            states: their names; empty where all that its calls change is one.
        """
        with torch._C.DisableTorchFunction():  # nothing of it is a part of forward
            return self._was_reset(path, _list_states(module), states)

    def _was_reset(self, path: str, now: Mapping[str, Any], states: Sequence[str]) -> bool:
        first, last = self._first.setdefault(path, now), self._last.get(path)
        if last is None:
            return False
        names = [name for name in last if not states or name.rpartition(".")[2] in states]
        kept = [name for name in names if not _is_same(first.get(name), last[name])]
        was_changed = any(not _is_same(now.get(name), last[name]) for name in kept)
        return was_changed and all(_starts_alike(now.get(name), first.get(name)) for name in kept)

    def keep(self, path: str, module: nn.Module) -> None:
        """Note, after a call, what the module keeps."""
        with torch._C.DisableTorchFunction():
            self._last[path] = _list_states(module)


def _list_states(module: nn.Module) -> dict[str, Any]:
    """Return a copy of all values that a module holds itself, by name."""
    held = {name: value for name, value in vars(module).items() if name not in ("_modules", "_parameters")}
    leaves, _ = tree_flatten_with_path(held)
    values = {".".join(str(getattr(key, "key", key)) for key in path): value for path, value in leaves}
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in values.items()}


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and bool((one == other).all())
    return one is other or (isinstance(one, int | float) and type(one) is type(other) and one == other)


def _starts_alike(now: Any, first: Any) -> bool:
    """Say whether a state is what it was at first; tensors of no size, and none at all, stand for zeros."""
    values = [value for value in map(_read_start, (now, first)) if value is not None]
    return len(values) == 2 and bool(torch.eq(*values).all())


def _read_start(value: Any) -> Tensor | None:
    if value is None or (isinstance(value, Tensor) and not value.numel()):
        return torch.zeros(1)
    return torch.as_tensor(value) if isinstance(value, Tensor | int | float) else None

"""Which floating-point types a torch module computes in as it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["watch_types"]


@contextmanager
def watch_types() -> Iterator[set[Any]]:
    """Give a set that gets the ``torch.dtype`` of each tensor of floats that a function or method of torch gives within."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    found = set[Any]()

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            results = func(*args, **(kwargs or {}))
            for one in results if isinstance(results, tuple | list) else [results]:
                if isinstance(one, Tensor) and one.is_floating_point():
                    found.add(one.dtype)
            return results

    with Watch():
        yield found

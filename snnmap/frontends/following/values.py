"""What the tensors of a run are made of."""

from torch import Tensor

from snnmap.core.errors import FrontendError
from snnmap.frontends.following.signal import Signal, make_constant
from snnmap.frontends.torch.modules import as_array

__all__ = ["Values"]


class Values:
    """The signal of each tensor that was followed, or why it has none."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor, Signal | FrontendError]] = {}

    def follow(self, tensor: Tensor, value: Signal | FrontendError) -> Tensor:
        """Say what a tensor is made of."""
        self._known[id(tensor)] = (tensor, value)
        return tensor

    def find(self, tensor: Tensor) -> Signal:
        """Return what a tensor is made of; one that was not followed is constant.

        Raises:
            FrontendError: of an operation that has no counterpart.
        """
        known = self._known.get(id(tensor))
        if known is None or known[0] is not tensor:
            return make_constant(as_array(tensor).reshape(-1))
        if isinstance(known[1], FrontendError):
            raise known[1]
        return known[1]

    def find_error(self, tensor: Tensor) -> FrontendError | None:
        """Return why a tensor that was followed has no signal; None where it has one."""
        known = self._known.get(id(tensor))
        return known[1] if known is not None and isinstance(known[1], FrontendError) else None

    def is_followed(self, value: object) -> bool:
        """Say whether a value is a tensor that depends on what is followed."""
        return isinstance(value, Tensor) and id(value) in self._known and self._known[id(value)][0] is value

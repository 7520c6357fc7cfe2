"""Why a forward is run again: what a run taught of its arguments, or that they are given in another order."""

from dataclasses import dataclass

from snnmap.core.errors import FrontendError

__all__ = ["Learn", "MisfitError", "OtherLayout", "refuse_unknown_size"]


class MisfitError(FrontendError):
    """Weights and their input have other sizes: of the user's, or because batch and time have another order."""


class OtherLayout(Exception):  # noqa: N818 (no error: another order of batch and time is tried)
    """The arguments of forward have batch and time in another order."""


@dataclass
class Learn(Exception):  # noqa: N818 (no error: forward is run again)
    """What running forward taught about an argument: its number of channels, that it is a state, or more steps."""

    name: str
    size: int = 0
    owner: str = ""
    steps: int = 0


def refuse_unknown_size(name: str, example: str) -> FrontendError:
    """Return the error about an input of which no layer says the shape."""
    return FrontendError(
        f"the size of input '{name}' is unknown",
        fix=f"give input_sizes=[{example}] (--read 'input_sizes=[{example}]'), the shape of a step without the batch",
    )

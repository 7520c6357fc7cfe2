"""What is wrong with a node, and what to do."""

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818
    """Raised while a node is lowered, noted, and told with all others.

    Args:
        what: is wrong.
        fix: what the user can do.
        measured: the value found.
        limit: the value allowed.
    """

    def __init__(self, what: str, fix: str, measured: str = "", limit: str = "") -> None:
        told = f" (measured {measured}, limit {limit})" if measured else ""
        super().__init__(f"{what}{told}; {fix}")

"""Work that is left to plain Python where compiled code would take longer to load than it saves."""

__all__ = ["Allowance"]


class Allowance:
    """Work that a process leaves to plain Python before it loads compiled code.

    Args:
        work: as much as takes the time of that loading.
    """

    def __init__(self, work: int) -> None:
        self.left = work

    def take(self, work: int) -> bool:
        """Use some of it up, or say that there is too little: compiled code is then loaded, and does all from there on."""
        if work > self.left:
            self.left = 0
            return False
        self.left -= work
        return True

"""What decoders of files that we write check, whatever the format."""

from snnmap.core.errors import FormatError

__all__ = ["DAMAGED", "require_intact"]

DAMAGED = "transfer the file again, in binary mode, or build it anew"
"""How to fix a file that says what encoding never writes."""


def require_intact(holds: bool, what: str, *, where: str, measured: str = "", limit: str = "", fix: str = DAMAGED) -> None:
    """Refuse a file of which something does not hold.

    Raises:
        FormatError: it does not.
    """
    if not holds:
        raise FormatError(what, where=where, measured=measured, limit=limit, fix=fix)

"""Text as XML can hold it."""

import re

__all__ = ["clean_text"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean_text(text: str) -> str:
    """Return text with U+FFFD for each character that XML 1.0 does not have (section 2.2)."""
    return _NOT_XML.sub("\ufffd", text)

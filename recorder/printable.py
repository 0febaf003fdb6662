"""Text that clients chose, made safe to show on a terminal."""


def printable(text: str) -> str:
    """`text` with escapes in place of control characters, line ends, bidirectional marks and the like."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)

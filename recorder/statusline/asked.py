"""The wishes of the command line, and the session of an agent from its JSON on stdin."""

import os
import select
import stat
import time

LATEST = "latest"
DEFAULT_FORMAT = "{session} · {day} · {month} · {plan}"
PLACES = ("session", "day", "month", "plan", "tokens", "calls")

_WITH_VALUE = {"--session": "session", "--format": "form", "--db": "db"}
_MOST_BYTES = 1 << 20  # of the JSON on stdin
_FIRST_SECONDS = 0.2  # until its first byte: a pipe that somebody holds open without a word is no JSON
_ALL_SECONDS = 0.5


class Asked:
    """The options."""

    def __init__(
        self, session: str | None = None, form: str | None = None, db: str | None = None, *, as_json: bool = False
    ) -> None:
        """`form` is the format."""
        self.session = session
        self.form = form
        self.db = db
        self.as_json = as_json

    @property
    def unknown_places(self) -> list[str]:
        """Names in braces that the format has and nobody knows."""
        names = [piece.partition("}")[0] for piece in (self.form or "").split("{")[1:] if "}" in piece]
        return [name for name in names if name not in PLACES]


def of_words(words: list[str]) -> Asked | None:
    """The options of a command line; None if it has any that the command itself has to judge, such as --help."""
    asked = Asked()
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--json":
            asked.as_json = True
        elif name not in _WITH_VALUE:
            return None
        else:
            given = value if equals else next(rest, None)
            if given is None:
                return None
            setattr(asked, _WITH_VALUE[name], given)
    return None if asked.unknown_places else asked


def document() -> str | None:
    """The text on stdin, if there can be any: nothing is read from a terminal, and nothing waited for in vain."""
    try:
        kind = os.fstat(0).st_mode
        if stat.S_ISCHR(kind):  # a terminal, /dev/null
            return None
        pieces: list[bytes] = []
        size, ends = 0, time.monotonic() + _FIRST_SECONDS
        while size <= _MOST_BYTES:
            if not select.select([0], [], [], max(ends - time.monotonic(), 0))[0]:
                break
            piece = os.read(0, 65_536)
            if not piece:
                break
            if not pieces:
                ends = time.monotonic() + _ALL_SECONDS
            pieces.append(piece)
            size += len(piece)
    except (OSError, ValueError):  # closed, or no descriptor that can be waited for
        return None
    return b"".join(pieces).decode(errors="replace") if 0 < size <= _MOST_BYTES else None

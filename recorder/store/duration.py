"""Lengths of time as people type them: `90d`, `36h`, `15m`."""

import re
from datetime import timedelta

from llm_metrics_proxy.recorder.errors import BadDuration

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_TEXT = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)


def parse_duration(name: str, text: str) -> timedelta:
    """The length of time that `text` says; `name` is what it was given for.

    Raises:
        BadDuration: it is not a whole number above 0 and one of m, h, d, w.
    """
    match = _TEXT.fullmatch(text.strip().lower())
    if match is None:
        raise BadDuration(what=f"{name} is {text[:100]!r}, which is no length of time", cure="write it like 90d or 12h")
    return int(match[1]) * _UNITS[match[2]]

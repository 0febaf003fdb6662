"""How far a plan is used, of each window that its answers state: of the session's key, else of the key seen last.

The table `quota` has a row a minute. Here it is asked for one window after the other by its key, which takes no
longer where it is full; the view `quota_headroom` also says at which pace, and reads an hour for that.
"""

import sqlite3
import time

type Window = tuple[str, float | None, str | None]
"""Its name, the share that is used, and when it is full again, in local time."""

_PLAN = "plan"  # the kind of such limits
_MOST_SHOWN = 4
_LONGEST_NAME = 24  # characters
_A_DAY_AWAY = 18 * 3600  # seconds: what resets later than this has its weekday

_MOST_WINDOWS = 500  # of all kinds, that are looked at: names of models are clients' words
_FIRST = ("",) * 5
# With the minute, though it is after all of them: else SQLite goes through all minutes of the window before.
_NEXT = """
    SELECT provider, key_id, model, kind, quota_window FROM quota
    WHERE (provider, key_id, model, kind, quota_window, minute) > (?, ?, ?, ?, ?, '~')
    ORDER BY provider, key_id, model, kind, quota_window, minute LIMIT 1
"""
_NEWEST = """
    SELECT quota_limit, remaining, unixepoch(resets_at), seen_at FROM quota
    WHERE provider = ? AND key_id = ? AND model = ? AND kind = ? AND quota_window = ? ORDER BY minute DESC LIMIT 1
"""
_WHOSE = """
    SELECT ifnull(provider, ''), ifnull(key_id, '') FROM completion_requests
    WHERE session_id = ? ORDER BY timestamp DESC LIMIT 1
"""


def of_plan(connection: sqlite3.Connection, session: str | None) -> list[Window]:
    """The windows that have not reset since, of one key: calls of several plans are never taken together."""
    now, found = time.time(), []
    place: tuple[str, ...] = _FIRST
    for _ in range(_MOST_WINDOWS):
        place = connection.execute(_NEXT, place).fetchone()
        if not place:
            break
        provider, key_id, model, kind, window = place
        if kind == _PLAN:
            limit, remaining, resets, seen = connection.execute(_NEWEST, place).fetchone()
            if resets is None or resets > now:
                found.append(((provider, key_id), seen, resets, _name(window, model), _share(limit, remaining)))
    whose = connection.execute(_WHOSE, (session,)).fetchone() if session is not None else None
    if whose is None and found:
        whose = max(found, key=lambda one: one[1])[0]
    mine = sorted((one for one in found if one[0] == whose), key=lambda one: (one[2] or 0, one[3]))
    return [(name, used, _local(resets, now)) for _, _, resets, name, used in mine[:_MOST_SHOWN]]


def _name(window: str, model: str) -> str:
    """Of printable characters alone: an answer may have stated anything."""
    text = " ".join(piece for piece in (window or "plan", model) if piece)[:_LONGEST_NAME]
    return "".join(one if one.isprintable() else "?" for one in text)


def _share(limit: float | None, remaining: float | None) -> float | None:
    return None if not limit or remaining is None else 1 - remaining / limit


def _local(resets: float | None, now: float) -> str | None:
    if resets is None:
        return None
    return time.strftime("%a %H:%M" if resets - now > _A_DAY_AWAY else "%H:%M", time.localtime(resets))

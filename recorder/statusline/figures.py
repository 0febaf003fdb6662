"""The figures of the line, each within what is left of the time: what is not known by then is left out.

A day is the local one, since that is what "today" means to somebody who looks at a prompt; a month is UTC's, as on the
providers' bills. Rows that the roll-up does not have yet are added from the table, so tokens are as of the last commit.
"""

import os
import sqlite3
import stat
import time

from llm_metrics_proxy.recorder.statusline import windows
from llm_metrics_proxy.recorder.statusline.windows import Window

SECONDS = 0.3  # for all questions together: a prompt that waits longer is worse than one that knows less
_LOCK_SECONDS = 0.05
_STEPS = 20_000  # of SQLite's machine, some tenths of a millisecond: between two looks at the clock
_RECENT = 1_000  # rows among which the latest session is looked for
_LONGEST_SESSION = 512  # characters

_NOTHING = "no database yet"
_NO_DATABASE = "no database"
_UNREADABLE = "the database cannot be read"

# calls; what is billed, of how many calls, of how many only a lower bound or nothing is known; the same of plans; of
# how many the cost is still to come
_IS_PLAN = "billing IS 'subscription'"
_LACKS = """(cost_note IS NOT NULL
    OR cost_usd IS NULL AND id > :pricing AND (success OR prompt_tokens IS NOT NULL))"""
_OF_ROWS = f"""count(*), total(iif({_IS_PLAN}, NULL, cost_usd)), count(iif({_IS_PLAN}, NULL, cost_usd)),
    total(NOT ({_IS_PLAN}) AND {_LACKS}), total(iif({_IS_PLAN}, cost_usd, NULL)),
    count(iif({_IS_PLAN}, cost_usd, NULL)), total({_IS_PLAN} AND {_LACKS}),
    total(cost_note IS NULL AND {_LACKS})"""
OF_SESSION = f"""
    SELECT {_OF_ROWS}, sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens)
    FROM completion_requests WHERE session_id = :session
"""  # noqa: S608 - texts of our own
OF_HOUR = f"""
    SELECT {_OF_ROWS} FROM completion_requests
    WHERE timestamp >= :begins AND timestamp < :first_hour AND +id <= :rollup
"""  # noqa: S608 - texts of our own
_IN_DAY_AND_MONTH = "timestamp >= :begins, timestamp >= :month"
OF_NEW_ROWS = f"""
    SELECT {_IN_DAY_AND_MONTH}, {_OF_ROWS} FROM completion_requests WHERE id > :rollup GROUP BY 1, 2
"""  # noqa: S608 - texts of our own
# A row without a cost that was added up before it was priced is in no group with a note.
UNPRICED = f"""
    SELECT {_IN_DAY_AND_MONTH}, 0, 0, 0, total(NOT ({_IS_PLAN})), 0, 0, total({_IS_PLAN}), count(*)
    FROM completion_requests
    WHERE id > :pricing AND id <= :rollup AND {_LACKS} AND cost_note IS NULL GROUP BY 1, 2
"""  # noqa: S608 - texts of our own
_OF_ROLLUP = """
    SELECT total(calls),
        total(iif(billing = 'subscription', 0, cost_usd)), total(iif(billing = 'subscription', 0, cost_usd_known)),
        total(iif(billing = 'subscription' OR cost_note = '', 0, calls)),
        total(iif(billing = 'subscription', cost_usd, 0)), total(iif(billing = 'subscription', cost_usd_known, 0)),
        total(iif(billing = 'subscription' AND cost_note <> '', calls, 0)), 0
    FROM rollup_costs WHERE span = ? AND period >= ?
"""
_LATEST_SESSION = """
    SELECT session_id FROM completion_requests
    WHERE id > (SELECT max(id) FROM completion_requests) - :recent AND session_id IS NOT NULL
    ORDER BY id DESC LIMIT 1
"""

_SESSION_OF_DOCUMENT = """
    SELECT CASE WHEN NOT json_valid(?1) THEN NULL
        WHEN json_type(?1, '$.session_id') = 'text' THEN json_extract(?1, '$.session_id') END
"""


class Refused(Exception):  # noqa: N818 - what the line says instead of figures
    """There is no database that can be asked; the text says so in a few words."""


class Costs:
    """Cost of some calls; `tokens` are those of the input, of these from a cache, and of the output, if known."""

    def __init__(self, sums: list[float], tokens: tuple[int | None, ...] = ()) -> None:
        """Sums are as `_OF_ROWS` has them."""
        self.calls = int(sums[0])
        self.is_lower_bound, self.is_plan_lower_bound = bool(sums[3]), bool(sums[6])
        self.is_to_come = bool(sums[7])
        self.usd = sums[1] if sums[2] else None
        self.plan_usd = sums[4] if sums[5] else None
        self.tokens = tokens


class Figures:
    """The known figures; None where one is not known."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.session_id: str | None = None
        self.session: Costs | None = None
        self.day: Costs | None = None
        self.month: Costs | None = None
        self.windows: list[Window] = []


def ask(path: str, session: str | None, document: str | None, latest: str) -> Figures:
    """Ask the database at `path`; the session is given, or named `latest`, or stands in `document`.

    Raises:
        Refused: there is none, or it is no database of ours.
    """
    connection = _open(path)
    ends = time.monotonic() + SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
    figures = Figures()
    try:
        connection.execute("BEGIN")  # one moment for all of it
        marks = dict(connection.execute("SELECT name, row_id FROM watermarks").fetchall())
        values: dict[str, object] = {"rollup": marks.get("rollup", 0), "pricing": marks.get("pricing", 0)}
        figures.session_id = _session(connection, session, document, latest)
        if figures.session_id is not None:
            figures.session = _of_session(connection, values | {"session": figures.session_id})
        figures.windows = windows.of_plan(connection, figures.session_id)
        figures.day, figures.month = _of_day_and_month(connection, values | _since())
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise Refused(_words(error)) from error
    except sqlite3.Error as error:
        raise Refused(_words(error)) from error
    finally:
        connection.close()
    return figures


def _open(path: str) -> sqlite3.Connection:
    try:
        real = os.path.realpath(path)
        if not os.path.exists(real) or not os.stat(real).st_size:  # noqa: PTH110, PTH116 - pathlib takes 8 ms
            raise Refused(_NOTHING)
        for file in (real, f"{real}-wal", f"{real}-shm", f"{real}-journal"):
            # SQLite would wait for the other end of a pipe.
            if os.path.lexists(file) and not stat.S_ISREG(os.lstat(file).st_mode):
                raise Refused(_NO_DATABASE)
    except OSError as error:
        raise Refused(_UNREADABLE) from error
    quoted = real.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        return sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise Refused(_words(error)) from error


def _words(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "the database is busy"
    if code == sqlite3.SQLITE_ERROR:  # no such table or column
        return "no database of this release"
    if code == sqlite3.SQLITE_NOTADB:
        return _NO_DATABASE
    return _UNREADABLE


def _session(connection: sqlite3.Connection, session: str | None, document: str | None, latest: str) -> str | None:
    if session == latest:
        found = connection.execute(_LATEST_SESSION, {"recent": _RECENT}).fetchone()
        return found[0] if found else None
    if session is None and document is not None:
        (session,) = connection.execute(_SESSION_OF_DOCUMENT, (document,)).fetchone()
    return session if isinstance(session, str) and 0 < len(session) <= _LONGEST_SESSION else None


def _of_session(connection: sqlite3.Connection, values: dict[str, object]) -> Costs:
    *sums, prompt, cached, completion = connection.execute(OF_SESSION, values).fetchone()
    return Costs(sums, (prompt, cached, completion))


def _since() -> dict[str, object]:
    """When the local day begins, when its first hour of UTC, and the month of UTC."""
    now = time.time()
    local = time.localtime(now)
    begins = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1))
    first_hour = -(-begins // 3600) * 3600
    return {"begins": _text(begins), "first_hour": _text(first_hour), "month": _text(now)[:7]}


def _of_day_and_month(connection: sqlite3.Connection, values: dict[str, object]) -> tuple[Costs, Costs]:
    """From the roll-up's hours and months; where the day begins within an hour of UTC, with the rows of that hour."""
    day = connection.execute(_OF_ROLLUP, ("hour", str(values["first_hour"])[:13])).fetchone()
    month = connection.execute(_OF_ROLLUP, ("month", values["month"])).fetchone()
    if values["begins"] != values["first_hour"]:
        day = _added(day, connection.execute(OF_HOUR, values).fetchone())
    for statement in (OF_NEW_ROWS, UNPRICED):
        for in_day, in_month, *sums in connection.execute(statement, values):
            day = _added(day, sums) if in_day else day
            month = _added(month, sums) if in_month else month
    return Costs(day), Costs(month)


def _added(one: list[float], other: list[float]) -> list[float]:
    return [left + right for left, right in zip(one, other, strict=True)]


def _text(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))

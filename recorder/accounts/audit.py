"""Session logs against rows: the same calls found in both, and what each of them has alone.

A call of a log is the row with its request's id; where the log names none, the row of the same session with the same
counts, else the one that was under way when the line was written. Calls of the log alone passed outside of the proxy,
or before it recorded. Rows without a line in the log are calls that the agent does not log, such as compactions and
titles.
"""

import json
import sqlite3
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.accounts.logged import Logged, added
from llm_metrics_proxy.recorder.accounts.session_logs import Reading
from llm_metrics_proxy.recorder.prices import newer_list
from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import cost_of
from llm_metrics_proxy.recorder.store import database, identity, timestamps

_PROVIDERS: Final = {"claude-code": "anthropic", "codex": "openai"}  # whose prices a log's counts are charged
_AROUND: Final = timedelta(hours=1)  # rows before and after what the logs cover
_SLACK_SECONDS: Final = 5.0  # between a row's end and the line about it
_SAME_COUNTS_SECONDS: Final = 600.0
_AT_ONCE: Final = 50  # calls of a session that may be under way together
_ALWAYS: Final = ("input_tokens", "output_tokens")  # in `billed`, also as 0
_DAY: Final = 10  # characters of a timestamp

_ROWS: Final = """
    SELECT timestamp, response_time_ms, session_id, provider_request_id, agent, request_kind,
        ifnull(response_model, model), prompt_tokens, completion_tokens, cost_usd, cost_note, success
    FROM completion_requests
    WHERE timestamp >= ? AND timestamp < ? AND (session_id IS NOT NULL OR provider_request_id IS NOT NULL)
    ORDER BY timestamp
"""


class Line(msgspec.Struct):
    """A day or a session as the log and the file have it; a sum is None where nothing of it is known."""

    name: str
    agent: str
    both: int = 0
    """Calls that both have."""
    log_alone: int = 0
    file_alone: int = 0
    log_input_tokens: int | None = None
    file_input_tokens: int | None = None
    log_output_tokens: int | None = None
    file_output_tokens: int | None = None
    log_usd: float | None = None
    """Cost of the log's counts at the list's prices."""
    file_usd: float | None = None
    file_is_lower_bound: bool = False
    log_too_low_input_tokens: int = 0
    """Of the calls that both have: how many tokens fewer the log has."""
    log_too_low_output_tokens: int = 0
    log_alone_usd: float | None = None
    file_alone_usd: float | None = None
    stated_usd: float | None = None
    """Cost of the session as the agent itself states it."""


class Audit(msgspec.Struct):
    """The whole of it; `days` are those of the calls' beginnings, in UTC."""

    days: list[Line]
    sessions: list[Line]
    total: Line
    sessions_outside: int
    """Sessions of the logs of which no row is there."""
    sessions_without_log: int
    """Sessions of these agents, within the time of the logs, that no log tells of."""
    file_alone_by_kind: dict[str, int]
    too_low_calls: int
    """Calls that both have, and of which the log has fewer tokens."""


class _Row(msgspec.Struct, array_like=True, eq=False):
    timestamp: str
    response_time_ms: int
    session_id: str | None
    request_id: str | None
    agent: str | None
    kind: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    note: str | None
    success: int

    begins: float = 0.0  # seconds since 1970
    ends: float = 0.0

    def __post_init__(self) -> None:
        """Read the moment once."""
        self.begins = _seconds(self.timestamp)
        self.ends = self.begins + self.response_time_ms / 1_000


def audit(path: Path, reading: Reading, own: OwnPrices) -> Audit:
    """Compare; nothing is written.

    Raises:
        BadPrices: the list of prices beside the database is damaged.
        DatabaseRefused: there is no database of the present version at `path`, or SQLite refused.
    """
    newer_list.use(path)
    calls = sorted(reading.log.calls.values(), key=lambda call: call.at)
    try:
        with closing(database.open_reader(path)) as connection:
            rows = _rows(connection, calls, reading.log.sessions)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    return _Comparison(reading, calls, rows, own).made()


def _rows(connection: sqlite3.Connection, calls: list[Logged], sessions: Mapping[str, str]) -> list[_Row]:
    """The rows of the logs' sessions and requests, and those of their agents within the logs' time."""
    if not calls:
        return []
    requests, agents = {call.request_id for call in calls if call.request_id}, set(sessions.values())
    since, until = datetime.fromisoformat(calls[0].at), datetime.fromisoformat(calls[-1].at)
    bounds = timestamps.bound(since - _AROUND), timestamps.bound(until + _AROUND)
    found = []
    for values in connection.execute(_ROWS, bounds):
        try:
            row = msgspec.convert(values, _Row)
        except (msgspec.ValidationError, ValueError):  # somebody wrote it by hand
            continue
        if row.session_id in sessions or row.request_id in requests or row.agent in agents:
            found.append(row)
    return found


def _pairs(calls: list[Logged], rows: list[_Row]) -> Iterator[tuple[Logged, _Row]]:
    """Yield each call with its row, each row once: first those that are sure."""
    by_request = {row.request_id: row for row in rows if row.request_id}
    taken: set[int] = set()
    rest = []
    for call in calls:
        row = by_request.get(call.request_id) if call.request_id else None
        if row is not None and id(row) not in taken:
            taken.add(id(row))
            yield call, row
        else:
            rest.append(call)
    for places in (_same_counts(rows), _under_way(rows)):
        unsure, rest = rest, []
        for call in unsure:
            # A row whose request has another id is another call.
            fitting = [
                row
                for row in places(call)
                if id(row) not in taken and not (call.request_id and row.request_id) and _same_model(call, row)
            ]
            if fitting:
                at = _seconds(call.at)
                nearest = min(fitting, key=lambda row: abs(row.ends - at))
                taken.add(id(nearest))
                yield call, nearest
            else:
                rest.append(call)


type _Places = Callable[[Logged], Iterable[_Row]]


def _same_counts(rows: list[_Row]) -> _Places:
    """The rows of a call's session that have its counts, and ended about when its line was written."""
    found: dict[tuple[object, ...], list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.session_id, row.input_tokens, row.output_tokens].append(row)

    def of(call: Logged) -> Iterable[_Row]:
        if call.input_tokens is None:
            return ()
        same = found.get((call.session_id, call.input_tokens, call.output_tokens), ())
        return [row for row in same if abs(row.ends - _seconds(call.at)) <= _SAME_COUNTS_SECONDS]

    return of


def _under_way(rows: list[_Row]) -> _Places:
    """The rows of a call's session that were under way when its line was written."""
    found: dict[str | None, list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.session_id].append(row)

    def of(call: Logged) -> Iterable[_Row]:
        at, in_session = _seconds(call.at), found.get(call.session_id, [])
        begun = bisect_right(in_session, at + _SLACK_SECONDS, key=lambda row: row.begins)
        last = in_session[max(begun - _AT_ONCE, 0) : begun]
        return [row for row in last if at <= row.ends + _SLACK_SECONDS]

    return of


def _same_model(call: Logged, row: _Row) -> bool:
    return not (call.model and row.model) or call.model in row.model or row.model in call.model


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


class _Comparison:
    def __init__(self, reading: Reading, calls: list[Logged], rows: list[_Row], own: OwnPrices) -> None:
        self._reading, self._calls, self._rows, self._own = reading, calls, rows, own
        self._days: dict[str, Line] = {}
        self._sessions: dict[str, Line] = {}
        self._total = Line("total", "")
        self._alone: Counter[str] = Counter()
        self._too_low = 0

    def made(self) -> Audit:
        rows = {id(row): row for row in self._rows}
        calls = {id(call): call for call in self._calls}
        for call, row in _pairs(self._calls, self._rows):
            del rows[id(row)], calls[id(call)]
            self._both(call, row)
        for call in calls.values():
            self._log_alone(call)
        logged, elsewhere = self._reading.log.sessions, set()
        for row in rows.values():
            if row.session_id in logged:
                self._file_alone(row)
            elif row.session_id is not None and self._is_within(row):
                elsewhere.add(row.session_id)
        for session, stated in self._reading.log.stated.items():
            if session in self._sessions:
                self._sessions[session].stated_usd = stated.usd
                self._total.stated_usd = _sum(self._total.stated_usd, stated.usd)
        return Audit(
            days=[self._days[day] for day in sorted(self._days)],
            sessions=list(self._sessions.values()),
            total=self._total,
            sessions_outside=len({call.session_id for call in self._calls} - {row.session_id for row in self._rows}),
            sessions_without_log=len(elsewhere),
            file_alone_by_kind=dict(self._alone.most_common()),
            too_low_calls=self._too_low,
        )

    def _lines(self, at: str, session: str, agent: str) -> tuple[Line, Line, Line]:
        day = at[:_DAY]
        return (
            self._days.setdefault(day, Line(day, "")),
            self._sessions.setdefault(session, Line(session, agent)),
            self._total,
        )

    def _both(self, call: Logged, row: _Row) -> None:
        usd = self._usd(call)
        less_input, less_output = (
            _less(call.input_tokens, row.input_tokens),
            _less(call.output_tokens, row.output_tokens),
        )
        self._too_low += less_input > 0 or less_output > 0
        for line in self._lines(row.timestamp, call.session_id, call.agent):
            line.both += 1
            line.log_too_low_input_tokens += less_input
            line.log_too_low_output_tokens += less_output
            _add_log(line, call, usd)
            _add_row(line, row)

    def _log_alone(self, call: Logged) -> None:
        usd = self._usd(call)
        for line in self._lines(call.at, call.session_id, call.agent):
            line.log_alone += 1
            line.log_alone_usd = _sum(line.log_alone_usd, usd)
            _add_log(line, call, usd)

    def _file_alone(self, row: _Row) -> None:
        if not (row.input_tokens or row.output_tokens or row.usd):  # nothing was used: refused, or a prewarm
            return
        self._alone[row.kind or "unknown"] += 1
        for line in self._lines(row.timestamp, row.session_id or "", row.agent or ""):
            line.file_alone += 1
            line.file_alone_usd = _sum(line.file_alone_usd, row.usd)
            _add_row(line, row)

    def _is_within(self, row: _Row) -> bool:
        return bool(self._calls) and self._calls[0].at <= row.timestamp <= self._calls[-1].at

    def _usd(self, call: Logged) -> float | None:
        """Cost of the log's counts at the list's prices, or at the user's own."""
        if call.input_tokens is None or call.model is None:
            return None
        billed = {
            "input_tokens": call.input_tokens,
            "cache_read_tokens": call.cached_tokens,
            "cache_write_tokens": call.cache_write_tokens,
            "cache_write_1h_tokens": call.cache_write_1h_tokens,
            "output_tokens": call.output_tokens or 0,
        }
        known = json.dumps({name: count for name, count in billed.items() if count or name in _ALWAYS})
        priced = Call(call.at, provider=_PROVIDERS[call.agent], operation="chat", model=call.model, billed=known)
        return cost_of(priced, self._own).usd


def _add_log(line: Line, call: Logged, usd: float | None) -> None:
    line.log_input_tokens = added(line.log_input_tokens, call.input_tokens)
    line.log_output_tokens = added(line.log_output_tokens, call.output_tokens)
    line.log_usd = _sum(line.log_usd, usd)


def _add_row(line: Line, row: _Row) -> None:
    line.file_input_tokens = added(line.file_input_tokens, row.input_tokens)
    line.file_output_tokens = added(line.file_output_tokens, row.output_tokens)
    line.file_usd = _sum(line.file_usd, row.usd)
    line.file_is_lower_bound |= row.note is not None or (row.usd is None and bool(row.success))


def _less(logged: int | None, recorded: int | None) -> int:
    """How many tokens fewer the log has; 0 where either is not known."""
    return 0 if recorded is None or logged is None else max(recorded - logged, 0)


def _sum(known: float | None, more: float | None) -> float | None:
    return known if more is None else (known or 0.0) + more

"""Providers' exports against rows: for the times that an export covers, what both have, by day, model and key.

A row is put into the day of the export in which it began, so that days of another time zone are compared as they are.
Left out is what no such export has: calls of plans, and calls that failed without using anything.
"""

import re
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.accounts.exported import COST, USAGE, Exported
from llm_metrics_proxy.recorder.accounts.exports import Exports
from llm_metrics_proxy.recorder.accounts.logged import added
from llm_metrics_proxy.recorder.figures.sums import PLAN
from llm_metrics_proxy.recorder.store import database, identity, timestamps

_DAY_SECONDS: Final = 86_400.0
_NOT_TOLD: Final = "(not told)"
_DATED: Final = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2})|:[a-z]+)+$", re.ASCII)
# In which of OpenAI's kinds of usage a call is; all others are completions.
_KINDS: Final = {
    ("openai", "embeddings"): f"{USAGE}.embeddings",
    ("openai", "image_generation"): f"{USAGE}.images",
    ("openai", "speech"): f"{USAGE}.audio_speeches",
    ("openai", "transcription"): f"{USAGE}.audio_transcriptions",
    ("openai", "decision"): f"{USAGE}.decisions",
}
_OTHER_KINDS: Final = {"openai": f"{USAGE}.completions"}

_ROWS: Final = """
    SELECT timestamp, response_time_ms, provider, operation, ifnull(response_model, model), key_id, prompt_tokens,
        completion_tokens, cost_usd, cost_note, success, billing, service_tier, usage_source
    FROM completion_requests WHERE timestamp >= ? AND timestamp < ? AND provider IS NOT NULL
"""


class Line(msgspec.Struct):
    """Export and file about the same; a sum is None where nothing of it is known."""

    name: str
    provider: str
    export_calls: int | None = None
    file_calls: int = 0
    export_input_tokens: int | None = None
    file_input_tokens: int | None = None
    export_output_tokens: int | None = None
    file_output_tokens: int | None = None
    export_usd: float | None = None
    file_usd: float | None = None
    file_is_lower_bound: bool = False


class Part(msgspec.Struct):
    """Rows that explain a difference."""

    calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None

    def add(self, row: "_Row") -> None:
        """Count a row."""
        self.calls += 1
        self.input_tokens = added(self.input_tokens, row.input_tokens)
        self.output_tokens = added(self.output_tokens, row.output_tokens)
        self.usd = _sum(self.usd, row.usd)


class Reconciled(msgspec.Struct):
    """The whole of it; coverage is the file's share of the export, in per cent."""

    total: Line
    days: list[Line]
    models: list[Line]
    keys: list[Line]
    coverage: dict[str, float | None]
    explained: dict[str, Part]
    """`failed` and `plan` are left out; `cut`, `batch`, `over_midnight` and `without_cost` are among the figures."""
    export_batch_calls: int | None
    days_begin_at: list[str]
    """The time of day in UTC, where it is not midnight."""
    discount_usd: float | None


class _Row(msgspec.Struct, array_like=True, eq=False):
    timestamp: str
    response_time_ms: int
    provider: str
    operation: str | None
    model: str | None
    key_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    note: str | None
    success: int
    billing: str | None
    service_tier: str | None
    usage_source: str | None

    @property
    def begins(self) -> float:
        return datetime.fromisoformat(self.timestamp).timestamp()

    @property
    def kind(self) -> str:
        return _KINDS.get((self.provider, self.operation or ""), _OTHER_KINDS.get(self.provider, USAGE))

    @property
    def is_nothing(self) -> bool:
        """It failed, and used nothing."""
        return not (self.success or self.input_tokens or self.output_tokens or self.usd)


class _Covered:
    """The times that exports cover, by provider and kind."""

    def __init__(self, spans: Iterable[tuple[str, str, float, float]]) -> None:
        self._spans: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for provider, kind, since, until in spans:
            self._spans[provider, kind].append((since, until))
        for found in self._spans.values():
            found.sort()

    def span(self, provider: str, kind: str, at: float) -> tuple[float, float] | None:
        """The one in which a moment lies."""
        found = self._spans.get((provider, kind), [])
        place = bisect_right(found, (at, float("inf")))
        return found[place - 1] if place and at < found[place - 1][1] else None


def reconcile(path: Path, exports: Exports, keys: Mapping[str, str]) -> Reconciled:
    """Compare; nothing is written. With `keys`, names of the export's keys and our ids, only calls of these.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`, or SQLite refused.
    """
    comparison = _Comparison(exports, keys)
    try:
        with closing(database.open_reader(path)) as connection:
            if exports.spans:
                bounds = min(span[2] for span in exports.spans), max(span[3] for span in exports.spans)
                for values in connection.execute(_ROWS, [timestamps.bound(_moment(at)) for at in bounds]):
                    comparison.add_row(values)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    return comparison.made()


class _Comparison:
    def __init__(self, exports: Exports, keys: Mapping[str, str]) -> None:
        self._covered = _Covered(exports.spans)
        self._keys = keys
        self._names = {key_id: name for name, key_id in keys.items()}
        lines = [line for line in exports.lines if not keys or line.key in keys]
        self._tell_models = {(line.provider, line.kind) for line in lines if line.model is not None}
        self._tell_keys = {(line.provider, line.kind) for line in lines if line.key is not None}
        # Where costs stand in lines of usage, these tell of what they are.
        self._tell_models |= {
            (line.provider, COST) for line in lines if line.usd is not None and line.model is not None
        }
        self._tell_keys |= {(line.provider, COST) for line in lines if line.usd is not None and line.key is not None}
        self._total = Line("total", "")
        self._days: dict[tuple[str, str], Line] = {}
        self._models: dict[tuple[str, str], Line] = {}
        self._by_key: dict[tuple[str, str], Line] = {}
        self._parts: defaultdict[str, Part] = defaultdict(Part)
        self._batch: int | None = None
        self._discount: float | None = None
        self._offsets: set[str] = set()
        for line in lines:
            self._add_line(line)

    def _add_line(self, line: Exported) -> None:
        day = _day(line.since, (line.since, line.until))
        if line.until - line.since >= _DAY_SECONDS and line.since % _DAY_SECONDS:
            self._offsets.add(f"{_moment(line.since):%H:%M}")
        if line.is_batch:
            self._batch = added(self._batch, line.calls)
        if line.list_usd is not None and line.usd is not None:
            self._discount = _sum(self._discount, line.list_usd - line.usd)
        for found in self._lines(line.provider, day, _plain(line.model), line.key or _NOT_TOLD):
            found.export_calls = added(found.export_calls, line.calls)
            found.export_input_tokens = added(found.export_input_tokens, line.input_tokens)
            found.export_output_tokens = added(found.export_output_tokens, line.output_tokens)
            found.export_usd = _sum(found.export_usd, line.usd)

    def add_row(self, values: tuple[object, ...]) -> None:
        try:
            row = msgspec.convert(values, _Row)
            at = row.begins
        except (msgspec.ValidationError, ValueError):  # somebody wrote it by hand
            return
        if self._keys and row.key_id not in self._names:
            return
        used = self._covered.span(row.provider, row.kind, at)
        paid = self._covered.span(row.provider, COST, at)
        span = used or paid
        if span is None:
            return
        if row.billing == PLAN or row.is_nothing:
            self._parts["plan" if row.billing == PLAN else "failed"].add(row)
            return
        self._explain(row, at, span, is_paid=paid is not None)
        if used:
            for line in self._of_row(row, row.kind, at, used):
                line.file_calls += 1
                line.file_input_tokens = added(line.file_input_tokens, row.input_tokens)
                line.file_output_tokens = added(line.file_output_tokens, row.output_tokens)
        if paid:
            for line in self._of_row(row, COST, at, paid):
                line.file_usd = _sum(line.file_usd, row.usd)
                line.file_is_lower_bound |= row.note is not None or row.usd is None

    def _of_row(self, row: _Row, kind: str, at: float, span: tuple[float, float]) -> list[Line]:
        book = row.provider, kind
        model = _plain(row.model) if book in self._tell_models else _NOT_TOLD
        key = self._names.get(row.key_id or "", row.key_id or _NOT_TOLD) if book in self._tell_keys else _NOT_TOLD
        return self._lines(row.provider, _day(at, span), model, key)

    def _lines(self, provider: str, day: str, model: str, key: str) -> list[Line]:
        named = ((self._days, day), (self._models, model), (self._by_key, key))
        return [self._total, *(lines.setdefault((name, provider), Line(name, provider)) for lines, name in named)]

    def _explain(self, row: _Row, at: float, span: tuple[float, float], *, is_paid: bool) -> None:
        if row.usage_source == "partial":
            self._parts["cut"].add(row)
        if row.service_tier == "batch":
            self._parts["batch"].add(row)
        if is_paid and row.usd is None:
            self._parts["without_cost"].add(row)
        if _day(at, span) != _day(at + row.response_time_ms / 1_000, span):
            self._parts["over_midnight"].add(row)

    def made(self) -> Reconciled:
        total = self._total
        tokens = added(total.export_input_tokens, total.export_output_tokens)
        return Reconciled(
            total=total,
            days=_sorted(self._days),
            models=_sorted(self._models),
            keys=_sorted(self._by_key),
            coverage={
                "calls": _share(total.file_calls, total.export_calls),
                "tokens": _share(added(total.file_input_tokens, total.file_output_tokens) or 0, tokens),
                "cost": _share(total.file_usd or 0.0, total.export_usd),
            },
            explained=dict(sorted(self._parts.items())),
            export_batch_calls=self._batch,
            days_begin_at=sorted(self._offsets),
            discount_usd=self._discount,
        )


def _sorted(lines: Mapping[tuple[str, str], Line]) -> list[Line]:
    return [lines[name] for name in sorted(lines)]


def _day(at: float, span: tuple[float, float]) -> str:
    """The day of an export in which a moment lies; without a time where it is one of UTC."""
    since, until = span
    offset = since % _DAY_SECONDS if until - since == _DAY_SECONDS else 0.0
    return _name_of_day((at - offset) // _DAY_SECONDS, offset)


@lru_cache(maxsize=1024)
def _name_of_day(number: float, offset: float) -> str:
    begins = _moment(number * _DAY_SECONDS + offset)
    return f"{begins:%Y-%m-%d %H:%M}" if offset else f"{begins:%Y-%m-%d}"


@lru_cache(maxsize=1024)
def _plain(model: str | None) -> str:
    """A name of a model without a date or a variant, which one side may lack."""
    return (_DATED.sub("", model) or model) if model else _NOT_TOLD


def _moment(at: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)


def _share(recorded: float, exported: float | None) -> float | None:
    return None if not exported else round(100 * recorded / exported, 2)


def _sum(known: float | None, more: float | None) -> float | None:
    return known if more is None else (known or 0.0) + more

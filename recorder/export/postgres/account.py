"""The recorders' counters and events on the server: rows that are there unchanged cost no more than a look."""

from psycopg import Cursor

from llm_metrics_proxy.recorder.export import Account
from llm_metrics_proxy.recorder.export.postgres import values

_COUNT = """
    INSERT INTO recorder_counters AS known (source_id, host_id, process, name, value, updated_at)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (source_id, process, name) DO UPDATE
    SET host_id = excluded.host_id, value = excluded.value, updated_at = excluded.updated_at
    WHERE (known.host_id, known.value, known.updated_at)
        IS DISTINCT FROM (excluded.host_id, excluded.value, excluded.updated_at)
"""
_HAPPENED = """
    INSERT INTO recorder_events AS known (source_id, host_id, id, at, process, kind, count, from_at, to_at, detail)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (source_id, id) DO UPDATE
    SET host_id = excluded.host_id, at = excluded.at, process = excluded.process, kind = excluded.kind,
        count = excluded.count, from_at = excluded.from_at, to_at = excluded.to_at, detail = excluded.detail
    WHERE known.* IS DISTINCT FROM excluded.*
"""
_OF_COUNTERS = (values.text, values.text, values.integer, values.moment)
_OF_EVENTS = (
    values.integer, values.moment, values.text, values.text, values.integer, values.moment, values.moment, values.text,
)  # fmt: skip


def send(cursor: Cursor, account: Account, source_id: str, host_id: str | None) -> None:
    """Insert them, or update those that changed.

    Raises:
        psycopg.Error: the server refuses.
    """
    for statement, converters, rows in (
        (_COUNT, _OF_COUNTERS, account.counters),
        (_HAPPENED, _OF_EVENTS, account.events),
    ):
        cursor.executemany(
            statement,
            [
                (source_id, host_id, *(convert(value) for convert, value in zip(converters, row, strict=True)))
                for row in rows
            ],
        )

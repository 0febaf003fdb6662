"""Export to PostgreSQL, from version 14 on, encoded in UTF8: rows of any number of sidecars, each row once.

A batch is copied into a temporary table and inserted from there; a row that is there already is updated if it differs.
The same transaction moves the source's cursor on the server: after an outage the cursor says what has arrived, and an
exporter goes on from there. A server that knows no cursor is filled from the beginning. dsn.py parses the address,
values.py converts rows, failures.py classifies errors, schema.py makes the tables of steps/ and the views of views/.
Here are also the recorders' counters and events: rows that are there unchanged cost no more than a look.

What an exporter's role needs: CONNECT and TEMPORARY on the database; CREATE on the schema until the tables are there or
are to be brought to a newer version, so an admin may do that alone, by one export. After that:

    GRANT USAGE ON SCHEMA public TO exporter;
    GRANT SELECT ON llm_metrics_schema TO exporter;
    GRANT SELECT, INSERT, UPDATE ON completion_requests, llm_metrics_sources, recorder_counters, recorder_events
        TO exporter;
    GRANT EXECUTE ON FUNCTION llm_metrics_make_partitions TO exporter;

The function makes a month's partition with its owner's rights. Nobody needs DELETE. Through PgBouncer an exporter needs
a pool of sessions, since it keeps a temporary table.
"""

from typing import Final

import psycopg
from psycopg import Connection, Cursor

from llm_metrics_proxy.recorder.export import Account, Batch, Row, outbox
from llm_metrics_proxy.recorder.export.postgres import dsn as dsns
from llm_metrics_proxy.recorder.export.postgres import failures, schema, values
from llm_metrics_proxy.recorder.store.exporters import Position

ROWS_AT_ONCE: Final = 1_000

# Nobody's settings of the role or the database come between. What a dead exporter held is free again soon.
_SESSION: Final = """
    SET DateStyle = 'ISO';
    SET TimeZone = 'UTC';
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '5min';
    SET lock_timeout = '10s';
    SET idle_session_timeout = 0;
    SET idle_in_transaction_session_timeout = '1min';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 30000;
"""
_TYPES: Final = """
    SELECT attname, atttypid::regtype::text FROM pg_attribute
    WHERE attrelid = 'completion_requests'::regclass AND attnum > 0 AND NOT attisdropped
"""


def _listed(prefix: str = "") -> str:
    return ", ".join(f"{prefix}{name}" for name in outbox.COLUMNS)


_INCOMING: Final = f"""
    CREATE TEMPORARY TABLE incoming ON COMMIT DELETE ROWS AS SELECT {_listed()} FROM completion_requests LIMIT 0
"""  # noqa: S608 - names of our own, here and below
_COPY: Final = f"COPY incoming ({_listed()}) FROM STDIN"
_UPSERT: Final = f"""
    INSERT INTO completion_requests AS known ({_listed()}, host_id) SELECT {_listed()}, %s::text FROM incoming
    ON CONFLICT (event_id, timestamp) DO UPDATE
    SET ({_listed()}, host_id) = ROW ({_listed("excluded.")}, excluded.host_id)
    WHERE ({_listed("known.")}, known.host_id) IS DISTINCT FROM ({_listed("excluded.")}, excluded.host_id)
"""  # noqa: S608
_PARTITIONS: Final = "SELECT llm_metrics_make_partitions(%s::date[])"
_REGISTER: Final = """
    INSERT INTO llm_metrics_sources (source_id, host_id, row_id, change_id, updated_at) VALUES (%s, %s, 0, 0, now())
    ON CONFLICT (source_id) DO UPDATE SET host_id = excluded.host_id RETURNING row_id, change_id
"""
_MOVE: Final = """
    INSERT INTO llm_metrics_sources (row_id, change_id, source_id, host_id, updated_at) VALUES (%s, %s, %s, %s, now())
    ON CONFLICT (source_id) DO UPDATE
    SET row_id = excluded.row_id, change_id = excluded.change_id, updated_at = excluded.updated_at
"""
_EVENT_ID: Final = outbox.COLUMN["event_id"]
_TIMESTAMP: Final = outbox.COLUMN["timestamp"]
_MONTH: Final = len("YYYY-MM")


class Postgres:
    """A `Destination`: the tables of one PostgreSQL database, which any number of sidecars share."""

    wants_changes = True
    wants_account = True
    rows_at_once = ROWS_AT_ONCE

    def __init__(self, dsn: str, host_id: str) -> None:
        """`dsn` is libpq's, as a URL or in pairs `key=value`; `host_id` is what rows from here are told by.

        Raises:
            ExportFailed: `dsn` cannot be read.
        """
        place = dsns.parse(dsn)
        self.name = place.name
        self._conninfo = place.conninfo
        self._host_id = values.text(host_id)
        self._source_id = ""
        self._connection: Connection | None = None
        self._types: list[str] = []

    def connect(self, source_id: str) -> Position:
        """Connect anew, see to the tables, and say how far this source has come there."""
        self.close()
        self._source_id = source_id
        with failures.explained(self.name):
            # Nothing is prepared, so that a pooler may stand between.
            connection = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
            try:
                position = self._begin(connection)
            except BaseException:  # raised again: until the next attempt it would take a place on the server
                connection.close()
                raise
        self._connection = connection
        return position

    def send(self, batch: Batch) -> int:
        """Insert or update these rows and move the cursor, in one transaction: all of them, or it raises."""
        rows = _unique(values.converted(batch.rows, self._types))
        with failures.explained(self.name):
            connection = self._connected()
            if rows:
                months = sorted({f"{str(row[_TIMESTAMP])[:_MONTH]}-01" for row in rows})
                connection.execute(_PARTITIONS, (months,))
            with connection.transaction(), connection.cursor() as cursor:
                if rows:
                    with cursor.copy(_COPY) as copy:
                        for row in rows:
                            copy.write_row(row)
                    cursor.execute(_UPSERT, (self._host_id,))
                cursor.execute(_MOVE, (*batch.position, self._source_id, self._host_id))
        return 0

    def send_account(self, account: Account) -> None:
        """Insert or update what the recorders say of themselves."""
        with failures.explained(self.name), self._connected().cursor() as cursor:
            send(cursor, account, self._source_id, self._host_id)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _begin(self, connection: Connection) -> Position:
        connection.execute(_SESSION)
        schema.bring_up_to_date(connection, self.name)
        types: dict[str, str] = dict(connection.execute(_TYPES).fetchall())
        connection.execute(_INCOMING)
        self._types = [types[name] for name in outbox.COLUMNS]
        row_id, change_id = connection.execute(_REGISTER, (self._source_id, self._host_id)).fetchone() or (0, 0)
        return Position(row_id, change_id)

    def _connected(self) -> Connection:
        if self._connection is None:
            message = "there is no connection"
            raise psycopg.OperationalError(message)
        return self._connection


def _unique(rows: list[Row]) -> list[Row]:
    """Of each call the last row, since one statement updates none twice; in an order that all sidecars have.

    Two that wait for each other's rows would be a deadlock.
    """
    last = {(row[_EVENT_ID], row[_TIMESTAMP]): row for row in rows}
    return [last[key] for key in sorted(last)]


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

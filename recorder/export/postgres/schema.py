"""The server's tables and views, made and brought up to date by whichever exporter comes first.

Step N makes version N: all that are missing run in one transaction, under an advisory lock, so that exporters which
start at once wait for the first of them. Views hold no data: all of them are made anew in that transaction.

views/ has those of migrations/views in PostgreSQL's dialect: a file for each, with its name and columns, and variants
for windows made as there. They read the rows themselves, and only partitions of their time. Moments are `timestamptz`,
days `date` in UTC. percentile_disc() is the percentile of recorder/percentile.py, exact.
"""

from importlib.resources import files
from typing import Final

from psycopg import Connection, Cursor

from llm_metrics_proxy.migrations import views
from llm_metrics_proxy.recorder.errors import ExportFailed

_LOCK = "SELECT pg_advisory_xact_lock(5497854253042263408)"
_IS_THERE = "SELECT to_regclass('llm_metrics_schema') IS NOT NULL"
_VERSION = "SELECT coalesce(max(version), 0) FROM llm_metrics_schema"
_TABLE = """
    CREATE TABLE IF NOT EXISTS llm_metrics_schema (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL
    )
"""
_APPLIED = "INSERT INTO llm_metrics_schema VALUES (%s, now())"
_OLDEST = 14
_ENCODING = "SHOW server_encoding"
# Functions keep this path, so that nobody's own tables can stand in for ours in them. A step takes as long as it takes.
_ALONE = """
    SELECT set_config('search_path', place || ', pg_temp', true), set_config('statement_timeout', '0', true)
    FROM (
        SELECT coalesce((
            SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('llm_metrics_schema')
        ), quote_ident(current_schema())) AS place
    ) AS found
"""


_HERE: Final = "llm_metrics_proxy.recorder.export.postgres"
_AGO: Final = {"last_hour": "1 hour", "last_24h": "24 hours", "last_7d": "168 hours"}


def _step(name: str) -> str:
    return files(_HERE).joinpath("steps", name).read_text()


# Versions 3 and 4 changed views alone. A release that changes one adds an empty step, so that servers get it.
STEPS: Final = (
    _step("0001_calls.sql"),
    _step("0002_account.sql"),
    "",
    "",
    _step("0005_billed.sql"),
    _step("0006_costs.sql"),  # and views that keep money, plans and what is lacking apart
    _step("0007_classes.sql"),  # and views that tell failures apart by their class
    _step("0008_who_spent_it.sql"),
)
CURRENT: Final = len(STEPS)


def view_statements() -> list[str]:
    """CREATE VIEW for all of them, in the order of their names."""
    return views.statements(f"{_HERE}.views", {window: f"now() - interval '{ago}'" for window, ago in _AGO.items()})


def bring_up_to_date(connection: Connection, name: str) -> None:
    """Make what is missing; `name` is the destination's.

    Raises:
        ExportFailed: the server's tables are newer than this program, or the database cannot hold ours.
        psycopg.Error: the server refuses.
    """
    if (release := connection.info.server_version // 10_000) < _OLDEST:
        raise ExportFailed(what=f"{name} is PostgreSQL {release}", cure=f"give one of version {_OLDEST} or newer")
    with connection.cursor() as cursor:
        version = int(str(_value(cursor, _VERSION))) if _value(cursor, _IS_THERE) else 0
        if version < CURRENT:
            with connection.transaction():
                version = _migrate(cursor, name)
    if version > CURRENT:
        what = f"{name} has version {version} of the tables, and this program knows version {CURRENT}"
        raise ExportFailed(what=what, cure="update this program")


def _migrate(cursor: Cursor, name: str) -> int:
    cursor.execute(_LOCK)
    if (encoding := _value(cursor, _ENCODING)) != "UTF8":
        what = f"{name} is encoded in {encoding}"
        raise ExportFailed(what=what, cure="give a database that is made with ENCODING 'UTF8'")
    cursor.execute(_ALONE)
    # This is also what shows a table that another has just made: asking for its name may tell what was before the lock.
    cursor.execute(_TABLE)
    version = int(str(_value(cursor, _VERSION)))
    for number, step in enumerate(STEPS[version:], start=version + 1):
        if step:
            cursor.execute(step)
        cursor.execute(_APPLIED, (number,))
    if version < CURRENT:
        for statement in view_statements():  # replaced in place, so that who may read one still may
            cursor.execute(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
    return max(version, CURRENT)


def _value(cursor: Cursor, query: str) -> object:
    found = cursor.execute(query).fetchone()
    return found[0] if found else None

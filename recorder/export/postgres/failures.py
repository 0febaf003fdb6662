"""PostgreSQL's errors, classified for an export: try later, leave these rows out, or stop until somebody acts.

By SQLSTATE, so in each language; only a connection that was refused has none, and is known by its English words: in
other languages it is tried again, and the message says why.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.export import Unacceptable, Unavailable
from llm_metrics_proxy.recorder.reporting import printable

_LONGEST = 300  # characters of what the server says

# Connection, read-only transaction (a standby), deadlock and serialisation, resources, shutdown and timeouts, the
# server's disk, its own defects; then locks and objects in use.
_LATER: Final = ("08", "25", "40", "53", "57", "58", "XX", "55P03", "55006")
# Values: no such number or text, a constraint, too long for an index.
_ROWS: Final = ("21", "22", "23", "54")
_CURES: Final = {
    "42501": "grant the role what the documentation says, or have a role that may create tables run this export once",
    "42P07": "something else has that name: give a database or a schema of its own",
    "42723": "something else has that name: give a database or a schema of its own",
    "3F000": "create the schema that the role's search_path names",
}
_CURE: Final = "see that the tables are as this program made them"
_REFUSED: Final = (
    ("password authentication failed|no password supplied", "give the right password in PGPASSWORD or ~/.pgpass"),
    ("database .* does not exist", "create the database, or give another one"),
    ("role .* does not exist|authentication failed|not permitted to log in", "give a user that may log in there"),
    ("no pg_hba.conf entry|rejects connection", "let pg_hba.conf of the server admit this host, user and database"),
    ("permission denied for database", "grant the user CONNECT on the database"),
    ("SSL was required|certificate verify failed|certificate .* does not match", "see to the certificates, or sslmode"),
    ('invalid .* value: "|invalid value for|unrecognized configuration parameter', "correct that parameter of the DSN"),
)
# Said before anybody is asked for a password, but perhaps by another of several hosts.
_COMING: Final = re.compile(
    "starting up|shutting down|in recovery mode|not yet accepting|too many (clients|connections)"
)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn an error of PostgreSQL inside into one of the three.

    Raises:
        Unavailable: later.
        Unacceptable: not these rows.
        ExportFailed: not before somebody does something.
    """
    try:
        yield
    except psycopg.Error as error:
        raise meaning(name, error) from error


def meaning(name: str, error: psycopg.Error) -> Unavailable | Unacceptable | ExportFailed:
    """The exception that an error means; `name` is the destination's."""
    state = error.sqlstate
    if state is None:
        return Unacceptable(_kind(error)) if isinstance(error, psycopg.DataError) else _connecting(name, error)
    if state.startswith(_LATER):
        return Unavailable(_said(error))
    if state.startswith(_ROWS):  # what the server says of a value repeats it
        return Unacceptable(_kind(error))
    return ExportFailed(what=f"{name}: {_said(error)}", cure=_CURES.get(state, _CURE))


def _connecting(name: str, error: psycopg.Error) -> Unavailable | ExportFailed:
    said = _said(error)
    if not _COMING.search(said):
        for words, cure in _REFUSED:
            if re.search(words, said):
                return ExportFailed(what=f"{name}: {said}", cure=cure)
    return Unavailable(said)


def _said(error: psycopg.Error) -> str:
    """The server's words, or libpq's: the first line, since of several addresses each is listed after it."""
    first, *_ = (error.diag.message_primary or str(error)).splitlines() or [type(error).__name__]
    return printable(first.removeprefix("connection failed: "))[:_LONGEST]


def _kind(error: psycopg.Error) -> str:
    words = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    column = f" in {printable(error.diag.column_name)[:_LONGEST]}" if error.diag.column_name else ""
    return f"PostgreSQL refuses a row: {words}{column}"

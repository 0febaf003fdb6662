"""`make dashboard`: serves the live page of one database on 127.0.0.1, read-only, also while the proxy writes.

It runs in .venv-dashboard, which has nothing of the recorder's; the file is opened by SQLite alone.
"""

import errno
import os
import socket
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn

import click
import uvicorn
from datasette.app import Datasette

from deploy.dashboard.database import FreshDatabase, opened
from deploy.dashboard.guard import guarded
from deploy.dashboard.page import DATABASE_NAME, PAGE_PATH, STATIC, metadata

_SETTINGS = {
    # One query at a time: SQLite asks Python every 0.1 ms whether to go on, for which several threads would queue up
    # and take longer together than one after the other.
    "num_sql_threads": 1,
    "sql_time_limit_ms": 10_000,  # a card takes up to 4 s for 30 days of a million calls
    "max_returned_rows": 5_000,  # a week's hours for nine models are 1,512
    "default_cache_ttl": 0,
    "allow_download": False,
}
_NEEDED = "SELECT event_id, cached_tokens, cost_usd FROM completion_requests LIMIT 0"


@click.command()
@click.argument("database", default="")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another one only in a container.")
def main(database: str, port: int, host: str) -> None:
    """Show the calls of DATABASE (else LLM_METRICS_DB, else metrics.db) as a live page, until Ctrl-C."""
    path = _locate(database)
    with _listen(host, port) as listener:
        datasette = Datasette(metadata=metadata(), settings=_SETTINGS, static_mounts=[STATIC])
        datasette.remove_database("_memory")
        datasette.add_database(FreshDatabase(datasette, path=str(path)), name=DATABASE_NAME)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}{PAGE_PATH}"
        click.echo(f"LLM metrics: {path}\nThe live page is {address} until Ctrl-C.")
        config = uvicorn.Config(guarded(datasette.app()), log_level="warning", timeout_graceful_shutdown=1)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _locate(database: str) -> Path:
    given = database or os.environ.get("LLM_METRICS_DB") or "metrics.db"
    try:
        path = Path(given).expanduser().absolute()
        size = path.stat().st_size if path.is_file() else 0
    except RuntimeError:
        _end(f"The home folder in {given} is unknown: give an absolute path (--db PATH, with make DB=PATH).")
    except OSError as error:
        _end(f"{given} cannot be read ({error.strerror}): give a path that can (--db PATH, with make DB=PATH).")
    if not size:
        _end(f"There is no database at {path}: start the proxy, or give the right path (--db PATH, with make DB=PATH).")
    try:
        with closing(opened(path)) as connection:
            connection.execute(_NEEDED)
    except sqlite3.Error as error:
        _end(f"{path} cannot be shown ({error}): give the path of a database that the proxy writes.")
    return path


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        _end(f"Port {port} of {host} {why}: choose another (--port 8002, with make PORT=8002).")


def _end(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(1)


if __name__ == "__main__":
    main(prog_name="make dashboard")

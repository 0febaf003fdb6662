"""Make a database of made-up calls.

`python -m tests.trials.bench.fill PATH --rows 10000000 --days 300 [--seed 1] [--until ISO]`.

For measuring what reads a large database. The file is made by the recorder's own start, so it has the present schema,
and its roll-up is up to date.
"""

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.store import database, identity, watermarks
from llm_metrics_proxy.recorder.store.slices import open_background
from tests.trials.bench.made_up.calls import calls
from tests.trials.bench.made_up.moments import moments

_COLUMNS = CompletionRequest.__struct_fields__
_INSERT = f"""
    INSERT INTO completion_requests ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
"""  # noqa: S608 - names of our own fields
_ROWS_A_TRANSACTION = 50_000
_LOCK_SECONDS = 5.0
_ALONE_MS = 1_000.0  # nobody else waits for the lock
_DAY_SECONDS = 86_400


def fill(path: Path, made: Iterator[CompletionRequest], tell: Callable[[int], None] | None = None) -> None:
    """Make a database at `path` of the calls that `made` yields; `tell` hears now and then how many there are.

    Raises:
        RecorderError: something stands there already, or nothing can be written there.
    """
    if path.exists():
        raise DatabaseRefused(what=f"{path} is there already", cure="give another path, or delete it")
    path = schema.prepare(path, backup_dir=None, lock_seconds=_LOCK_SECONDS)
    try:
        with closing(database.connect(path, timeout=_LOCK_SECONDS)) as connection:
            connection.execute("PRAGMA synchronous=OFF")  # a power cut costs no more than to make it again
            connection.execute("PRAGMA cache_size=-65536")  # KiB
            for written in _insert(connection, made):
                if tell is not None:
                    tell(written)
            watermarks.move(connection, watermarks.PRICING, watermarks.newest(connection))  # they have their costs
        with closing(open_background(path)) as connection:
            rollup.bring_up_to_date(connection, path, hold_ms=_ALONE_MS)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def _insert(connection: sqlite3.Connection, made: Iterator[CompletionRequest]) -> Iterator[int]:
    """Insert them all, and yield after each transaction how many there are."""
    written = 0
    while True:
        connection.execute("BEGIN IMMEDIATE")
        cursor = connection.executemany(_INSERT, map(msgspec.structs.astuple, islice(made, _ROWS_A_TRANSACTION)))
        connection.execute("COMMIT")
        if cursor.rowcount < 1:
            return
        written += cursor.rowcount
        yield written


def main() -> int:
    """Return the exit code."""
    options = _options()
    began = time.monotonic()

    def tell(written: int) -> None:
        seconds = time.monotonic() - began
        print(f"{written:,} of {options.rows:,} rows after {seconds:.0f} s", file=sys.stderr, flush=True)

    when = moments(options.rows, options.days, round(options.until.timestamp() * 1_000), seed=options.seed)
    try:
        fill(options.path, calls(when, seed=options.seed), tell)
    except RecorderError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Interrupted: {options.path} is incomplete, delete it.", file=sys.stderr)
        return 1
    size, seconds = options.path.stat().st_size, time.monotonic() - began
    print(f"{options.rows:,} rows, {size:,} bytes ({size / options.rows:.0f} a row), {seconds:.0f} s")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.bench.fill", description="Make a database of made-up calls."
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="the file; there must be none")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many calls; default %(default)s")
    parser.add_argument("--days", type=float, default=30, help="over how many days; default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers; default %(default)s")
    parser.add_argument(
        "--until", type=datetime.fromisoformat, metavar="ISO", default=datetime.now(UTC), help="UTC; default: now"
    )
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows must be 1 or more")
    if not options.days > 0:
        parser.error("--days must be more than 0")
    if options.until.tzinfo is None:
        options.until = options.until.replace(tzinfo=UTC)
    if options.days * _DAY_SECONDS > options.until.timestamp():
        parser.error("--days must not reach back before 1970")
    return options


if __name__ == "__main__":
    sys.exit(main())

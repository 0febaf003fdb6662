"""SQLite's backup API, as it is used here: one moment of the source, all or nothing in the target, never for ever.

The copy is made in steps, so that somebody can watch it. By themselves steps would start again at every write from
elsewhere; a read transaction on the source, held through all of them, keeps the one moment that is copied. What the
target's readers see changes at once, when the last step commits; a copy that ends before leaves the target as it was.
"""

import sqlite3
import time
from collections.abc import Callable

type Progress = Callable[[int, int], None]  # bytes copied, bytes in all

_STEP_PAGES = 2048
_RETRY_SECONDS = 0.02
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def copy_pages(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    *,
    patience: float,
    progress: Progress | None = None,
    when_locked: Callable[[], None] | None = None,
) -> None:
    """Make `target` what `source` is, joining the read transaction that `source` may be in.

    `when_locked` is called once, when nobody else can write into the target any more and it is still what it was, and
    `progress` after each step. What they raise ends the copy.

    Raises:
        TimeoutError: others held the target's lock for `patience` seconds.
        sqlite3.Error: of either side. In each case the target is what it was.
    """
    (page_size,) = source.execute("PRAGMA page_size").fetchone()
    ends = time.monotonic() + patience
    waiting = [when_locked] if when_locked else []

    def watch(status: int, remaining: int, total: int) -> None:
        # Connection.backup() itself would try again for ever.
        if status in _LOCKED:
            if time.monotonic() >= ends:
                raise TimeoutError
            return
        while waiting:
            waiting.pop()()
        if progress is not None:
            progress((total - remaining) * page_size, total * page_size)

    joined = source.in_transaction
    if not joined:
        source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM sqlite_master").fetchone()  # a transaction has no moment before its first read
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        # At least two steps: the last one commits, and the first has the lock.
        step = max(1, min(_STEP_PAGES, pages - 1))
        source.backup(target, pages=step, progress=watch, sleep=_RETRY_SECONDS)
    finally:
        if not joined and source.in_transaction:
            source.execute("ROLLBACK")

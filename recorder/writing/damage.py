"""What is left of a database after another program wrote into its files, and whether it can be gone on with.

The events of the last minute have been kept aside by then, so the WAL holds nothing that is not known. With its WAL the
database is sound: nothing was changed, or only pages that the WAL has as well, and it is used on. It is sound without:
somebody copied another database over it, or damaged the WAL alone, which goes into `corrupt-<time>/`. Else it stays as
it is, for `llm-metrics restore` to save what it can.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.reporting import say
from llm_metrics_proxy.recorder.store import database, identity, presence, sqlite
from llm_metrics_proxy.recorder.store.files import sync_folder
from llm_metrics_proxy.recorder.writing.watch import Finding

_CURE: Final = "run llm-metrics restore latest, which keeps what can still be read, and let only the proxy write there"
_STEPS = 50_000  # of SQLite's machine, some milliseconds
_HEALED = (
    "%(path)s%(what)s; its pages are sound, and it is written on. If values in it look wrong, run llm-metrics restore. "
    "Let only the proxy, or SQLite, write there."
)
_WITHOUT_WAL = "%(path)s%(what)s; what it held is written again. Leave that file to the proxy."
_OVERWRITTEN = (
    "%(path)s%(what)s: what it holds now is used from here on, and gets the calls of the last minute. To put another "
    "database in its place, use llm-metrics restore."
)


class Distrust:
    """What was found, and whether size and first bytes of the database file were still those that SQLite left."""

    def __init__(self, finding: Finding, *, same_header: bool) -> None:
        """Nothing has been settled yet."""
        self.finding = finding
        self.same_header = same_header


class Distrusted(DatabaseRefused):
    """Another program wrote into the files; nothing is known yet but that."""


def is_damage(error: Exception) -> bool:
    """True for what SQLite says of damaged files; a WAL that was cut off is too short."""
    return sqlite.is_damage(error) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHORT_READ


def settle(path: Path, distrust: Distrust, *, meanwhile: Callable[[], bool]) -> None:
    """See that the database at `path` can be opened and written; `meanwhile` is called now and then, and ends it.

    Raises:
        DatabaseRefused: it cannot, or others still have it open.
    """
    finding = distrust.finding
    with presence.exclusively(path, 0):
        alone = _is_sound(path, meanwhile, with_wal=False)
        with_wal = not finding.in_wal and _is_sound(path, meanwhile, with_wal=True)
        if with_wal and (distrust.same_header or not alone):
            sentence = _HEALED
        elif alone:
            _set_wal_aside(path)
            sentence = _WITHOUT_WAL if finding.in_wal else _OVERWRITTEN
        else:
            distrust.same_header = False  # whatever makes it sound is another file's content
            raise DatabaseRefused(what=f"{path}{finding.what} and is damaged", cure=_CURE)
    say(logging.WARNING, "database_overwritten", sentence, path=path, what=finding.what)


def _is_sound(path: Path, meanwhile: Callable[[], bool], *, with_wal: bool) -> bool:
    """Read all of it, as a database of ours; an empty file is none."""
    try:
        with closing(database.connect(path, timeout=database.RECORDER_SECONDS, immutable=not with_wal)) as connection:
            connection.set_progress_handler(meanwhile, _STEPS)
            if with_wal:
                connection.execute("PRAGMA wal_autocheckpoint=0")
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003 - positional only
            if identity.version_of(connection, path) == 0:
                return False
            # Not the quick check: bytes in the middle of a row are only seen in that it is not what its indexes say.
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except DatabaseRefused as error:
        if isinstance(error.__cause__, sqlite3.Error) and sqlite.is_lock(error.__cause__):
            raise
        return False
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    return bool(answer == "ok")


def _set_wal_aside(path: Path) -> None:
    folder = path.with_name(f"corrupt-{datetime.now(UTC):%Y%m%d_%H%M%S_%f}")
    try:
        for file in sqlite.side_files(path):
            with suppress(FileNotFoundError):
                if os.lstat(file).st_size:
                    folder.mkdir(mode=0o700, exist_ok=True)
                    file.rename(folder / file.name)
        if folder.is_dir():
            sync_folder(folder)
        sync_folder(path.parent)
    except OSError as error:
        what = f"{path}-wal cannot be moved into {folder} ({error.strerror})"
        raise DatabaseRefused(what=what, cure="make the folder writable") from error

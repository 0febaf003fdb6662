"""The database's path, and the only ways to open it.

The live file is never opened by anything but SQLite in this process: closing any other descriptor of it would drop
the POSIX locks that SQLite holds, and with them the promise of every commit that follows. `os.stat` is harmless.
What the file contains is for identity.py to say.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import identity, location, sqlite
from llm_metrics_proxy.recorder.store.files import check_regular

# How long somebody waits for the locks of others.
RECORDER_SECONDS: Final = 0.5  # it keeps its batch and tries again, so that a shutdown never waits long for it
READER_SECONDS: Final = 5.0  # whoever only looks: in WAL nothing but a recovery locks readers out
START_SECONDS: Final = 30.0  # a start, and whoever changes the whole database

_RETRY_SECONDS = 0.02
_JOURNAL_SIZE_LIMIT = 4 << 20  # bytes: a WAL that grew under a long reader is cut back to this

# Creating the file 0600 needs one open() and close() of it. Connections are made under the same lock, so that no
# connection of this process can hold locks on the file at the moment of that close().
_creating = threading.Lock()

type Inode = tuple[int, int]

_STEPS = 50_000  # of SQLite's machine, about a millisecond: between two looks at `is_over`


class Files(NamedTuple):
    """The files of a database: the same for all who have it open, for as long as anybody has."""

    database: Inode | None
    wal: Inode | None
    shm: Inode | None


def get_db_path(option: str | None = None) -> Path:
    """The database's absolute path: the option, else environment LLM_METRICS_DB, else `metrics.db` here.

    Raises:
        DatabaseRefused: the default under `TESTING=true`, an unknown `~name`, or a current folder that is gone.
    """
    return Path(location.chosen(option))


def check_is_there(path: Path, cure: str = "start the proxy once, or give the right path") -> None:
    """See that a file stands at `path` that holds something.

    Raises:
        DatabaseRefused: none does; `cure` is what to do about that.
    """
    try:
        is_there = path.is_file() and path.stat().st_size > 0
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be used ({error.strerror})", cure=cure) from error
    if not is_there:
        raise DatabaseRefused(what=f"There is no database at {path}", cure=cure)


def is_file_of(database: Path, path: Path) -> bool:
    """True if `path` is the database, or one of the files that SQLite keeps beside it."""
    files = (database, *sqlite.side_files(database))
    return path.exists() and any(file.exists() and path.samefile(file) for file in files)


def create(path: Path) -> None:
    """Create `path` empty and 0600 unless something stands there; never follows a symbolic link.

    Raises:
        OSError: it could not be created.
    """
    with _creating:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR, 0o600)
        except FileExistsError:
            return
        os.close(descriptor)


def connect(
    path: Path, *, timeout: float, mode: Literal["ro", "rw"] = "rw", immutable: bool = False
) -> sqlite3.Connection:
    """A bare connection to an existing file, which waits `timeout` seconds for locks and begins no transactions.

    One that is `immutable` reads the file alone, without its WAL and without locks, as if nobody could write it.

    Raises:
        DatabaseRefused: it, or one of the files that SQLite opens beside it, is no regular file.
        sqlite3.Error: it could not be opened.
    """
    _check_files(path, alone=immutable)
    asked = f"mode={'ro' if immutable else mode}{'&immutable=1' * immutable}"
    with _creating:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{asked}", uri=True, timeout=timeout, isolation_level=None
        )
    # As the sqlite-utils CLI has it, so that users' objects work here too: triggers that reach full-text tables, and
    # json_extract in an index, which else makes the whole schema "malformed".
    connection.execute("PRAGMA trusted_schema=ON")
    # None of our tables has a foreign key; those of users shall neither refuse nor delete anything here.
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection


def _check_files(path: Path, *, alone: bool) -> None:
    """SQLite itself would wait for the other end of a pipe, and write its WAL or journal through a link."""
    real = Path(os.path.realpath(path))
    for file in (real,) if alone else (real, *sqlite.side_files(real)):
        try:
            check_regular(file)
        except OSError as error:
            cure = "move it away, or correct the permissions"
            raise DatabaseRefused(what=f"{file} cannot be used ({error.strerror})", cure=cure) from error


def open_for_start(path: Path, *, timeout: float) -> sqlite3.Connection:
    """The connection of the start's checks and migrations; an empty file gets its layout, fixed from then on."""
    connection = connect(path, timeout=timeout)
    try:
        if path.stat().st_size == 0:
            # Before anything else: WAL or application_id would write the first page, after which neither has effect.
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA page_size=4096")
    except BaseException:  # raised again: the caller never gets the connection, so it is closed here
        connection.close()
        raise
    return connection


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes: WAL, synchronous=FULL; for the thread that calls this.

    Raises:
        DatabaseRefused: the file system cannot do WAL.
        sqlite3.Error: it could not be opened; `recorder.store.identity.refusal` makes a sentence of it.
    """
    connection = connect(path, timeout=RECORDER_SECONDS)
    try:
        use_wal(connection, path)
        # NORMAL would lose everything since the last checkpoint when the power goes: hours, at a proxy's rates.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_SIZE_LIMIT}")
    except BaseException:  # raised again: the caller never gets the connection, so it is closed here
        connection.close()
        raise
    return connection


def use_wal(connection: sqlite3.Connection, path: Path, *, patience: float = 0.0) -> None:
    """Switch to WAL and check the answer: SQLite keeps the old mode, without an error, where it cannot do it.

    The switch needs the file alone for a moment, and SQLite does not wait for that by itself; `patience` seconds do.

    Raises:
        DatabaseRefused: the file system cannot do WAL.
        sqlite3.OperationalError: others did not leave the file alone.
    """
    ends = time.monotonic() + patience
    while True:
        try:
            (answer,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if not sqlite.is_lock(error) or time.monotonic() >= ends:
                raise
            time.sleep(_RETRY_SECONDS)  # other processes' locks give no signal
    if answer != "wal":
        what = f"{path} stands on a file system without WAL, such as a network share"
        raise DatabaseRefused(what=what, cure="put the database on a local disk")


def open_reader(path: Path, *, timeout: float = READER_SECONDS) -> sqlite3.Connection:
    """A read-only connection for a reader of its own, which waits `timeout` seconds for locks; the caller closes it.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`. None is created.
    """
    check_is_there(path)
    connection = connect(path, timeout=timeout, mode="ro")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        connection.close()
        what = f"{path} cannot be read ({error})"
        raise DatabaseRefused(what=what, cure="give the path of a metrics database") from error
    if version != CURRENT_SCHEMA_VERSION:
        connection.close()
        what = f"{path} has schema version {version}, and this program reads version {CURRENT_SCHEMA_VERSION}"
        older = version < CURRENT_SCHEMA_VERSION
        cure = "run llm-metrics migrate" if older else "read it with the release that writes it"
        raise DatabaseRefused(what=what, cure=cure)
    return connection


def inode_of(path: Path) -> Inode | None:
    """Device and inode of the file at `path`; None if nothing stands there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def files_of(path: Path) -> Files:
    """The database's files as they stand at `path` now."""
    return Files(inode_of(path), inode_of(Path(f"{path}-wal")), inode_of(Path(f"{path}-shm")))


@contextmanager
def reader(
    path: Path,
    *,
    patience: float = READER_SECONDS,
    is_over: Callable[[], bool] = lambda: False,
    look: Callable[[sqlite3.Connection, Path], object] = identity.claimed_version,
) -> Iterator[sqlite3.Connection]:
    """A connection to the database at `path` that waits up to `patience` seconds for locks.

    First `look` sees what the file is, and refuses it with a sentence if that is not for us. A statement ends early
    once `is_over`, which is asked about each millisecond, or when Ctrl-C is typed.

    Raises:
        DatabaseRefused: there is no database of ours at `path`, none of the present version, or it cannot be read. What
            SQLite says inside the `with` becomes one too.
        KeyboardInterrupt: a statement was ended early.
    """
    try:
        with closing(_open_known(path.absolute(), patience, look)) as connection:
            # Texts came from others: what is no UTF-8 is shown as far as it goes.
            connection.text_factory = lambda text: text.decode(errors="replace")
            # Without it Python would hear of Ctrl-C when SQLite has the first row, of a large database much later. What
            # it raises then goes no further than SQLite, which ends the statement.
            connection.set_progress_handler(is_over, _STEPS)
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if sqlite.code_of(error) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        raise identity.refusal(path, error) from error
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be read ({error.strerror})", cure="give another path") from error


def _open_known(path: Path, patience: float, look: Callable[[sqlite3.Connection, Path], object]) -> sqlite3.Connection:
    if path.is_file() and path.stat().st_size:
        # Before open_reader, which is for our own and looks at one number.
        with closing(connect(path, timeout=patience, mode="ro")) as connection:
            look(connection, path)
    return open_reader(path, timeout=patience)

"""The recorder's connection, and whether the file behind it is still the one that stands at the path.

SQLite cannot be asked: in WAL mode an unlinked file, WAL or shared memory gives no error, and rows go on into what
nobody can open again. So inodes are compared before each transaction and after its commit. What the open connection
still has is salvaged, and what now stands at the path goes through the whole sequence of a start before it is used.
"""

import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import database, identity, presence, sqlite
from llm_metrics_proxy.recorder.store.presence import Presence
from llm_metrics_proxy.recorder.writing import salvage

_CONNECTION_IS_GOOD = (None, sqlite3.SQLITE_FULL, sqlite3.SQLITE_INTERRUPT)  # None: no error of SQLite
_CACHE_KB = 512  # rows are added at the end: SQLite's own 2,000 take 1.2 MB more of the proxy, and no row is quicker


class LiveFile:
    """One connection at a time; for one thread, but for `interrupt`."""

    def __init__(
        self, path: Path, process: str, presence: Presence, *, backup_dir: Path | None, prepared: bool
    ) -> None:
        """Open nothing yet; `prepared`: what stands at `path` has just been through the sequence of a start."""
        self.salvaged: list[str] = []  # files with what was rescued, for the next transaction to note
        self._process = process
        self._path = path
        self._presence = presence
        self._backup_dir = backup_dir
        self._prepared = prepared
        self._suspect = False
        self._shm_was_removed = False
        self._connection: sqlite3.Connection | None = None
        self._files: database.Files | None = None
        self._schema: int | None = None

    def connection(self) -> sqlite3.Connection:
        """The connection to the file that stands at the path now.

        Raises:
            sqlite3.Error, OSError, RecorderError: there is none for the moment.
        """
        if self._connection is not None and database.files_of(self._path) != self._files:
            self._rescue(self._connection)
        return self._connection or self._open()

    def look(self) -> None:
        """Rescue what the open connection has, if its file is no longer the one at the path.

        Raises:
            sqlite3.Error, OSError, RecorderError: that is not done yet.
        """
        if self._connection is not None and database.files_of(self._path) != self._files:
            self.connection()

    def check_schema(self, connection: sqlite3.Connection) -> int:
        """Asked under the lock of each batch: others may have migrated the file, put a backup back, or altered it.

        Returns SQLite's own number of the schema, to which any change of it adds one.

        Raises:
            DatabaseRefused: its schema is not the one that this program writes.
        """
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != CURRENT_SCHEMA_VERSION:
            what = f"{self._path} now has schema version {version}, and this program writes {CURRENT_SCHEMA_VERSION}"
            raise DatabaseRefused(what=what, cure="start again with the release that fits")
        schema = int(connection.execute("PRAGMA schema_version").fetchone()[0])
        if schema != self._schema:
            identity.version_of(connection, self._path)
            self._schema = schema
        return schema

    def confirm(self) -> None:
        """See that what was just committed went into the file at the path.

        Raises:
            DatabaseRefused: it may have gone into one that is there no more, so it has to be written again.
        """
        if database.files_of(self._path) != self._files:
            raise DatabaseRefused(what=f"{self._path} was moved or removed", cure="leave it where it is")

    def failed(self, error: Exception) -> None:
        """An attempt ended like this: close what is no longer good, unless it has to be rescued first."""
        if sqlite.is_lock(error) or sqlite.code_of(error) in _CONNECTION_IS_GOOD:
            return
        # One such answer proves nothing (a dying disk gives it too): a fresh connection reads the whole file first.
        self._suspect |= sqlite.is_damage(error)
        with suppress(OSError):
            if self._connection is not None and database.files_of(self._path) == self._files:
                self.close()

    def checkpoint(self) -> None:
        """Move the WAL into the database file and cut it to nothing, unless a reader still needs it."""
        if self._connection is not None and database.files_of(self._path) == self._files:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def interrupt(self) -> None:
        """End what the connection is doing, from any thread."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.Error):  # closed meanwhile
                connection.interrupt()

    def close(self) -> None:
        """Close the connection, if there is one; the next one is opened when it is needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._presence.unshare()

    def _open(self) -> sqlite3.Connection:
        if self._shm_was_removed and database.files_of(self._path).shm is None:
            return self._open_first()
        self._presence.share()
        return self._connect()

    def _open_first(self) -> sqlite3.Connection:
        """Make the new -shm, once nobody writes by the one that was removed: two for one WAL damage the database."""
        with ExitStack() as stack:
            try:
                stack.enter_context(presence.exclusively(self._path, 0))
            except DatabaseRefused as error:
                what = f"The -wal or -shm of {self._path} was removed, and others have not noticed yet"
                raise DatabaseRefused(what=what, cure="leave those files to the proxy") from error
            connection = self._connect()
        try:
            self._presence.share()
        except BaseException:  # raised again: nobody has it open without saying so
            self.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            if not self._prepared:
                schema.prepare(
                    self._path, backup_dir=self._backup_dir, lock_seconds=database.RECORDER_SECONDS, checked_bytes=0
                )
            self._connection = connection = database.open_writer(self._path)
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # now -wal and -shm are there
            if self._suspect:
                identity.check_pages(connection, self._path)
            self._files = database.files_of(self._path)
            self._schema = None
        except BaseException:  # raised again: half-opened is not open
            self.close()
            raise
        self._prepared = self._suspect = self._shm_was_removed = False  # the next one comes after a failure
        return connection

    def _rescue(self, connection: sqlite3.Connection) -> None:
        if self._files is not None:
            name = salvage.rescue(connection, self._path, self._files, self._process)
            self.salvaged += [name] if name else []
            self._shm_was_removed = database.inode_of(self._path) == self._files.database
        # Its file is no longer the one at the path: its end must not touch the WAL that may stand there now.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003 - positional only
        self.close()

"""The recorder's connection, and whether the file behind it is still the one that stands at the path.

SQLite cannot be asked: in WAL mode an unlinked file, WAL or shared memory gives no error, and rows go on into what
nobody can open again. So inodes are compared before each transaction and after its commit. What the open connection
still has is salvaged, and what now stands at the path goes through the whole sequence of a start before it is used.

watch.py says whether another program wrote into the files. Then the connection is closed without writing anything, and
nothing is written before damage.py has found out what is left.
"""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.reporting import say
from llm_metrics_proxy.recorder.store import database, identity, presence, sqlite
from llm_metrics_proxy.recorder.store.home import Home
from llm_metrics_proxy.recorder.store.presence import Presence
from llm_metrics_proxy.recorder.writing import damage, salvage
from llm_metrics_proxy.recorder.writing.damage import Distrust, Distrusted
from llm_metrics_proxy.recorder.writing.watch import Finding, Watch

_CONNECTION_IS_GOOD = (None, sqlite3.SQLITE_FULL, sqlite3.SQLITE_INTERRUPT)  # None: no error of SQLite
_CACHE_KB = 512  # rows are added at the end: SQLite's own 2,000 take 1.2 MB more of the proxy, and no row is quicker


_DAMAGED = Finding(" failed SQLite's checks")
_INDEX_CUT = (
    "%(path)s-shm was cut off by another program; SQLite has made it anew. Leave that file to the proxy: had the proxy "
    "been reading it just then, it would have been killed."
)


class LiveFile:
    """One connection at a time; for one thread, but for `interrupt`."""

    def __init__(  # noqa: PLR0913 - what it needs of the recorder
        self,
        path: Path,
        process: str,
        presence: Presence,
        home: Home,
        *,
        backup_dir: Path | None,
        prepared: bool,
        meanwhile: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open nothing yet; `prepared`: what stands at `path` has just been through the sequence of a start.

        `meanwhile` is called again and again while a whole file is read, which ends once it returns true.
        """
        self.salvaged: list[str] = []  # files with what was rescued, for the next transaction to note
        self.triggers_of_users: list[str] = []  # on our tables, as of the last `check_schema`
        self._process = process
        self._path = path
        self._presence = presence
        self._home = home
        self._backup_dir = backup_dir
        self._prepared = prepared
        self._meanwhile = meanwhile
        self._distrust: Distrust | None = None
        self._watch: Watch | None = None
        self._opened_at = path
        self._shm_was_removed = False
        self._connection: sqlite3.Connection | None = None
        self._files: database.Files | None = None
        self._schema: int | None = None

    @property
    def is_distrusted(self) -> bool:
        """True if files were damaged or overwritten, so that what was committed lately may not be in them."""
        return self._distrust is not None

    def follow(self, path: Path) -> None:
        """The files have another path, since their folder was moved."""
        self._path = path
        if self._watch is not None:
            self._watch.follow(path)

    def connection(self) -> sqlite3.Connection:
        """The connection to the file that stands at the path now.

        Raises:
            sqlite3.Error, OSError, RecorderError: there is none for the moment.
        """
        self.look()
        return self._connection or self._open()

    def look(self, *, thoroughly: bool = False) -> None:
        """See that the files of the open connection are at the path, and what SQLite wrote; else rescue what is there.

        The WAL is read through if that is due, or if it is to be done `thoroughly`.

        Raises:
            DatabaseRefused: another program wrote into them; the connection is closed.
            sqlite3.Error, OSError, RecorderError: what it has could not be rescued yet.
        """
        if self._connection is None:
            return
        if database.files_of(self._path) != self._files:
            if self._home.path() != self._path:
                raise DatabaseRefused(what=f"The folder of {self._path} was just moved", cure="leave it where it is")
            self._rescue(self._connection)
        elif self._watch is not None:
            self._look_into(self._connection, self._watch, thoroughly=thoroughly)

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
            self.triggers_of_users = identity.triggers_of_users(connection)
            self._schema = schema
        return schema

    def confirm(self) -> None:
        """See that what was just committed went into the file at the path.

        Raises:
            DatabaseRefused: it may have gone into one that is there no more, so it has to be written again.
        """
        if database.files_of(self._path) != self._files:
            raise DatabaseRefused(what=f"{self._path} was moved or removed", cure="leave it where it is")
        if self._watch is not None:
            self._watch.committed()

    def failed(self, error: Exception) -> None:
        """An attempt ended like this: close what is no longer good, unless it has to be rescued first."""
        if sqlite.is_lock(error) or sqlite.code_of(error) in _CONNECTION_IS_GOOD:
            return
        with suppress(OSError):
            if self._connection is not None and database.files_of(self._path) == self._files:
                # One such answer proves nothing (a dying disk gives it too): the whole file is read first.
                if damage.is_damage(error):
                    self._distrust = Distrust(
                        _DAMAGED, same_header=self._watch is None or self._watch.has_same_header()
                    )
                self.close()

    def end(self) -> None:
        """Move the WAL into the database file and close it; nothing of it is left, unless others have it open.

        Raises:
            sqlite3.Error, OSError, RecorderError: that was not done, which the next start does as well.
        """
        connection = self._connection
        try:
            self.look()
            if connection is not None and connection is self._connection and self._opened_at == self._path:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, False)  # noqa: FBT003 - positional only
        finally:
            self.close()

    def interrupt(self) -> None:
        """End what the connection is doing, from any thread."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.Error):  # closed meanwhile
                connection.interrupt()

    def close(self) -> None:
        """Close the connection, if there is one, and write nothing; the next one is opened when it is needed."""
        self._watch = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._presence.unshare()

    def _open(self) -> sqlite3.Connection:
        if self._distrust is not None:
            if self._files is None or database.inode_of(self._path) == self._files.database:
                damage.settle(self._path, self._distrust, meanwhile=self._meanwhile)
            else:
                self._distrust = None  # somebody has put another file there, which is looked at as at a start
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
            # Frames are moved after a look alone. Nor may the last close write into what somebody else has written, or
            # remove a WAL by a path that may be another file's by now.
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003 - positional only
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # now -wal and -shm are there
            self._files = database.files_of(self._path)
            self._watch = Watch(self._path, self._files, self._process)
            self._schema = None
        except BaseException:  # raised again: half-opened is not open
            self.close()
            raise
        self._opened_at = self._path
        self._distrust = None
        self._prepared = self._shm_was_removed = False  # the next one comes after a failure
        return connection

    def _look_into(self, connection: sqlite3.Connection, watch: Watch, *, thoroughly: bool) -> None:
        found = watch.look()
        if found is None and (thoroughly or watch.is_due()):
            try:
                found = watch.move(connection)
            except sqlite3.OperationalError:
                pass  # a full disk, or a lock: the next commit says so if it matters
            except sqlite3.DatabaseError as error:
                if not damage.is_damage(error):
                    raise
                found = _DAMAGED
        if found is None:
            return
        if found.in_index:
            say(logging.WARNING, "index_cut", _INDEX_CUT, path=self._path)
            return
        self._distrust = Distrust(found, same_header=watch.has_same_header())
        self.close()
        raise Distrusted(what=f"{self._path}{found.what}", cure="see what is left of it")

    def _rescue(self, connection: sqlite3.Connection) -> None:
        if self._files is not None:
            name = salvage.rescue(connection, self._path, self._files, self._process)
            self.salvaged += [name] if name else []
            self._shm_was_removed = database.inode_of(self._path) == self._files.database
        self.close()

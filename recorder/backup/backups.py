"""The finished backups of a database: finding them, and whether what they hold can still be put back.

Files are ours by their exact names. Beside the database every such name is its own. Elsewhere databases of the same
file name may share a folder, so the path that each digest records decides (see places.py): in the second place
it must be this database's, in a folder that was given it must not be another's.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.migrations import APPLICATION_ID, CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.backup import places
from llm_metrics_proxy.recorder.errors import BackupFailed, RecorderError, RestoreFailed
from llm_metrics_proxy.recorder.store import identity, timestamps
from llm_metrics_proxy.recorder.store.files import read
from llm_metrics_proxy.recorder.store.identity import differences

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES = 100
_ANOTHER = "choose another of `llm-metrics backups`"


class BackupFile(msgspec.Struct, frozen=True):
    """A finished backup.

    `made_at` comes from its name. `schema_version` is None if it cannot be read, and `verified` if nobody asked;
    `problem` is the sentence that says why it is not verified.
    """

    path: Path
    made_at: str
    bytes: int
    schema_version: int | None
    verified: bool | None = None
    problem: str | None = None


def found(path: Path, backup_dir: Path | None = None, *, verified: bool = False) -> list[BackupFile]:
    """All finished backups of the database at `path` in its places, newest first by name.

    With `verified` each is read through, which takes about a second for 100 MB.

    Raises:
        BackupFailed: the folder that was given cannot be read, or `TESTING=true` forbids the default ones.
    """
    path = path.resolve()
    files = []
    for place in places.places(path, backup_dir):
        if backup_dir is None and not places.is_own(place):
            continue
        try:
            with os.scandir(place) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError as error:
            what = f"The backups in {place} cannot be listed ({error.strerror})"
            raise BackupFailed(what=what, cure="give the folder that holds them") from error
        files += [place / name for name in names if _belongs(place / name, path, given=backup_dir is not None)]
    newest_first = sorted(files, key=lambda file: (file.name, str(file)), reverse=True)
    described = [one for file in newest_first if (one := _described(file, path.name)) is not None]
    return [_checked(one) for one in described] if verified else described


def verify(backup: Path) -> int:
    """Read the backup through, and return the schema version that can be put back from it.

    Never to be asked of a live database: its file would be opened.

    Raises:
        RestoreFailed: it is not there, is none of ours, needs a newer release, or is not what it was.
    """
    if not backup.is_file():
        raise RestoreFailed(what=f"There is no backup at {backup}", cure=_ANOTHER)
    try:
        if _header(backup)[: len(_MAGIC)] != _MAGIC:
            raise RestoreFailed(what=f"{backup} is not a SQLite database", cure=_ANOTHER)
        _check_digest(backup)
        with closing(connect(backup)) as connection:
            return _check_contents(connection, backup)
    except sqlite3.Error as error:
        raise RestoreFailed(what=f"{backup} is damaged ({error})", cure=_ANOTHER) from error
    except OSError as error:
        raise RestoreFailed(what=f"{backup} cannot be read ({error.strerror})", cure=_ANOTHER) from error


def connect(backup: Path) -> sqlite3.Connection:
    """A reader of exactly the bytes of the file: a -wal or -journal that somebody left beside it has no say."""
    connection = sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema=ON")  # as database.connect, for what users added
    return connection


def _belongs(backup: Path, path: Path, *, given: bool) -> bool:
    if places.moment_of(path.name, backup.name) is None:
        return False
    if backup.parent.resolve() == path.parent / "backups":
        return True
    digest = places.read_digest(backup)
    origin = None if digest is None else digest.origin
    return origin == str(path) or (given and origin is None)


def _described(backup: Path, name: str) -> BackupFile | None:
    moment = places.moment_of(name, backup.name)
    try:
        size = backup.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # retention, in another process
        return None
    if moment is None or size == 0:  # a name that was only reserved
        return None
    return BackupFile(backup, timestamps.bound(moment), size, _schema_version(backup))


def _checked(file: BackupFile) -> BackupFile:
    try:
        verify(file.path)
    except RestoreFailed as problem:
        return msgspec.structs.replace(file, verified=False, problem=str(problem))
    return msgspec.structs.replace(file, verified=True)


def _header(backup: Path) -> bytes:
    return read(backup, _HEADER_BYTES)


def _schema_version(backup: Path) -> int | None:
    """As the file's header says, which makes a long list quick; version 1 made by hand has to be looked into."""
    try:
        header = _header(backup)
        if len(header) < _HEADER_BYTES or header[: len(_MAGIC)] != _MAGIC:
            return None
        user_version, application_id = (int.from_bytes(header[at : at + 4]) for at in (60, 68))
        if application_id == APPLICATION_ID:
            return user_version
        with closing(connect(backup)) as connection:
            return identity.version_of(connection, backup)
    except (OSError, sqlite3.Error, RecorderError):
        return None


def _check_digest(backup: Path) -> None:
    digest = places.read_digest(backup)
    if digest is None:
        file = places.digest_path(backup).name
        what = f"{backup} has no digest, so nothing shows that it is still what it was"
        raise RestoreFailed(
            what=what, cure=f"if you trust it, make one in its folder: sha256sum {backup.name} > {file}"
        )
    if digest.sha256 != places.sha256_of(backup):
        raise RestoreFailed(what=f"{backup} is no longer what it was when it was made", cure=_ANOTHER)


def _check_contents(connection: sqlite3.Connection, backup: Path) -> int:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    if application_id == APPLICATION_ID and version > CURRENT_SCHEMA_VERSION:
        what = f"{backup} has schema version {version}, and this program knows up to {CURRENT_SCHEMA_VERSION}"
        raise RestoreFailed(what=what, cure="put it back with the newer release")
    if backup.stat().st_size != pages * page_size:
        raise RestoreFailed(what=f"{backup} is not as long as it says it is", cure=_ANOTHER)
    (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise RestoreFailed(what=f"{backup} is damaged ({answer.splitlines()[-1]})", cure=_ANOTHER)
    if application_id != APPLICATION_ID:
        return _adopted_version(connection, backup)
    if problems := [one.what for one in differences(connection, version) if one.hinders]:
        what = f"{backup} does not have the schema of its version {version} ({problems[0]})"
        raise RestoreFailed(what=what, cure=_ANOTHER)
    return int(version)


def _adopted_version(connection: sqlite3.Connection, backup: Path) -> int:
    """The version of a file without our marks: version 1, made from its published SQL, or none of ours."""
    try:
        version = identity.version_of(connection, backup)
    except RecorderError as error:
        raise RestoreFailed(what=f"{backup} is the database of another program", cure=_ANOTHER) from error
    if version == 0:
        raise RestoreFailed(what=f"{backup} holds nothing", cure=_ANOTHER)
    return version

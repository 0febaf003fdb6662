"""The folders and names of backups, and the digest beside each.

A backup is `metrics.db.YYYYMMDD_HHMMSS_mmm.backup`, the moment in UTC. A folder that was given is the only place, and
may be a symbolic link: somebody chose it. Else it is `backups/` beside the database, then
`~/.llm_metrics_proxy/backups/`; in those a link or another user's folder may have been planted to get at the calls, or
to slip in a backup, so neither is written to nor read from.

The `.sha256` beside each backup is what `sha256sum --check` reads, and a comment that names the database. The second
place, and a folder that was given, may be shared by databases of the same file name. The comment tells their backups
apart: `# of "/srv/billing/metrics.db"`, the absolute path as JSON, which sha256sum skips.
"""

import errno
import hashlib
import json
import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.store.files import open_regular, sync_folder
from llm_metrics_proxy.recorder.store.location import is_testing

_STAMP = re.compile(r"([0-9]{8}_[0-9]{6}_[0-9]{3})\.backup")
_LEFT_BEHIND = re.compile(r"[0-9]{8}_[0-9]{6}_[0-9]{3}\.backup(\.tmp(-journal|-wal|-shm)?|\.sha256)?")
_STALE_SECONDS = 3600
_ONE_MILLISECOND = 0.001

_MOST_BYTES = 65_536
_COMMENT = "# of "


def places(path: Path, backup_dir: Path | None) -> list[Path]:
    """The folders for backups of `path`, the preferred one first.

    Raises:
        BackupFailed: `TESTING=true` forbids the default ones.
    """
    if backup_dir is not None:
        return [backup_dir]
    if is_testing():
        what = "TESTING is set, which forbids the default places for backups"
        raise BackupFailed(what=what, cure="set metrics_backup_dir, or the command's option, to a folder")
    return [path.parent / "backups", Path("~/.llm_metrics_proxy/backups").expanduser()]


def make(place: Path, *, given: bool) -> None:
    """Make the folder unless it is there.

    Raises:
        OSError: it could not be made, or is not to be trusted.
    """
    if not place.is_dir():
        # A given folder is made only inside one that exists: a volume that is not mounted must not be papered over.
        place.mkdir(mode=0o700, parents=not given, exist_ok=True)
        with suppress(OSError):  # a parent that may be written but not read
            sync_folder(place.parent)
    if not given and not is_own(place):
        raise PermissionError(errno.EPERM, "a symbolic link or another user's folder")


def is_own(place: Path) -> bool:
    """True if a default place is a folder of this user, and no link."""
    return place.is_dir() and not place.is_symlink() and place.stat().st_uid == os.geteuid()


def check_room(folder: Path, needed: int) -> None:
    """See that the file system of `folder` has `needed` bytes; some do not say how much they have.

    Raises:
        OSError: it has not.
    """
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    if system.f_blocks and free < needed:
        message = f"{needed:,} bytes are needed there, and {free:,} are free"
        raise OSError(errno.ENOSPC, message)


def reserve(place: Path, name: str) -> tuple[Path, Path]:
    """A name of this millisecond that nobody has, in any process, and its `.tmp`, which has been created for it."""
    while True:
        moment = datetime.now(UTC)
        final = place / f"{name}.{moment:%Y%m%d_%H%M%S}_{moment.microsecond // 1000:03d}.backup"
        unfinished = final.with_name(f"{final.name}.tmp")
        try:
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600))
        except FileExistsError:
            time.sleep(_ONE_MILLISECOND)
            continue
        if not os.path.lexists(final):  # whoever had the .tmp before us in this millisecond may be done by now
            return final, unfinished
        unfinished.unlink()
        time.sleep(_ONE_MILLISECOND)


def moment_of(name: str, file_name: str) -> datetime | None:
    """The moment when backup `file_name` of database `name` was made; None if it is not the name of one."""
    match = _STAMP.fullmatch(file_name.removeprefix(f"{name}.")) if file_name.startswith(f"{name}.") else None
    if match is None:
        return None
    try:
        return datetime.strptime(f"{match[1]}000", "%Y%m%d_%H%M%S_%f").replace(tzinfo=UTC)
    except ValueError:  # digits, but no date
        return None


def sweep(place: Path, name: str) -> None:
    """Remove what processes that were killed left behind more than an hour ago: never a finished backup."""
    prefix = f"{name}."
    with os.scandir(place) as entries:
        found = [entry for entry in entries if entry.name.startswith(prefix) and entry.is_file(follow_symlinks=False)]
    for entry in found:
        if not _LEFT_BEHIND.fullmatch(entry.name.removeprefix(prefix)):
            continue
        with suppress(OSError):  # another process renamed or removed it just now, or it is another user's
            old = time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS
            if old and not _is_in_use(Path(entry.path)):
                Path(entry.path).unlink()


def _is_in_use(path: Path) -> bool:
    """True for a backup or the digest of one; a backup of no bytes is a name that somebody only reserved."""
    finished = path.with_name(path.name.removesuffix(".sha256"))
    return finished.name.endswith(".backup") and finished.exists() and finished.stat().st_size > 0


class Digest(msgspec.Struct, frozen=True):
    """The content of a `.sha256`; `origin` is the database's path, None where it is not recorded."""

    sha256: str
    origin: str | None


def digest_path(backup: Path) -> Path:
    """The path of the digest of `backup`."""
    return backup.with_name(f"{backup.name}.sha256")


def sha256_of(backup: Path) -> str:
    """The SHA-256 of a backup's content; never to be asked of a live database, see database.py."""
    with os.fdopen(open_regular(backup, follow=True), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_digest(sha256: str, final: Path, origin: Path) -> None:
    """Write the digest of the backup that will be called `final`, durably."""
    lines = f"{sha256}  {final.name}\n{_COMMENT}{json.dumps(str(origin))}\n"
    descriptor = os.open(digest_path(final), os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii", errors="surrogateescape") as stream:
        stream.write(lines)
        stream.flush()
        os.fsync(stream.fileno())


def read_digest(backup: Path) -> Digest | None:
    """The digest beside `backup`; None if there is none that can be read."""
    try:
        descriptor = open_regular(digest_path(backup))
        with os.fdopen(descriptor, "rb") as stream:
            lines = stream.read(_MOST_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return None
    digests = [line.split()[0].lower() for line in lines if line.strip() and not line.startswith("#")]
    origins = [line.removeprefix(_COMMENT) for line in lines if line.startswith(_COMMENT)]
    if not digests:
        return None
    try:
        origin = json.loads(origins[0]) if origins else None
    except ValueError:
        origin = None
    return Digest(digests[0], origin if isinstance(origin, str) else None)

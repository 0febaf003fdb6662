"""Delete backups that are no longer needed: old ones, and only while enough good ones stay.

Of a database's backups these stay: the newest good ones, the newest good one of each schema version, the newest good
one by the file's own time (a clock that was set back makes young names look old), and whatever cannot be read or has
no digest, since a person has to look at it. Good is what still has the SHA-256 that it was verified with. Those of the
last two days stay as well: what was made before a restore or a deletion by hand holds what nothing else does.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.backup import backups, places
from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.store import timestamps

YOUNG: Final = timedelta(days=2)


def apply(path: Path, backup_dir: Path | None = None, keep: int = 5, *, spared: Collection[Path] = ()) -> list[Path]:
    """Delete the backups of `path` that are no longer needed, with their digests, and return them.

    To be called when a new backup has just been made. `keep` good ones stay at least; `spared` ones in any case.

    Raises:
        ValueError: `keep` is less than 1.
        BackupFailed: the places cannot be read, or one of the backups could not be deleted.
    """
    if keep < 1:
        message = f"keep is {keep}: at least one backup has to stay"
        raise ValueError(message)
    path = path.resolve()
    candidates = [file for file in backups.found(path, backup_dir) if _is_deletable(file, path)]
    if len(candidates) <= keep:
        return []
    is_good = cache(_is_good)  # each file is read through at most once
    good = _first(candidates, keep, is_good)
    if len(good) < keep:
        return []
    kept = {file.path for file in good}
    by_time = sorted(candidates, key=_modified_at, reverse=True)
    kept.update(file.path for file in _first(by_time, 1, is_good))
    for version in {file.schema_version for file in candidates}:
        same = [file for file in candidates if file.schema_version == version]
        kept.update(file.path for file in _first(same, 1, is_good))
    oldest = candidates.index(good[-1])
    since = timestamps.bound(datetime.now(UTC) - YOUNG)
    kept.update(file.path for file in candidates if file.made_at > since)
    stay = kept | {file.resolve() for file in spared}
    gone = [file.path for file in candidates[oldest + 1 :] if file.path not in stay and file.path.resolve() not in stay]
    for backup in gone:
        try:
            backup.unlink(missing_ok=True)  # before its digest, so that no backup ever stands without one
            places.digest_path(backup).unlink(missing_ok=True)
        except OSError as error:
            what = f"{backup} is no longer needed, and could not be deleted ({error.strerror})"
            raise BackupFailed(what=what, cure="check the modes of its folder, or delete it") from error
    return gone


def _is_deletable(file: backups.BackupFile, path: Path) -> bool:
    """It can be read, and it is certainly a backup of this database."""
    digest = places.read_digest(file.path)
    if digest is None or file.schema_version is None:
        return False
    return digest.origin == str(path) or file.path.parent.resolve() == path.parent / "backups"


def _modified_at(file: backups.BackupFile) -> int:
    try:
        return file.path.stat().st_mtime_ns
    except FileNotFoundError:  # retention, in another process
        return 0


def _is_good(file: backups.BackupFile) -> bool:
    digest = places.read_digest(file.path)
    try:
        return digest is not None and digest.sha256 == places.sha256_of(file.path)
    except OSError:
        return False


def _first(
    files: list[backups.BackupFile], count: int, is_good: Callable[[backups.BackupFile], bool]
) -> list[backups.BackupFile]:
    """The first `count` good ones of `files`; no more are read through than that takes."""
    good: list[backups.BackupFile] = []
    for file in files:
        if len(good) == count:
            break
        if is_good(file):
            good.append(file)
    return good

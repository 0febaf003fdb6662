"""The `.sha256` beside each backup: what `sha256sum --check` reads, and a comment that names the database.

The second place for backups, and a folder that was given, may be shared by databases of the same file name. The
comment tells their backups apart: `# of "/srv/billing/metrics.db"`, the absolute path as JSON, which sha256sum skips.
"""

import hashlib
import json
import os
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder.store.regular import open_regular

_MOST_BYTES = 65_536
_COMMENT = "# of "


class Digest(msgspec.Struct, frozen=True):
    """What a `.sha256` says; `origin` is the database's path, None where it is not recorded."""

    sha256: str
    origin: str | None


def path_of(backup: Path) -> Path:
    """Where the digest of `backup` stands."""
    return backup.with_name(f"{backup.name}.sha256")


def compute(backup: Path) -> str:
    """The SHA-256 of a backup's content; never to be asked of a live database, see database.py."""
    with backup.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(unfinished: Path, final: Path, origin: Path) -> None:
    """Write the digest of `unfinished` for the time when it is called `final`, durably."""
    lines = f"{compute(unfinished)}  {final.name}\n{_COMMENT}{json.dumps(str(origin))}\n"
    descriptor = os.open(path_of(final), os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii", errors="surrogateescape") as stream:
        stream.write(lines)
        stream.flush()
        os.fsync(stream.fileno())


def read(backup: Path) -> Digest | None:
    """What stands beside `backup`; None if nothing that can be read does."""
    try:
        descriptor = open_regular(path_of(backup))
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

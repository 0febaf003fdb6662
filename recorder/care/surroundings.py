"""What stands around the database, asked of the file system: recorders, events kept aside, salvaged files, backups."""

from contextlib import suppress
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder.backup import backups
from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.store import presence, spill_folder
from llm_metrics_proxy.recorder.writing import rejected, salvage, spill


class Surroundings(msgspec.Struct, frozen=True):
    """The names are keys of the JSON document of `llm-metrics status`."""

    living: tuple[str, ...]  # recorders that run now
    spill_files: int
    spill_bytes: int  # events that wait for the database
    rejected_bytes: int  # events that no row could be made of
    salvaged: tuple[str, ...]  # copies of a database that was replaced while it was written
    backups: int  # in the default places
    last_backup: str | None  # when the newest of these was made


def around(path: Path) -> Surroundings:
    """Look around the database at `path`."""
    folder = spill_folder.folder_of(path)
    made = []
    with suppress(BackupFailed):  # TESTING, or no permission: then nothing is known
        made = backups.found(path)
    return Surroundings(
        living=tuple(sorted(presence.living(path))),
        spill_files=len(spill.files(folder)),
        spill_bytes=spill.waiting_bytes(folder),
        rejected_bytes=_size_of(folder / rejected.FILE_NAME),
        salvaged=tuple(sorted(file.name for file in path.parent.glob(f"{path.name}.*{salvage.SUFFIX}"))),
        backups=len(made),
        last_backup=made[0].made_at if made else None,
    )


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0

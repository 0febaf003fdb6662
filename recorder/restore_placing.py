"""Giving a finished copy the database's name, where there is nothing that it could be written into."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from llm_metrics_proxy.recorder.errors import RestoreFailed
from llm_metrics_proxy.recorder.store.durable import sync_folder

_SIDE_FILES = ("-wal", "-shm", "-journal")


def place(path: Path, stage: Path) -> None:
    """Put `stage` at `path`, where nothing stands.

    Raises:
        RestoreFailed: something stands there now; it is left alone.
    """
    try:
        os.link(stage, path)  # unlike a rename it never replaces anything
    except OSError as error:
        what = f"{path} could not be placed ({error.strerror})"
        raise RestoreFailed(what=what, cure="see what stands there, and try again") from error
    sync_folder(path.parent)


def replace(path: Path, stage: Path) -> Path:
    """Put `stage` at `path`, and what stands there, if anything, into `corrupt-<time>/` beside it, which is returned.

    Nobody may have the database open. At no moment is the path empty, which a start would take for a new database: a
    kill on the way leaves the damaged file there, or the new one.

    Raises:
        RestoreFailed: it could not be done.
    """
    folder = path.with_name(f"corrupt-{datetime.now(UTC):%Y%m%d_%H%M%S_%f}")
    try:
        folder.mkdir(mode=0o700)
        for end in _SIDE_FILES:  # first, since the new file must never stand beside the WAL of another
            with suppress(FileNotFoundError):
                Path(f"{path}{end}").rename(folder / f"{path.name}{end}")
        with suppress(FileNotFoundError):
            os.link(path, folder / path.name)
        sync_folder(folder)
        sync_folder(path.parent)
        stage.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        what = f"{path} could not be replaced ({error.strerror}); look into {folder}"
        raise RestoreFailed(what=what, cure="move the files of the damaged database away, and try again") from error
    return folder

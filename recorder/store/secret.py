"""The secret of a database, under which keys are hashed: made once, in a file beside it that nothing else reads.

It is no part of the database, which is copied, exported, and shown by pages: who has only that can test no key. Several
recorders of one database have the same secret. No backup has it; where it is lost, ids are others from then on.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.store.files import open_regular, sync_folder, write_all

BYTES: Final = 32


def path_of(database: Path) -> Path:
    """The file, whether or not it is there."""
    return database.with_name(f"{database.name}.secret")


def of(database: Path) -> bytes:
    """The secret, which is made where there is none.

    Raises:
        OSError: it can be neither read nor made, or what stands there is none.
    """
    path = path_of(database)
    with suppress(FileNotFoundError):
        return _read(path)
    draft = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.new")
    descriptor = open_regular(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        try:
            write_all(descriptor, secrets.token_bytes(BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path, follow_symlinks=False)
        except FileExistsError:  # another recorder was faster: that one's counts
            pass
        except OSError:  # a file system without links
            draft.rename(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> bytes:
    descriptor = open_regular(path)
    try:
        found = os.read(descriptor, BYTES + 1)
    finally:
        os.close(descriptor)
    if len(found) != BYTES:
        raise OSError(None, "it is not as it was made")
    return found

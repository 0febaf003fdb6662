"""Names of files that survive a power cut: a file that was synced may still be missing from its folder."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, as fsync does the content of a file.

    Raises:
        OSError: it could not be done.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

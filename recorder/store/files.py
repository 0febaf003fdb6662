"""Files that others may have put there, and names that survive a power cut.

A link is not followed, and a pipe hangs nobody. A file that was synced may still be missing from its folder after a
power cut, until the folder was synced too.
"""

import errno
import os
import stat
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


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the regular file at `path`; one that `flags` create is 0600.

    Raises:
        OSError: it is a link, no regular file, not there, or cannot be opened.
    """
    # Without O_NONBLOCK the open itself waits for the other end of a pipe. Regular files know no such thing.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: the system may take a part of it at a time."""
    while data:
        data = data[os.write(descriptor, data) :]

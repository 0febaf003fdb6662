"""Files that others may have put there, and names that survive a power cut.

Every path that somebody else could have planted something at is opened here, or looked at by `check_regular` before a
library opens it: nothing waits for the other end of a pipe, reads a device for ever, or writes through a link. A file
that was synced may still be missing from its folder after a power cut, until the folder was synced too.
"""

import errno
import os
import stat
from pathlib import Path

# In the words of an OSError's strerror, which sentences put in parentheses.
_KINDS = {
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFDIR: "it is a folder",
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


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


def check_regular(path: Path, *, follow: bool = False) -> None:
    """See that a regular file stands at `path`, or nothing: for files that a library opens, which may wait for ever.

    Raises:
        OSError: something else does. With `follow` a link to a regular file will do, but none that leads nowhere, where
            a library would make a file.
    """
    try:
        mode = path.stat(follow_symlinks=follow).st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise OSError(errno.ENOENT, "it is a symbolic link to nothing") from None
        return
    _check_mode(mode)


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """A descriptor of the regular file at `path`; one that `flags` create is 0600.

    Raises:
        OSError: it is no regular file, a link unless those are to be followed, not there, or cannot be opened.
    """
    if not follow:
        flags |= os.O_NOFOLLOW
    try:
        # Without O_NONBLOCK the open itself waits for the other end of a pipe. Regular files know no such thing.
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError:
        check_regular(path, follow=follow)  # says more than ELOOP of a link and ENXIO of a pipe or socket
        raise
    try:
        _check_mode(os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read(path: Path, most: int = -1) -> bytes:
    """The content of the regular file at `path`, or its first `most` bytes; a link is followed.

    Raises:
        OSError: it is no regular file, not there, or cannot be read.
    """
    with os.fdopen(open_regular(path, follow=True), "rb") as file:
        return file.read(most)


def write_result(path: Path, data: bytes) -> None:
    """Write what a command was asked for to `path`: a file, or a pipe or terminal that somebody reads.

    Raises:
        OSError: it is a folder or the like, a pipe that nobody reads, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, 0)
        os.set_blocking(descriptor, True)  # for whoever reads slowly
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: the system may take a part of it at a time."""
    while data:
        data = data[os.write(descriptor, data) :]


def _check_mode(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, _KINDS.get(stat.S_IFMT(mode), "it is no regular file"))

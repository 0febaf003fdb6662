"""The folder of the database, known by its inode: found again under another name, never confused with another folder.

A descriptor holds on to it. Where it went only the system knows: Linux says so in `/proc/self/fd`, macOS by F_GETPATH.
A folder that has no name any more (its file system was unmounted, for example) is still reached through Linux's
descriptor. Only once ours was removed another folder at the path counts as ours: the next start would use it, too.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_GETPATH = getattr(fcntl, "F_GETPATH", None)
_LONGEST_PATH = 1024  # bytes, of macOS


class Home:
    """The folder of the database at `database`; for one thread, but for `is_there`."""

    def __init__(self, database: Path) -> None:
        """Hold on to the folder if it is there."""
        self._given = database
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._hold()

    def is_there(self) -> bool:
        """True if the folder stands where it was, or was never seen."""
        return self._identity is None or _identity_of(self._given.parent) == self._identity

    def path(self) -> Path:
        """The database's path now: the given one, unless the folder is elsewhere."""
        if self._descriptor is None:
            self._hold()
        if self._descriptor is None or self.is_there():
            return self._given
        if os.fstat(self._descriptor).st_nlink:
            for folder in self._names(self._descriptor):
                if _identity_of(folder) == self._identity:
                    return folder / self._given.name
        return self._given

    def is_removed(self) -> bool:
        """True if our folder is there no more, under whatever name."""
        return self._descriptor is not None and not os.fstat(self._descriptor).st_nlink

    def renew(self) -> None:
        """Make the folder anew, 0700, where ours was removed; or take what stands there now for ours.

        Raises:
            OSError: it cannot be made.
        """
        self._given.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.close()
        self._hold()

    def close(self) -> None:
        """Let go of the folder."""
        descriptor, self._descriptor = self._descriptor, None
        self._identity = None
        if descriptor is not None:
            os.close(descriptor)

    def _hold(self) -> None:
        with suppress(OSError):
            self._descriptor = os.open(self._given.parent, os.O_RDONLY | os.O_DIRECTORY)
            status = os.fstat(self._descriptor)
            self._identity = status.st_dev, status.st_ino

    @staticmethod
    def _names(descriptor: int) -> list[Path]:
        if _GETPATH is not None:
            name = fcntl.fcntl(descriptor, _GETPATH, bytes(_LONGEST_PATH)).rstrip(b"\0")
            return [Path(os.fsdecode(name))]
        link = Path(f"/proc/self/fd/{descriptor}")
        with suppress(OSError):
            return [link.readlink(), link]
        return []


def _identity_of(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

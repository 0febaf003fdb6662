"""Small disks of our own: one in memory that can be filled, and one whose power can be cut. Both need root."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.trials.torture.case import Blocked, Broken
from tests.trials.torture.faults import program

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2  # what was not synced is gone


@contextmanager
def memory_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs of that size.

    Raises:
        Blocked: it cannot be mounted here.
    """
    _only_root()
    mount = folder / "disk"
    mount.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(mount))
    try:
        yield mount
    finally:
        _unmount(mount)


@dataclass(frozen=True)
class Ext4:
    """An ext4 in a file, mounted at `mount`."""

    image: Path
    mount: Path

    def cut(self) -> None:
        """From now on nothing reaches the disk, and what was only in memory is lost.

        Raises:
            Blocked: the file system does not let us.
        """
        descriptor = os.open(self.mount, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        except OSError as error:
            raise Blocked(f"EXT4_IOC_SHUTDOWN: {error.strerror} ({error.errno})") from error
        finally:
            os.close(descriptor)

    def mount_again(self) -> None:
        """The power is back: mount it, with the recovery of its journal."""
        _unmount(self.mount)
        _run("mount", "-o", "loop", str(self.image), str(self.mount))


@contextmanager
def ext4_disk(folder: Path, megabytes: int) -> Iterator[Ext4]:
    """A new ext4 on a loop device.

    Raises:
        Blocked: it cannot be made or mounted here.
    """
    _only_root()
    disk = Ext4(folder / "disk.img", folder / "disk")
    with disk.image.open("wb") as image:
        image.truncate(megabytes << 20)
    disk.mount.mkdir()
    _run("mkfs.ext4", "-q", "-F", str(disk.image))
    _run("mount", "-o", "loop", str(disk.image), str(disk.mount))
    try:
        yield disk
    finally:
        _unmount(disk.mount)
        disk.image.unlink()


def _only_root() -> None:
    if os.geteuid() != 0:
        raise Blocked("only root may mount")


def _run(name: str, *arguments: str) -> None:
    result = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise Blocked(f"{name} ended with {result.returncode}: {result.stderr.strip().splitlines()[-1:]}")


def _unmount(mount: Path) -> None:
    result = subprocess.run([program("umount"), str(mount)], capture_output=True, text=True, check=False)
    if result.returncode:
        # Somebody still has a file open there: the name goes now, the disk with its last user.
        result = subprocess.run([program("umount"), "-l", str(mount)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise Broken(f"{mount} could not be unmounted: {result.stderr.strip()}")

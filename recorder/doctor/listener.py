"""Which process of this machine listens on a port, as far as Linux tells: its own to everybody, others' to root."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"  # TCP_LISTEN, as /proc/net/tcp has it
_ADDRESS, _STATE, _INODE = 1, 3, 9


def process_at(port: int) -> str | None:
    """Return the name and number of the process, or None where that cannot be known."""
    with suppress(OSError, ValueError):
        inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _inodes(table, port)}
        for process in Path("/proc").iterdir() if inodes else ():
            if process.name.isdigit() and _holds(process, inodes):
                return f"{(process / 'comm').read_text().strip()}, process {process.name}"
    return None


def _inodes(table: str, port: int) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[_STATE] == _LISTENING and int(fields[_ADDRESS].rpartition(":")[2], 16) == port:
                yield fields[_INODE]


def _holds(process: Path, sockets: set[str]) -> bool:
    with suppress(OSError):  # another user's, or gone
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in sockets:  # noqa: PTH115 - these are no paths
                    return True
    return False

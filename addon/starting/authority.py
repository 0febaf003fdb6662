"""The folder of mitmproxy's CA: whoever can write there, or read the key, can read all that its clients send.

mitmproxy makes the key 0600, but the folder and the certificate as the umask has it, which may let everybody write.
"""

import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_KEYS = ("mitmproxy-ca.pem", "mitmproxy-ca.p12")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def guard(folder: Path) -> Iterator[str]:
    """Take the right to write from everybody else, where everybody has it, and yield what is left to be done."""
    for path in (folder, *folder.glob("mitmproxy-*")):
        if not path.is_symlink() and (mode := _mode(path)) & stat.S_IWOTH:
            with suppress(OSError):  # another user's
                path.chmod(mode & ~_OTHERS_WRITE)
            if _mode(path) & stat.S_IWOTH:
                yield f"Everybody can write {path}, and so read what clients send: chmod go-w {shlex.quote(str(path))}"
    for key in (folder / name for name in _KEYS):
        if _mode(key) & _OTHERS:
            yield f"Others can read the CA's key {key}, and so what clients send: chmod 600 {shlex.quote(str(key))}"


def _mode(path: Path) -> int:
    """Return the mode; 0 of what is not there or cannot be asked."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0

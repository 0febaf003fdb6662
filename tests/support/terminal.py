"""A terminal for a program under test: a pseudo-terminal that it is the foreground of, and what it drew there."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

_DRAWING = "\x1b[H"  # the cursor goes home: what follows is drawn over the whole screen
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PATIENCE_SECONDS = 20.0
# The terminal has to become the program's own, so that Ctrl-C and a new size reach it as signals.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """Runs a command; `close` ends it if it has not ended."""

    def __init__(self, command: Sequence[str], *, columns: int = 120, lines: int = 30, **environment: str) -> None:
        """Start the command on a terminal of this size."""
        self.output = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._master, slave = pty.openpty()
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )
        os.close(slave)

    def __enter__(self) -> Self:
        """The command runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, of which the kernel tells the program."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type it: `\\x03` is Ctrl-C."""
        os.write(self._master, text.encode())

    def screen(self) -> list[str]:
        """The lines of what was drawn last, without colours."""
        return [line.rstrip() for line in _ESCAPES.sub("", self.output.rpartition(_DRAWING)[2]).splitlines()]

    def wait_for(self, is_there: str | Callable[[], bool]) -> None:
        """Read until a text is on the screen, or something holds."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while not (is_there in "\n".join(self.screen()) if isinstance(is_there, str) else is_there()):
            assert time.monotonic() < ends, f"{is_there} did not come; last:\n{self.output[-3000:]!r}"
            self._read()

    def wait_for_drawings(self, count: int) -> None:
        """Read until it was drawn so many times more."""
        before = self.output.count(_DRAWING)
        self.wait_for(lambda: self.output.count(_DRAWING) >= before + count)

    def wait_until_stopped(self) -> None:
        """Wait until the program has stopped itself, as with Ctrl-Z."""
        self.wait_for(lambda: bool(os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG)))

    def go_on(self) -> None:
        """Continue the stopped program, as `fg` does."""
        os.kill(self.process.pid, signal.SIGCONT)

    def exit_code(self) -> int:
        """Wait for the end."""
        self.wait_for(lambda: self.process.poll() is not None)
        while self._read():
            pass
        return self.process.wait()

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.05)
        if not ready:
            return False
        try:
            read = os.read(self._master, 1 << 16)
        except OSError:  # the program has ended
            return False
        self.output += self._decoder.decode(read)  # a read may end within a letter
        return bool(read)

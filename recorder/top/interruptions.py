"""Signals are noted instead of obeyed at once, for a program that draws on a terminal and has to leave it as it was.

A signal ends a wait, never a statement or a half-drawn screen. For the main thread, as Python's signals are.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NOTED = (*_ENDING, signal.SIGWINCH, signal.SIGTSTP)
_BROKEN_PIPE: Final = 1  # the exit code that others have here as well


class Interruptions:
    """Within `with`: `wait` sleeps until something happens, `exit_code` says whether it was the end."""

    def __init__(self) -> None:
        """Nothing is changed before `with`."""
        self.exit_code: int | None = None  # None while there is no reason to end
        self._suspended = False
        self._read, self._write = -1, -1
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
        self._wakeup_before = -1
        self._poll = select.poll()

    def __enter__(self) -> Self:
        """Begin to note signals."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._poll.register(self._read, select.POLLIN)
        if sys.stdout is None:  # closed before the start
            self.exit_code = _BROKEN_PIPE
        else:
            self._poll.register(sys.stdout, 0)  # which tells that nobody reads it any more
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {one: signal.signal(one, self._note) for one in _NOTED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave signals as they were."""
        for one, before in self._before.items():
            signal.signal(one, before)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read)
        os.close(self._write)

    def is_over(self) -> bool:
        """True if there is a reason to end."""
        return self.exit_code is not None

    def wait(self, seconds: float) -> bool:
        """Sleep at most so long; True if a signal came, or nobody reads stdout any more."""
        happened = dict(self._poll.poll(max(seconds, 0) * 1000))
        if self._read in happened:
            os.read(self._read, 1024)
            del happened[self._read]
            return True
        if happened:
            self.exit_code = self.exit_code or _BROKEN_PIPE
        return bool(happened)

    def take_suspension(self) -> bool:
        """True if Ctrl-Z was typed since the last call; the caller leaves the terminal and calls `suspend`."""
        suspended, self._suspended = self._suspended, False
        return suspended

    @staticmethod
    def suspend() -> None:
        """Stop until the shell lets the program go on."""
        os.kill(os.getpid(), signal.SIGSTOP)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in _ENDING:
            self.exit_code = 128 + number
        elif number == signal.SIGTSTP:
            self._suspended = True

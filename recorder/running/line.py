"""The line between the parent of workers and one of them: messages both ways, and clients' connections to the worker.

A message is one line of JSON. A connection goes with the message that speaks of it: the kernel ends what it hands out
at once behind a message that brings a descriptor, so that the two stay together.
"""

import array
import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

_AT_ONCE: Final = 65_536  # bytes


class Listen(msgspec.Struct, frozen=True, tag=True):
    """A worker wants the connections of an address; the parent answers in the order of these questions."""

    host: str | None
    port: int


class Listening(msgspec.Struct, frozen=True, tag=True):
    """It gets them: those that come from now on have this number; `addresses` as `getsockname` has them."""

    number: int
    addresses: list[tuple[str | int, ...]]


class NotListening(msgspec.Struct, frozen=True, tag=True):
    """The system does not let us listen there."""

    errno: int
    reason: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker serves and records; `database` is its option, None where that has its default."""

    database: str | None
    writes_json: bool


class Take(msgspec.Struct, frozen=True, tag=True):
    """A client's connection, which comes with this; `listener` is the number of `Listening`."""

    connection: int
    listener: int


class Taken(msgspec.Struct, frozen=True, tag=True):
    """The worker has it."""

    connection: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The worker could not take it: it has as many descriptors as it may."""

    connection: int


class Left(msgspec.Struct, frozen=True, tag=True):
    """A connection that the worker had has ended."""

    connection: int


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Let what goes on come to its end, for so many seconds at most, and end."""

    seconds: float


type FromWorker = Listen | Ready | Taken | Refused | Left
type FromParent = Listening | NotListening | Take | Drain

_encode = msgspec.json.Encoder().encode


class Line[Got]:
    """One end of the line. Used by one event loop, nothing here blocks."""

    def __init__(self, end: socket.socket, kind: object, got: Callable[[Got, int | None], None]) -> None:
        """`kind` is the type of what comes, `got` takes it, with the descriptor that came with it.

        Args:
            end: of a pair of sockets; it is closed with this.
            kind: the union of the messages that come.
            got: called with each message.
        """
        self.end = end
        self.lost: asyncio.Event = asyncio.Event()
        """Set once the other process has ended, or this end was closed."""
        self._decode = msgspec.json.Decoder(kind).decode
        self._got = got
        self._begun = bytearray()  # of a line that has not come to its end
        self._waits = bytearray()  # until the other process reads
        self._descriptors: deque[int] = deque()
        end.setblocking(False)  # noqa: FBT003 - the system's own signature
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end, self._read)

    def send(self, message: FromWorker | FromParent) -> None:
        """Send a message, later if the other process does not read."""
        if not self.lost.is_set():
            self._waits += _encode(message) + b"\n"
            self._write()

    def send_with(self, message: FromParent, descriptor: int) -> bool:
        """Send a message and a descriptor at once; False if that is not possible now."""
        if self.lost.is_set() or self._waits:
            return False
        line = _encode(message) + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            sent = self.end.sendmsg([line], rights)
        except OSError:  # full, or too many descriptors are on their way; a broken line is noticed where it is read
            return False
        if sent < len(line):
            self._waits += line[sent:]
            self._write()
        return True

    def read_rest(self) -> None:
        """The other process has ended: hear what it still said, and hang up."""
        while self._read():
            pass
        self.close()

    def close(self) -> None:
        """Hang up."""
        if not self.lost.is_set():
            self._loop.remove_reader(self.end)
            self._loop.remove_writer(self.end)
            self.end.close()
            self.lost.set()

    def _write(self) -> None:
        with suppress(BlockingIOError, InterruptedError):
            try:
                del self._waits[: self.end.send(self._waits)]
            except OSError as error:
                if isinstance(error, BlockingIOError | InterruptedError):
                    raise
                self._waits.clear()  # nobody is there any more, which the reader notices
        if self._waits:
            self._loop.add_writer(self.end, self._write)
        else:
            self._loop.remove_writer(self.end)

    def _read(self) -> bool:
        """Hear what has come; False if that was nothing."""
        if self.lost.is_set():
            return False
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self.end, _AT_ONCE, 1)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.close()
            return False
        self._descriptors += descriptors
        self._begun += data
        *lines, rest = self._begun.split(b"\n")
        self._begun = bytearray(rest)
        for line in lines:
            message = self._decode(line)
            # None: this process may not have one more, so the kernel has closed it.
            brings = isinstance(message, Take) and self._descriptors
            self._got(message, self._descriptors.popleft() if brings else None)
        return True

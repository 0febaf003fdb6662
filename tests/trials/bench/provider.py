"""The provider of the bench, in a process of its own: answers of prebuilt bytes, over TLS and in plain text.

It prints where it listens as one line of JSON, and serves until its standard input ends. The provider of tests/support
has a thread for each connection, which would be slower than what is measured here.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self, cast, override

import msgspec

from tests.support.certificates import Authority
from tests.support.proxy import ROOT, clean_environment
from tests.trials.bench.traffic import (
    HOST,
    INTERVAL_SECONDS,
    NOT_FOUND,
    SMALL_RESPONSE,
    STREAM_HEAD,
    TAIL,
    Answer,
    answer_for,
    event,
    head_and_length,
)


class Ports(msgspec.Struct):
    """The ports it listens on."""

    tls: int
    plain: int


class Provider:
    """The process, as a context manager; its certificate authority is in `ca`."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "provider-ca.pem"
        self.ports = Ports(0, 0)
        self._command = [sys.executable, "-m", "tests.trials.bench.provider", str(self.ca)]
        self._environment = clean_environment(folder)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self.ports = msgspec.json.decode(self._process.stdout.readline(), type=Ports)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body = 0  # where it begins
        self._needed = 0  # bytes of the request, once they are known
        self._loop = asyncio.get_running_loop()
        self._burst = [event(0)] * Answer.BURST.events

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._needed and (head := head_and_length(buffer)):
            self._body, length = head
            self._needed = self._body + (length or 0)
        if self._needed and len(buffer) >= self._needed:
            answer = answer_for(buffer, self._body)
            del buffer[: self._needed]
            self._needed = 0
            self._answer(answer)

    def _answer(self, answer: Answer | None) -> None:
        write = self._transport.write
        if answer is None:
            write(NOT_FOUND)  # what a proxy asks for itself
        elif answer is Answer.SMALL:
            write(SMALL_RESPONSE)
        elif answer is Answer.BURST:
            write(STREAM_HEAD)
            for one in self._burst:
                write(one)
            write(TAIL)
        else:
            write(STREAM_HEAD)
            self._wait(answer.events, self._loop.time())

    def _wait(self, left: int, last: float) -> None:
        due = last + INTERVAL_SECONDS
        self._loop.call_at(due, self._pace, left, due)

    def _pace(self, left: int, due: float) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(event(time.monotonic_ns()))
        if left > 1:
            self._wait(left - 1, due)
        else:
            self._transport.write(TAIL)


async def _serve(ca: Path) -> None:
    authority = Authority()
    authority.write(ca)
    loop = asyncio.get_running_loop()
    tls = await loop.create_server(_Connection, "127.0.0.1", 0, ssl=authority.server_context(HOST), backlog=512)
    plain = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=512)
    ports = Ports(tls.sockets[0].getsockname()[1], plain.sockets[0].getsockname()[1])
    os.write(1, msgspec.json.encode(ports) + b"\n")
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)  # nothing is ever written to it: it becomes readable when it ends
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.trials.bench.provider")
    parser.add_argument("ca", type=Path, help="where to write the certificate of its authority")
    asyncio.run(_serve(parser.parse_args().ca))

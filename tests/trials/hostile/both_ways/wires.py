"""Both ends of a conversation as raw bytes: what is sent is written as it stands, and what comes is kept as it came."""

import asyncio
import re
import ssl
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.support.certificates import Authority
from tests.trials.hostile.both_ways.kinds import After, Conversation

MARK: Final = b"x-conversation: "
_LIMIT = 1 << 26
_LONGEST_SECONDS = 20.0


@dataclass
class Message:
    """One message as it came; `rest` of it is missing if it is not whole."""

    head: bytes
    body: bytes = b""
    whole: bool = True


@dataclass
class Seen:
    """All that the ends of a conversation have seen."""

    answers: list[Message] = field(default_factory=list)
    ended: str = ""  # the client's end
    requests: list[list[Message]] = field(default_factory=list)  # of each connection to the provider


class RawProvider:
    """A server for any host. Its answers are those of the conversation that a request names."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.talks: dict[bytes, Conversation] = {}
        self.seen: defaultdict[bytes, Seen] = defaultdict(Seen)
        self.port = 0

    async def serve(self) -> asyncio.Server:
        """Listen on a free port."""
        context = self.authority.server_context()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context, limit=_LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[Message] | None = None
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                request = Message(await reader.readuntil(b"\r\n\r\n"), whole=False)
                name, _, number = request.head.partition(MARK)[2].partition(b"\r\n")[0].partition(b" ")
                reply = self.talks[name].replies[int(number)]
                if requests is None:
                    requests = []
                    self.seen[name].requests.append(requests)
                requests.append(request)
                if reply.early:
                    await _write(writer, reply.made(b""))
                request.whole = await read_body(reader, request)
                if not request.whole:
                    break
                if not reply.early:
                    await _write(writer, reply.made(request.body))
                if reply.after is After.HANG:
                    await reader.read()
                if reply.after is After.RESET:
                    writer.transport.abort()
                if reply.after is not After.KEEP:
                    break
        writer.close()


async def talk(port: int, context: ssl.SSLContext, said: Conversation, seen: Seen, quiet: float) -> None:
    """Be the client of a conversation; after `quiet` seconds nothing more is expected."""
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT)
            host = said.host.encode()
            writer.write(b"CONNECT %b:443 HTTP/1.1\r\nHost: %b:443\r\n\r\n" % (host, host))
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(context, server_hostname=said.host)
            sending = asyncio.create_task(_send(writer, said))
            if said.leaves_upload:
                await sending
                await asyncio.sleep(quiet)  # what came whole is on its way
            else:
                await _receive(reader, said, seen, quiet)
            sending.cancel()
            writer.transport.abort() if said.rude else writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        seen.ended = type(error).__name__


async def _send(writer: asyncio.StreamWriter, said: Conversation) -> None:
    with suppress(OSError):
        for wait, piece in said.pieces:
            await asyncio.sleep(wait)
            writer.write(piece)
            await writer.drain()


async def _receive(reader: asyncio.StreamReader, said: Conversation, seen: Seen, quiet: float) -> None:
    """Read all answers, and then whatever else comes."""
    left = len(said.replies)
    while left:
        try:
            answer = Message(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            seen.ended = f"closed {error.partial!r}"
            return
        except OSError:  # which of the two it is depends on what the client still wrote
            seen.ended = "closed b''"
            return
        seen.answers.append(answer)
        if answer.head[9:10] == b"1":
            continue
        left -= 1
        bound = said.leaves_after if not left else None
        answer.whole = await read_body(reader, answer, answering=True, bound=bound)
        if bound is not None:
            return
    try:
        more = await asyncio.wait_for(reader.read(1 << 16), quiet)
        seen.ended = f"more: {more!r}" if more else "closed"
    except TimeoutError:
        seen.ended = "open"
    except OSError:
        seen.ended = "closed"


async def read_body(
    reader: asyncio.StreamReader, message: Message, *, answering: bool = False, bound: int | None = None
) -> bool:
    """Read a message's body, without its framing, up to `bound` bytes; False if it does not come to its end."""
    head, body = message.head.lower(), bytearray()
    status = head[9:12] if answering else b""
    try:
        if status in {b"204", b"304"}:
            return True
        if b"\r\ntransfer-encoding: chunked" in head:
            while not _reached(body, bound):
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                body += await reader.readexactly(size)
                await reader.readexactly(2)
                if not size:
                    break
            return True
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        left = int(length[1]) if length else (None if answering else 0)
        while left != 0 and not _reached(body, bound):
            piece = await reader.read(min(left or 1 << 16, 1 << 16))
            if not piece:
                return left is None
            body += piece
            left = None if left is None else left - len(piece)
    except (OSError, asyncio.IncompleteReadError) as error:
        body += getattr(error, "partial", b"")
        return False
    else:
        return True
    finally:
        message.body = bytes(body)


def _reached(body: bytearray, bound: int | None) -> bool:
    return bound is not None and len(body) >= bound


async def _write(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)

"""All bytes leave in mitmproxy's order, before whoever is called next; only fewer sends carry them."""

import asyncio
import random
import time
from typing import Any, cast

import pytest
from mitmproxy.proxy import events, mode_servers, server

from llm_metrics_proxy.addon.fastpath import proof, writes

_SIZES = (0, 1, 5, 300, 64 * 1024 - 1, 64 * 1024, 200_000)


def _turns(seed: str) -> list[list[proof.Step]]:
    numbers = random.Random(seed)
    return [
        [
            None
            if numbers.random() < 0.1
            else (
                numbers.choice((0, 0, 0, 1)),
                numbers.randbytes(1) * numbers.choices(_SIZES, (2, 9, 9, 9, 1, 1, 1))[0],
            )
            for _ in range(numbers.randrange(30))
        ]
        for _ in range(numbers.randrange(1, 6))
    ]


def test_what_is_sent_is_the_same_in_the_same_order() -> None:
    async def compare() -> None:
        for number in range(1000):
            turns = _turns(str(number))
            assert proof.run_turns(turns, holding=True) == proof.run_turns(turns, holding=False)

    asyncio.run(compare())


class _Transport(asyncio.Transport):
    """Keeps what is sent; perhaps it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes | str] = []
        self.broken: Exception | None = None
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.broken:
            raise self.broken
        self.sent.append(bytes(data))

    def write_eof(self) -> None:
        self.sent.append("eof")

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self.sent.append("close")


def _writer(held: writes.Held) -> tuple[writes.HoldingWriter, _Transport]:
    transport, loop = _Transport(), asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    writer: Any = asyncio.StreamWriter(transport, protocol, None, loop)
    writer.__class__ = writes.HoldingWriter
    writer.held = held
    return cast("writes.HoldingWriter", writer), transport


def _held() -> writes.Held:
    held = writes.Held()
    held.depth = 1
    return held


def _handler() -> Any:  # noqa: ANN401 - mitmproxy's, without what needs a socket
    made: Any = mode_servers.ProxyConnectionHandler.__new__(mode_servers.ProxyConnectionHandler)
    made.transports = {}
    return made


def test_pieces_of_one_event_are_one_send() -> None:
    async def run() -> None:
        writer, transport = _writer(held := _held())
        for piece in (b"a", b"b", b"c"):
            writer.write(piece)
        assert transport.sent == []
        held.flush()
        held.flush()
        assert transport.sent == [b"abc"]
        writer.close()

    asyncio.run(run())


def test_without_an_event_nothing_is_held() -> None:
    async def run() -> None:
        writer, transport = _writer(writes.Held())
        writer.write(b"a")
        writer.write(b"b")
        assert transport.sent == [b"a", b"b"]
        writer.close()

    asyncio.run(run())


def test_nothing_is_held_for_longer_than_a_millisecond_of_work() -> None:
    async def run() -> None:
        writer, transport = _writer(_held())
        writer.write(b"a")
        at = time.monotonic()
        while time.monotonic() < at + 0.002:
            pass
        writer.write(b"b")
        assert transport.sent == [b"ab"]
        writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("end", ["close", "write_eof", "drain", "writelines"])
def test_an_end_comes_after_what_is_held(end: str) -> None:
    async def run() -> None:
        writer, transport = _writer(_held())
        writer.write(b"a")
        writer.write(b"b")
        match end:
            case "drain":
                await writer.drain()
            case "writelines":
                writer.writelines([b"c"])
            case _:
                getattr(writer, end)()
        assert transport.sent[0] == b"ab"
        if end == "write_eof":
            writer.write(b"late")  # mitmproxy has to see at once that this fails
            assert transport.sent[-1] == b"late"
        writer.close()

    asyncio.run(run())


def test_what_is_written_to_another_connection_comes_after() -> None:
    async def run() -> None:
        held = _held()
        (one, first), (other, second) = _writer(held), _writer(held)
        one.write(b"a")
        other.write(b"b")
        assert (first.sent, second.sent) == ([b"a"], [])
        held.flush()
        assert second.sent == [b"b"]
        one.close()
        other.close()

    asyncio.run(run())


def test_a_send_that_fails_is_logged_as_mitmproxy_logs_it_and_nothing_is_kept() -> None:
    async def run() -> None:
        handler = _handler()
        writer, transport = _writer(writes.adopt(handler))
        transport.broken, logged = RuntimeError("broken"), []
        handler.log = lambda message, *_, **__: logged.append(message)

        async def event(*_: object) -> None:
            writer.write(b"a")

        await writes.server_event_of(event)(handler, events.Start())
        assert logged == ["mitmproxy has crashed!"]
        transport.broken = None
        writer.close()
        assert transport.sent == ["close"]

    asyncio.run(run())


def test_who_plays_back_is_left_alone() -> None:
    async def run() -> None:
        handler: Any = object.__new__(type("Other", (), {}))
        seen: list[object] = []

        async def event(*given: object) -> None:
            seen.append(given)

        await writes.server_event_of(event)(handler, events.Start())
        assert len(seen) == 1
        assert vars(handler) == {}

    asyncio.run(run())


def test_a_cancelled_event_leaves_nothing_behind() -> None:
    async def run() -> None:
        handler = _handler()
        held = writes.adopt(handler)
        writer, transport = _writer(held)

        async def event(*_: object) -> None:
            writer.write(b"a")
            await asyncio.Event().wait()

        task = asyncio.create_task(writes.server_event_of(event)(handler, events.Start()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transport.sent == [b"a"]
        assert held.depth == 0
        writer.close()

    asyncio.run(run())


def test_the_layer_goes_as_it_came() -> None:
    before = server.ConnectionHandler.server_event, mode_servers.ProxyConnectionHandler.handle_hook
    remove = writes.install()
    assert server.ConnectionHandler.server_event is not before[0]
    remove()
    assert (server.ConnectionHandler.server_event, mode_servers.ProxyConnectionHandler.handle_hook) == before


def test_a_layer_over_ours_stays_when_ours_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.ConnectionHandler, "server_event", server.ConnectionHandler.server_event)
    remove = writes.install()

    async def others(self: server.ConnectionHandler, event: events.Event) -> None:
        del self, event

    server.ConnectionHandler.server_event = others  # type: ignore[method-assign]
    remove()
    assert server.ConnectionHandler.server_event is others

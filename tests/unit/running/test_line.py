"""The line between parent and worker: connections stay with their messages, and nothing is lost or blocks."""

import asyncio
import os
import resource
import socket
from collections.abc import Sized

from llm_metrics_proxy.recorder.running.line import FromParent, FromWorker, Left, Line, Listening, Ready, Take, Taken


async def until_there_are(count: int, got: Sized) -> None:
    async with asyncio.timeout(20):
        while len(got) < count:  # noqa: ASYNC110 - what comes is counted, not announced
            await asyncio.sleep(0.01)


def test_descriptors_stay_with_their_messages_among_others_in_any_order() -> None:
    async def test() -> None:
        ours, its = socket.socketpair()
        got: list[tuple[FromParent, int | None]] = []
        parent: Line[FromWorker] = Line(ours, FromWorker.__value__, lambda _message, _descriptor: None)
        child: Line[FromParent] = Line(its, FromParent.__value__, lambda *one: got.append(one))
        sent = []
        for number in range(60):
            parent.send(Listening(number, [("127.0.0.1", 1)]))
            reading, writing = os.pipe()
            os.write(writing, str(number).encode())
            assert parent.send_with(Take(number, 0), reading)
            sent += [reading, writing]
        await until_there_are(120, got)
        for message, descriptor in got:
            assert (descriptor is None) == isinstance(message, Listening)
            if isinstance(message, Take) and descriptor is not None:
                assert os.read(descriptor, 10) == str(message.connection).encode()
                sent.append(descriptor)
        for descriptor in sent:
            os.close(descriptor)
        parent.close()
        child.close()

    asyncio.run(test())


def test_a_process_that_may_have_no_more_descriptors_hears_of_the_connection_all_the_same() -> None:
    async def test() -> None:
        ours, its = socket.socketpair()
        got: list[tuple[FromParent, int | None]] = []
        parent: Line[FromWorker] = Line(ours, FromWorker.__value__, lambda _message, _descriptor: None)
        child: Line[FromParent] = Line(its, FromParent.__value__, lambda *one: got.append(one))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = [os.dup(0) for _ in range(3)]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, most[1]))
            for number in range(2):
                assert parent.send_with(Take(number, 0), taken[0])
            os.close(taken.pop())  # one more is possible
            await until_there_are(2, got)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
        (first, descriptor), (second, none) = got
        assert (first, second) == (Take(0, 0), Take(1, 0))
        assert descriptor is not None
        assert none is None
        for one in (descriptor, *taken):
            os.close(one)
        parent.close()
        child.close()

    asyncio.run(test())


def test_messages_wait_for_one_that_does_not_read_and_end_with_one_that_is_gone() -> None:
    async def test() -> None:
        ours, its = socket.socketpair()
        got: list[FromWorker] = []
        child: Line[FromParent] = Line(its, FromParent.__value__, lambda _message, _descriptor: None)
        for number in range(10_000):  # more than the system keeps for anybody
            child.send(Left(number))
        parent: Line[FromWorker] = Line(ours, FromWorker.__value__, lambda message, _descriptor: got.append(message))
        await until_there_are(10_000, got)
        assert got == [Left(number) for number in range(10_000)]
        parent.close()
        await child.lost.wait()
        child.send(Ready(None, writes_json=False))
        child.send(Taken(1))

    asyncio.run(test())


def test_nothing_is_given_to_one_that_does_not_read() -> None:
    async def test() -> None:
        ours, its = socket.socketpair()
        parent: Line[FromWorker] = Line(ours, FromWorker.__value__, lambda _message, _descriptor: None)
        given = 0
        while parent.send_with(Take(given, 0), 0):
            given += 1
            assert given < 100_000
        its.close()
        assert not parent.send_with(Take(0, 0), 0)
        parent.close()

    asyncio.run(test())

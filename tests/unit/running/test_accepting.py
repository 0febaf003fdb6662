"""Connections are dealt out to workers: evenly, and to nobody who cannot take them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llm_metrics_proxy.recorder.client_setup.place import Place
from llm_metrics_proxy.recorder.errors import RunRefused
from llm_metrics_proxy.recorder.running.accepting import Accepting
from llm_metrics_proxy.recorder.running.line import (
    FromParent,
    FromWorker,
    Left,
    Line,
    Listen,
    Listening,
    NotListening,
    Ready,
    Refused,
    Take,
    Taken,
)
from llm_metrics_proxy.recorder.running.one_worker import OneWorker

type Test = Callable[[], Coroutine[Any, Any, None]]


class Other:
    """The worker's end of a line; it takes what comes unless it is told not to."""

    def __init__(self, end: socket.socket) -> None:
        self.has: dict[int, socket.socket] = {}
        self.takes = True
        self.line: Line[FromParent] = Line(end, FromParent.__value__, self._got)

    def _got(self, message: FromParent, descriptor: int | None) -> None:
        if isinstance(message, Take) and descriptor is not None:
            self.has[message.connection] = socket.socket(fileno=descriptor)
            if self.takes:
                self.line.send(Taken(message.connection))

    def leave(self, number: int) -> None:
        self.has.pop(number).close()
        self.line.send(Left(number))


class Fleet:
    """Workers without processes of their own, and who deals connections out to them."""

    def __init__(self) -> None:
        self.living: list[OneWorker] = []
        self.others: list[Other] = []
        self.clients: list[socket.socket] = []
        self.accepting = Accepting(lambda: self.living)
        self.port = self.accepting.listen_early("127.0.0.1", 0)

    async def add(self) -> Other:
        ours, its = socket.socketpair()
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        self.living.append(OneWorker(Place(len(self.living) + 1, 9), process, ours, self._heard))
        self.others.append(Other(its))
        return self.others[-1]

    def _heard(self, one: OneWorker, message: FromWorker) -> None:
        if isinstance(message, Refused):
            self.accepting.give_back(one.refused(message.connection))
        self.accepting.go_on()

    async def come(self, count: int) -> None:
        """So many clients connect."""
        for _ in range(count):
            client = socket.socket()
            client.setblocking(False)  # noqa: FBT003 - the system's own signature
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
            self.clients.append(client)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - of a line that other tests see from outside
                await asyncio.sleep(0.01)

    def counts(self) -> list[int]:
        return [len(other.has) for other in self.others]


@asynccontextmanager
async def fleet(count: int) -> AsyncIterator[Fleet]:
    made = Fleet()
    try:
        for _ in range(count):
            (await made.add()).line.send(Ready(None, writes_json=False))
        await made.until(lambda: all(one.is_ready for one in made.living))
        yield made
    finally:
        made.accepting.close()
        for other in made.others:
            for connection in other.has.values():
                connection.close()
            other.line.close()
        for one in made.living:
            for _, connection in one.take_back():
                connection.close()
        for client in made.clients:
            client.close()


def run(test: Test) -> None:
    asyncio.run(test())


def test_connections_are_dealt_out_evenly_also_after_some_have_left() -> None:
    async def test() -> None:
        async with fleet(3) as made:
            await made.come(30)
            await made.until(lambda: sum(made.counts()) == 30)
            assert made.counts() == [10, 10, 10]
            for number in list(made.others[1].has)[:6]:
                made.others[1].leave(number)
            await made.until(lambda: made.living[1].open == 4)
            await made.come(6)
            await made.until(lambda: sum(made.counts()) == 30)
            assert made.counts() == [10, 10, 10]

    run(test)


def test_clients_that_come_one_at_a_time_wear_all_workers_alike() -> None:
    async def test() -> None:
        async with fleet(2) as made:
            served = [0, 0]
            for _ in range(10):
                await made.come(1)
                await made.until(lambda: sum(made.counts()) == 1)
                who = made.counts().index(1)
                served[who] += 1
                made.others[who].leave(next(iter(made.others[who].has)))
                await made.until(lambda who=who: made.living[who].open == 0)  # type: ignore[misc]  # a lambda with a default
            assert served == [5, 5]

    run(test)


def test_a_client_waits_while_no_worker_serves() -> None:
    async def test() -> None:
        async with fleet(0) as made:
            await made.come(5)
            other = await made.add()
            await asyncio.sleep(0.1)
            assert made.counts() == [0]
            other.line.send(Ready(None, writes_json=False))
            await made.until(lambda: made.counts() == [5])

    run(test)


def test_what_a_worker_had_not_taken_when_it_ended_goes_to_another() -> None:
    async def test() -> None:
        async with fleet(2) as made:
            made.others[0].takes = False
            await made.come(8)
            await made.until(lambda: made.counts() == [4, 4])
            dead, other = made.living.pop(0), made.others.pop(0)
            for connection in other.has.values():
                connection.close()
            other.line.close()
            await asyncio.sleep(0.05)
            made.accepting.give_back(dead.take_back())
            await made.until(lambda: made.counts() == [8])
            assert dead.open == 0

    run(test)


def test_what_a_worker_had_taken_when_it_ended_is_nobodys() -> None:
    async def test() -> None:
        async with fleet(1) as made:
            made.others[0].takes = False
            await made.come(3)
            await made.until(lambda: made.counts() == [3])
            for number in (1, 2):
                made.others[0].line.send(Taken(number))
            dead = made.living.pop()
            made.others[0].line.close()  # its last words have not been heard yet
            (left,) = dead.take_back()
            left[1].close()
            assert dead.open == 2

    run(test)


def test_a_worker_that_does_not_take_anything_gets_nothing_more() -> None:
    async def test() -> None:
        async with fleet(2) as made:
            made.others[0].takes = False
            await made.come(2)
            await made.until(lambda: made.counts() == [1, 1])
            await asyncio.sleep(0.3)  # by now it looks stuck
            await made.come(6)
            await made.until(lambda: made.counts() == [1, 7])

    run(test)


def test_a_worker_without_descriptors_is_left_alone_for_a_moment() -> None:
    async def test() -> None:
        async with fleet(2) as made:
            made.others[0].takes = False
            await made.come(1)
            await made.until(lambda: sum(made.counts()) == 1)
            who = made.counts().index(1)
            ((number, connection),) = made.others[who].has.items()
            connection.close()
            made.others[who].has.clear()
            made.others[who].line.send(Refused(number))
            await made.until(lambda: made.counts()[1 - who] == 1)
            await made.come(4)
            await made.until(lambda: made.counts()[1 - who] == 5)

    run(test)


def test_an_address_is_listened_on_once_for_all_workers_and_a_refusal_is_passed_on() -> None:
    async def test() -> None:
        async with fleet(0) as made:
            answers = [made.accepting.answer(Listen("127.0.0.1", made.port)) for _ in range(2)]
            assert answers == [Listening(0, [("127.0.0.1", made.port)])] * 2
            with socket.create_server(("127.0.0.1", 0)) as taken:
                refused = made.accepting.answer(Listen("127.0.0.1", taken.getsockname()[1]))
            assert isinstance(refused, NotListening)
            assert "in use" in refused.reason

    run(test)


def test_every_address_of_a_name_is_listened_on() -> None:
    async def test() -> None:
        async with fleet(0) as made:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            found = made.accepting.answer(Listen(None, port))
            assert isinstance(found, Listening)
            assert {name[0] for name in found.addresses} >= {"0.0.0.0"}  # noqa: S104 - what it means
            assert {name[1] for name in found.addresses} == {port}

    run(test)


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-name.invalid"])
def test_an_address_that_is_not_ours_is_one_sentence(host: str) -> None:
    with pytest.raises(RunRefused, match=f"{host} cannot be listened on at port 8080 .*: choose others with --host"):
        Accepting(list).listen_early(host, 8080)

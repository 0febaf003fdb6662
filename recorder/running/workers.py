"""Several workers on one port: this process listens, deals connections out, and keeps as many alive as were asked for.

SIGTERM and SIGINT end all of them as they end one proxy. SIGHUP exchanges one after the other for a newer one: no
connection is refused meanwhile, and calls that go on come to their end, for as long as a worker may drain.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from llm_metrics_proxy.recorder.client_setup.place import Place
from llm_metrics_proxy.recorder.errors import RunRefused
from llm_metrics_proxy.recorder.running import CommandLine, until_unused
from llm_metrics_proxy.recorder.running.accepting import Accepting
from llm_metrics_proxy.recorder.running.count import workers_of
from llm_metrics_proxy.recorder.running.line import FromWorker, Listen, Ready, Refused
from llm_metrics_proxy.recorder.running.losses import Losses
from llm_metrics_proxy.recorder.running.one_worker import OneWorker

DRAIN_SECONDS: Final = 300.0
# Modes that need UDP, or the machine's network, which workers cannot share; or any port, which each would choose anew.
_OF_ONE = re.compile(r"(dns|wireguard|local|tun|reverse:(http3|quic|udp|dtls|dns))\b|.*[@:]0$")
_SETTLE_SECONDS = 0.2  # so that the end of all is not taken for the loss of one
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds, before a worker that ended soon after its start has a successor
_SOON_SECONDS = 10.0
_END_SECONDS = 20.0  # for the rows of workers that end


class Workers:
    """The parent."""

    def __init__(self, count: int, drain: float = DRAIN_SECONDS) -> None:
        """Start nothing yet; `drain` are the seconds for which a worker may."""
        self.accepting = Accepting(lambda: self._living)
        """May be told to listen before there is a worker."""
        self._count = count
        self._drain = drain
        self._arguments: Sequence[str] = ()
        self._has_served = False  # so that the start was none that is refused
        self._losses = Losses()
        self._living: set[OneWorker] = set()
        self._current: dict[int, OneWorker] = {}
        """Those that are to serve; the others are not yet, or no longer."""
        self._soon: dict[int, int] = {}  # how often in a row a place's worker has ended soon after its start
        self._exchanged: int | None = None  # the place whose worker is just being exchanged
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._restart = asyncio.Event()

    async def serve(self, arguments: Sequence[str]) -> int:
        """Keep workers with these arguments of mitmdump until this process is told to end; return the exit code."""
        self._arguments = arguments
        self._heed_signals()
        try:
            # The first one makes what the others would make as well: the CA, the database, the first words.
            first = self._current[1] = await self._start(1, greeted=False)
            await self._unless_ending(first.settled.wait())
            if not first.is_ready:
                return 0 if self._ending.is_set() else abs(await first.process.wait()) or 1
            for number in range(2, self._count + 1):
                self._do(self._fill(number, 0))
            await self._unless_ending(self._restarts())
        finally:
            await self._end_all()
        return 0

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ending.set)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            loop.add_signal_handler(signal.SIGHUP, partial(self._hung_up, had_terminal=_has_terminal()))
        if until_unused.LOCK in os.environ:
            until_unused.running()

    def _hung_up(self, *, had_terminal: bool) -> None:
        """SIGHUP is somebody's wish for newer workers, or the end of the terminal, and then the end of all."""
        (self._ending if had_terminal and not _has_terminal() else self._restart).set()

    # --- workers that live and die

    async def _start(self, number: int, *, greeted: bool = True) -> OneWorker:
        """Start a worker for a place.

        Raises:
            OSError: the system has no process for us.
        """
        place = Place(number, self._count)
        one = await OneWorker.start(place, self._arguments, os.environ, self._heard, greeted=greeted)
        self._living.add(one)
        self._do(self._watch(one))
        return one

    async def _fill(self, number: int, pause: float) -> None:
        """Start a worker for an empty place, after a pause."""
        while not self._ending.is_set():
            await asyncio.sleep(pause)
            try:
                self._current[number] = await self._start(number)
            except OSError as error:
                self._losses.of_a_start(number, error)
                pause = _LONGEST_PAUSE
            else:
                return

    async def _watch(self, one: OneWorker) -> None:
        """Wait for the end of a worker; where it was to serve, start another one in its place."""
        code = await one.process.wait()
        self._living.discard(one)
        untaken = one.take_back()
        connections = one.open
        self.accepting.give_back(untaken)
        number = one.place.number
        if self._current.get(number) is not one or not self._has_served:
            return
        is_exchanged = number == self._exchanged
        await asyncio.sleep(_SETTLE_SECONDS)
        if not self._ending.is_set():
            pause = 0.0 if is_exchanged else self._pause_after(one)
            self._losses.of_a_worker(number, one.process.pid, code, connections, pause)
            if not is_exchanged:
                await self._fill(number, pause)

    def _pause_after(self, one: OneWorker) -> float:
        """How long the place of a worker that has ended stays empty."""
        number = one.place.number
        if one.is_ready and time.monotonic() - one.ready_at >= _SOON_SECONDS:
            self._soon[number] = 0
            return 0
        self._soon[number] = soon = self._soon.get(number, 0) + 1
        return min(_FIRST_PAUSE * 2.0 ** (soon - 1), _LONGEST_PAUSE)

    def _heard(self, one: OneWorker, message: FromWorker) -> None:
        match message:
            case Listen():
                one.tell(self.accepting.answer(message))
            case Ready():
                self._has_served = True
                self._losses.learn(message)
            case Refused():
                self.accepting.give_back(one.refused(message.connection))
            case _:
                pass  # it has taken one, or one has left
        self.accepting.go_on()

    # --- restarts and the end

    async def _restarts(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            for one in list(self._living):  # of the last restart: two generations at once are enough
                if one.is_draining:
                    await one.process.wait()
            for number in range(1, self._count + 1):
                if not await self._exchange(number):
                    break

    async def _exchange(self, number: int) -> bool:
        """Have a newer worker serve in a place, then let the old one end; False if the newer one does not start."""
        old = self._current.get(number)
        if old is None or old not in self._living:
            return True  # a newer one is on its way
        self._exchanged = number
        try:
            new = await self._start(number)
        except OSError as error:
            self._exchanged = None
            self._losses.of_a_start(number, error)
            return False
        await new.settled.wait()
        self._exchanged = None
        if new.is_ready:
            self._current[number] = new
            old.drain(self._drain)
            return True
        self._losses.of_a_restart(number, new.process.pid, await new.process.wait())
        if old not in self._living:
            self._do(self._fill(number, _FIRST_PAUSE))
        return False

    async def _end_all(self) -> None:
        """End as one proxy does: no new connections, and the rows of all that goes on."""
        self._ending.set()
        self.accepting.close()
        for one in self._living:
            one.end(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                for one in list(self._living):
                    await one.process.wait()
        hanging = [one for one in self._living if one.process.returncode is None]
        for one in hanging:
            one.end(signal.SIGKILL)
        if hanging:
            self._losses.of_workers_that_hang([one.process.pid for one in hanging])

    async def _unless_ending(self, work: Awaitable[object]) -> None:
        """Wait for some work, or for the wish that all end."""
        ending = asyncio.ensure_future(self._ending.wait())
        working = asyncio.ensure_future(work)
        await asyncio.wait((ending, working), return_when=asyncio.FIRST_COMPLETED)
        for one in (ending, working):
            one.cancel()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _has_terminal() -> bool:
    """Tell whether this process has a terminal that can hang up, and has not."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def serve(asked: CommandLine, count: int, drain: float) -> int:
    """Keep `count` workers until this process is told to end; return the exit code.

    Raises:
        RunRefused: the address cannot be listened on, or not by several.
    """
    for mode in asked.modes:
        if _OF_ONE.match(mode):
            what = f"The mode {mode} is for one proxy"
            raise RunRefused(
                what=what, cure="leave --workers out, or give a mode that listens on a TCP port of its own"
            )
    workers = Workers(count, drain)
    port = workers.accepting.listen_early(asked.host, asked.port) if asked.listens() else asked.port
    return asyncio.run(workers.serve(asked.on(port).arguments))


def main() -> None:
    """Be the parent of workers with given arguments of mitmdump: the first word is how many there are to be."""
    text, *arguments = sys.argv[1:]
    try:
        count = workers_of(text)
    except ValueError as error:
        sys.exit(f"llm-metrics: {error}.")
    sys.exit(asyncio.run(Workers(count).serve(arguments)))

"""The calls in flight: which exchange or session belongs to which flow, and its end.

Rows and counts go to the recorder from here. Faults of ours end here: they cost numbers, never the traffic.

An exchange that has ended is settled a little later, together with others: its row is made when nobody waits for it,
and at a fraction of the price (see exchange.py). So are messages of sessions read, in the order in which they came.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.framing.decoding import TooLarge
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.quota.news import News
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.addon.websocket_protocols.message import Message
from llm_metrics_proxy.addon.websocket_protocols.session import Session
from llm_metrics_proxy.recorder.events import CompletionRequest, Event
from llm_metrics_proxy.recorder.recorder import Recorder

type Clock = Callable[[], int]
"""Nanoseconds of the exchanges' clock."""

_SETTLE_SECONDS = 0.05  # from the end of a call to its row; the recorder takes 0.1 more, and 0.25 are promised
# How long the rows of one turn may take; a large body can take longer by itself. Turns are cheaper when they are long,
# which counts where many calls are in flight. Where few are, each waits for a whole turn, and for no other one.
_TURN_NS, _PAUSE_SECONDS = 1_000_000, 0
_SHORT_TURN_NS, _LONG_PAUSE_SECONDS = 500_000, 0.002
_FEW = 4  # calls in flight
# After its end: from then on a turn goes on until no row is late any more, or rows would not be durable in time. A loop
# that is held elsewhere for 100 ms at each of its rounds, as by 128 busy connections, has too few turns for short ones.
_LATE_NS, _LONGEST_TURN_NS = 100_000_000, 20_000_000
# Bytes of messages that may wait to be read. Beyond that they are read where the next one passes.
_MOST_UNREAD_OF_ONE, _MOST_UNREAD = 32 * 1024 * 1024, 64 * 1024 * 1024

_MANY = 500  # rows of batches that are handed over at once

type _Step = Callable[[], bool]
"""A part of what is to be done later; False if another one is left."""


class InFlight:
    """Everything that has begun and not ended, by the id of its flow."""

    def __init__(
        self, complaints: Complaints, later: Callable[[float, Callable[[], None]], object], now: Clock
    ) -> None:
        """`later` does something after so many seconds, 0: when all others have had their turn."""
        self._complaints = complaints
        self._later = later
        self._now = now
        self._waiting: deque[tuple[int, _Step]] = deque()  # since when, and what
        self._unread = 0  # bytes of messages
        self._news = News()
        self._of_batches: deque[CompletionRequest] = deque()
        self._turn_is_due = False
        self._exchanges: dict[str, Exchange] = {}
        self._sessions: dict[str, Session] = {}
        self.recorder: Recorder | None = None

    def begin(self, flow: str, call: Exchange | Session) -> None:
        """Follow a call."""
        if isinstance(call, Exchange):
            self._exchanges[flow] = call
        else:
            self._sessions[flow] = call

    def exchange(self, flow: str) -> Exchange | None:
        """Return the exchange of a flow that is followed."""
        return self._exchanges.get(flow)

    def move(self, flow: str, other: str) -> None:
        """From now on another flow is that of an exchange."""
        if exchange := self._exchanges.pop(flow, None):
            self._exchanges[other] = exchange

    def forget(self, flow: str) -> None:
        """Follow an exchange no longer: it was no LLM's."""
        if exchange := self._exchanges.pop(flow, None):
            self._record([], exchange.faults & {"body_too_large"})  # too large to tell what it was

    def message(self, flow: str, data: bytes, at: int, *, from_client: bool) -> None:
        """Note a message of a session. It is read later, and at once only what has waited if that is too much."""
        if session := self._sessions.get(flow):
            while self._waiting and (session.unread > _MOST_UNREAD_OF_ONE or self._unread > _MOST_UNREAD):
                self._settle_one()
            session.unread += len(data)
            self._unread += len(data)
            self._do_later(at, partial(self._read, session, Message(data, at, from_client=from_client)))

    def not_opened(self, flow: str, status: int, error_type: str, at: int) -> None:
        """Record a WebSocket that never was one: its upgrade was refused, or its connection lost before."""
        if session := self._sessions.pop(flow, None):
            self._record(session.not_opened(status, error_type, at), session.faults)

    def end(self, flow: str, cause: Cause, at: int, reason: str = "") -> None:
        """Record a call that has ended; `reason` is what mitmproxy says about a connection that failed."""
        if exchange := self._exchanges.pop(flow, None):
            self._do_later(at, partial(self._finish, exchange, cause, at, reason))
        elif session := self._sessions.pop(flow, None):
            self._do_later(at, partial(self._close, session, cause, at))

    def end_all(self, cause: Cause, at: int) -> None:
        """Record all that has not ended, at once. A call that cannot be recorded does not keep the others from it."""
        for flow in [*self._exchanges, *self._sessions]:
            try:
                self.end(flow, cause, at)
            except Exception as error:  # noqa: BLE001 - see the module's docstring
                self.broken("end_all", error)
        while self._waiting:
            self._settle_one()
        while self._of_batches:
            self._hand_over()

    def _do_later(self, at: int, step: _Step) -> None:
        self._waiting.append((at, step))
        if not self._turn_is_due:
            self._later(_SETTLE_SECONDS, self._settle)
            self._turn_is_due = True  # only now: a turn that could not be asked for is asked for the next time

    def _settle(self) -> None:
        """Read messages and make rows for as long as a turn may take."""
        self._turn_is_due = False
        now = self._now()
        hurry = len(self._exchanges) >= _FEW
        length = _TURN_NS if hurry else _SHORT_TURN_NS
        while self._waiting:
            moment = self._now()
            is_late = moment - self._waiting[0][0] > _LATE_NS
            if moment - now >= (_LONGEST_TURN_NS if is_late else length):
                break
            self._settle_one()
        if self._waiting:
            self._later(_PAUSE_SECONDS if hurry or is_late else _LONG_PAUSE_SECONDS, self._settle)
            self._turn_is_due = True

    def _settle_one(self) -> None:
        is_done = True
        try:
            is_done = self._waiting[0][1]()
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            self.broken("settle", error)
        if is_done:
            self._waiting.popleft()

    def _finish(self, exchange: Exchange, cause: Cause, at: int, reason: str) -> bool:
        try:
            row = exchange.finish(cause, at, reason)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            self.stop_reading(exchange, "finish", error)
            row = exchange.finish(cause, at, reason)
        self._record([row] if row is not None else [], exchange.faults)
        if row is not None and (stated := exchange.stated) is not None and (limits := self._news.of(row, stated)):
            self.submit(limits)
        if rows := exchange.rows:
            is_busy = bool(self._of_batches)
            self._of_batches += rows
            if not is_busy:
                self._hand_over()
        return True

    def _hand_over(self) -> None:
        """Record some of the rows of batches: all at once would fill the recorder's queue."""
        rows = self._of_batches
        self._record([rows.popleft() for _ in range(min(_MANY, len(rows)))])
        if rows:
            self._later(_SETTLE_SECONDS, self._hand_over)

    def _read(self, session: Session, message: Message) -> bool:
        is_read = True
        try:
            if is_read := message.abridge():
                self._record(session.message(message))
        except TooLarge as error:
            is_read = True
            session.faults.add(error.fault)
        finally:
            if is_read:
                session.unread -= len(message.whole)
                self._unread -= len(message.whole)
        return is_read

    def _close(self, session: Session, cause: Cause, at: int) -> bool:
        self._record(session.finish(cause, at), session.faults)
        return True

    def safely(self, exchange: Exchange, take: Callable[..., None], *args: object) -> None:
        """Let an exchange take something; if it raises, it reads no further."""
        try:
            take(*args)
        except Exception as error:  # noqa: BLE001 - see the module's docstring
            self.stop_reading(exchange, take.__name__, error)

    def stop_reading(self, exchange: Exchange, where: str, error: Exception) -> None:
        """An exchange has raised: it reads no further, but its times and bytes still count."""
        exchange.stop_reading("parser_errors")
        self.broken(where, error)

    def submit(self, event: Event) -> None:
        """Record what was never in flight."""
        if self.recorder is not None:
            self.recorder.submit(event)

    def count(self, name: str) -> None:
        """Add 1 to a counter."""
        if self.recorder is not None:
            self.recorder.count(name)

    def broken(self, where: str, error: Exception) -> None:
        """Count a fault of ours; log the first of its kind, without anything that passed."""
        self.count("addon_errors")
        kind = f"{where}: {type(error).__name__}"
        sentence = f"A fault in {kind}: the traffic is not affected, numbers may be missing. Please report it."
        self._complaints.once("fault", sentence, about=kind)

    def _record(self, rows: Iterable[CompletionRequest], faults: Iterable[str] = ()) -> None:
        if self.recorder is not None:
            for fault in faults:
                self.recorder.count(fault)
            for row in rows:
                self.recorder.submit(row)

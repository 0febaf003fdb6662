"""The callables that mitmproxy hands every piece of a body to, and sends on what they return.

Rule of all of them: whatever happens inside, they return what was to go on. A callable that raises, or returns None or
b"" in the middle, cuts the client's stream without a word.
"""

from collections.abc import Callable
from contextlib import suppress

from llm_metrics_proxy.addon.exchange import LONG_PIECE, MOST_PIECES, Exchange, Notes
from llm_metrics_proxy.addon.fastpath.names import PASSES_ON
from llm_metrics_proxy.addon.inflight import Clock, InFlight


def observing(calls: InFlight, exchange: Exchange, notes: Notes, now: Clock) -> Callable[[bytes], bytes]:
    """Return a tap that notes every piece in `notes`, of the exchange, and passes it on as it is."""
    pieces, note, note_moment = notes.pieces, notes.pieces.append, notes.moments.append

    def tap(data: bytes) -> bytes:
        try:
            if data:  # `Notes.add`, without a call: this is the one place where each costs
                note(data)
                note_moment(now())
                if (len(data) > LONG_PIECE or len(pieces) > MOST_PIECES) and notes.are_many():
                    exchange.read()
        except Exception as error:  # noqa: BLE001 - a parser's fault costs numbers, never the client's stream
            with suppress(Exception):  # nor does a fault in noting it
                calls.stop_reading(exchange, "read", error)
        return data

    setattr(tap, PASSES_ON, True)
    return tap


def altering(
    calls: InFlight, observe: Callable[[bytes], bytes], feed: Callable[[bytes], list[bytes]]
) -> Callable[[bytes], list[bytes]]:
    """Return a tap that observes what comes, and passes on what `feed` makes of it."""

    def tap(data: bytes) -> list[bytes]:
        observe(data)
        try:
            return feed(data)
        except Exception as error:  # noqa: BLE001 - as above
            with suppress(Exception):
                calls.broken("include_usage", error)
            return [data] if data else []

    return tap

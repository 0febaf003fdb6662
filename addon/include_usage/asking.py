"""The asking for usage, done to mitmproxy's flows.

A provider that does not know the option may refuse the whole call. So where it answers 400 or 422 that answer is held,
the call is made again as the client sent it, and the client gets the answer to that. A place that refused is not asked
again.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.framing.decoding import LIMIT
from llm_metrics_proxy.addon.include_usage.request import Upload, splice_for
from llm_metrics_proxy.addon.include_usage.stream import filter_for
from llm_metrics_proxy.addon.inflight import Clock, InFlight
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.providers.values import count
from llm_metrics_proxy.addon.taps import altering, observing

_REFUSALS = (400, 422)
_ASKED = "llm_metrics_asked_for_usage"  # of a flow's metadata: the body as the client sent it
_HELD = "llm_metrics_held"
_AGAIN = "llm_metrics_again"  # the pieces of the second answer
_MOST_PLACES = 1000
_LOOK_SECONDS = 0.25  # between two looks whether the client is still there

type Flow = Any
"""mitmproxy's, which this does not import."""


class Asking:
    """Asks for usage, of one proxy."""

    def __init__(self, calls: InFlight, now: Clock) -> None:
        self._calls = calls
        self._now = now
        self._refusing: set[int] = set()  # places, as numbers: a path may hold a key

    def begin(self, flow: Flow, exchange: Exchange, *, certain: bool) -> None:
        """See to it that the request can be changed: where its head says its length, it has to be whole before.

        `certain` says that the host is an LLM's.
        """
        request, observe = flow.request, observing(self._calls, exchange, exchange.asked, self._now)
        length = request.headers.get("content-length")
        size = None if length is None else count(length)
        if "content-encoding" in request.headers or _place(flow) in self._refusing:
            request.stream = observe
        elif length is None and certain:
            request.stream = altering(self._calls, observe, _uploading(flow))
        else:
            request.stream = observe if size is None or size > LIMIT else False

    def ask(self, flow: Flow) -> None:
        """Change a request that has come whole."""
        body = flow.request.raw_content or b""
        if (splice := splice_for(body)) is not None:
            flow.request.content = splice.into(body)
            flow.metadata[_ASKED] = body

    def holds(self, flow: Flow) -> bool:
        """Tell whether the answer, whose head has come, is held: it may be due to us."""
        body = flow.metadata.get(_ASKED)
        if body is None:
            return False
        flow.metadata[_ASKED] = b""
        if flow.response.status_code not in _REFUSALS:
            return False
        flow.metadata[_HELD] = body
        flow.response.stream = False
        return True

    def answer(self, flow: Flow, exchange: Exchange) -> None:
        """Have the answer pass without what only we asked for."""
        observe = observing(self._calls, exchange, exchange.answered, self._now)
        flow.response.stream = observe
        if (kept := flow.metadata.get(_AGAIN)) is not None:
            flow.response.stream = altering(self._calls, observe, _keeping(kept))
        elif _ASKED in flow.metadata:
            usage_filter = filter_for(flow.response.headers, flow.request.http_version)
            if usage_filter is not None:
                flow.response.stream = altering(self._calls, observe, usage_filter.feed)

    async def again(self, flow: Flow, replay: Callable[[Flow], Any]) -> None:
        """Make a call whose answer was held again, as the client sent it; `replay` is mitmproxy's handler of that."""
        body = flow.metadata.pop(_HELD, None)
        if body is None:
            return
        other, kept = _as_sent(flow, body), list[bytes]()
        other.metadata[_AGAIN] = kept
        self._calls.move(flow.id, other.id)
        try:
            handler = replay(other)
        except Exception:  # raised again: the hook counts it, and the first answer passes
            self._calls.move(other.id, flow.id)
            raise
        task = asyncio.ensure_future(handler.replay())
        while not task.done() and flow.client_conn.connected:
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
        if not task.done():
            task.cancel()
            for transport in handler.transports.values():
                if transport.handler is not None:
                    transport.handler.cancel()
            self._calls.end(other.id, Cause.CLIENT_DISCONNECT, self._now())
        elif task.exception() is not None or other.response is None or other.error is not None:
            self._calls.end(other.id, Cause.UPSTREAM_DISCONNECT, self._now())  # unless that is known
            flow.kill()  # as the provider did; the first answer may speak of what the client never sent
        else:
            flow.response = other.response
            flow.response.raw_content = b"".join(kept)
            if other.response.status_code < _REFUSALS[0]:
                self._note_refusal(flow)

    def _note_refusal(self, flow: Flow) -> None:
        if len(self._refusing) >= _MOST_PLACES:
            self._refusing.clear()
        self._refusing.add(_place(flow))


def is_again(flow: Flow) -> bool:
    """Tell whether this is a call that is made again: all about its request is known."""
    return _AGAIN in flow.metadata


def _uploading(flow: Flow) -> Callable[[bytes], list[bytes]]:
    upload = Upload()

    def feed(data: bytes) -> list[bytes]:
        passed = upload.feed(data)
        if upload.asked is not None:
            flow.metadata[_ASKED] = upload.asked
        return passed

    return feed


def _keeping(kept: list[bytes]) -> Callable[[bytes], list[bytes]]:
    def feed(data: bytes) -> list[bytes]:
        kept.append(data)
        return [data] if data else []

    return feed


def _as_sent(flow: Flow, body: bytes) -> Flow:
    other = flow.copy()
    other.response, other.error, other.metadata = None, None, {}
    other.client_conn = flow.client_conn  # of a copy nobody knows that the client has left
    other.is_replay = "request"  # for mitmproxy's own addons
    other.request.stream = True
    other.request.raw_content = body
    if "content-length" in other.request.headers:
        other.request.headers["content-length"] = str(len(body))
    return other


def _place(flow: Flow) -> int:
    return hash((flow.request.host, flow.request.port, flow.request.pretty_host, flow.request.path))

"""Framings of JSON: the whole body, one value a line, or the items of one array that is streamed; and of no JSON.

The contract is that of `Framing`.
"""

import re
from typing import cast, override

from llm_metrics_proxy.addon.framing import MOST_PAYLOADS, Framing, Payload, ServerSentEvents
from llm_metrics_proxy.addon.framing.decoding import LIMIT, TooLarge

_JSON_BEGINS = (b"{", b"[")


class Whole(Framing):
    """The whole body is one payload."""

    def __init__(self) -> None:
        self._body = bytearray()

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Keep `data`."""
        if len(self._body) + len(data) > LIMIT:
            raise TooLarge
        self._body += data
        return []

    @override
    def finish(self) -> list[Payload]:
        """Return the body, unless there was none."""
        body, self._body = self._body, bytearray()
        # A copy into bytes would take longer than the reading: all who read it take a bytearray as well.
        return [(b"", cast("bytes", body))] if body else []


class WholeOrEvents(Framing):
    """One payload, unless the body turns out to be server-sent events: some servers call their streams JSON."""

    def __init__(self) -> None:
        self._framing: Framing | None = None
        self._head = bytearray()  # blanks, until it is known

    @property
    def streams(self) -> bool:
        """It has turned out to be a stream."""
        return isinstance(self._framing, ServerSentEvents)

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Return the events that `data` completes."""
        if self._framing is not None:
            return self._framing.feed(data)
        self._head += data
        begins = self._head.lstrip()
        if not begins:
            if len(self._head) > LIMIT:
                raise TooLarge
            return []
        self._framing = Whole() if begins[:1] in _JSON_BEGINS else ServerSentEvents()
        return self._framing.feed(bytes(self._head))

    @override
    def finish(self) -> list[Payload]:
        """Return the body, or the event that its end completes."""
        return self._framing.finish() if self._framing is not None else []


class Ignored(Framing):
    """A body that says nothing: audio, an image."""

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Forget `data`."""
        return []

    @override
    def finish(self) -> list[Payload]:
        """Return nothing."""
        return []


class Lines(Framing):
    """One JSON value a line (NDJSON)."""

    def __init__(self) -> None:
        self._carry = bytearray()

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Return the lines that `data` completes."""
        end = data.rfind(b"\n")
        if end < 0:
            self._carry += data
            if len(self._carry) > LIMIT:
                raise TooLarge
            return []
        if data.count(b"\n") > MOST_PAYLOADS:
            raise TooLarge
        block = bytes(self._carry) + data[:end]
        self._carry = bytearray(data[end + 1 :])
        return [(b"", line) for line in block.split(b"\n") if line.strip()]

    @override
    def finish(self) -> list[Payload]:
        """Return the last line, if no newline ended it."""
        line, self._carry = bytes(self._carry), bytearray()
        return [(b"", line)] if line.strip() else []


class ArrayItems(Framing):
    """The objects of one JSON array that is written item by item, as Gemini does without `alt=sse`.

    Also takes objects that stand one after the other without an array.
    """

    # Braces count only outside of strings, and a quote ends a string only when no backslash stands before it.
    _OUTSIDE = re.compile(rb'[{}"]')
    _INSIDE = re.compile(rb'["\\]')

    def __init__(self) -> None:
        self._carry = bytearray()
        self._scanned = 0  # of the carry
        self._depth = 0
        self._in_string = False

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Return the items that `data` completes."""
        self._carry += data
        items: list[Payload] = []
        start, at = 0, self._scanned
        while len(items) <= MOST_PAYLOADS and (
            found := (self._INSIDE if self._in_string else self._OUTSIDE).search(self._carry, at)
        ):
            sign, at = found.group(), found.end()
            if sign == b"\\":
                if at == len(self._carry):  # what it escapes comes with the next piece
                    at -= 1
                    break
                at += 1
            elif sign == b'"':
                self._in_string = not self._in_string
            elif sign == b"{":
                if self._depth == 0:
                    start = at - 1
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if self._depth == 0:
                    items.append((b"", bytes(self._carry[start:at])))
                    start = at
        else:
            at = len(self._carry)
        del self._carry[:start]
        self._scanned = at - start
        if len(self._carry) > LIMIT or len(items) > MOST_PAYLOADS:
            error = TooLarge()
            error.before = items
            raise error
        return items

    @override
    def finish(self) -> list[Payload]:
        """Return nothing: an item that its brace never closed says nothing."""
        self._carry.clear()
        return []

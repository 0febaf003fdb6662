"""The framing of AWS event streams (`application/vnd.amazon.eventstream`), as Bedrock sends them.

A message is: total length and headers' length (4 bytes each, big-endian), CRC-32 of these 8 bytes, headers, payload,
CRC-32 of all before it. The contract is that of `Framing`.
https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html
"""

import zlib
from typing import override

from llm_metrics_proxy.addon.framing import Framing, Payload
from llm_metrics_proxy.addon.framing.decoding import LIMIT, TooLarge, Undecodable, Unreadable

EXCEPTION = b"exception "
"""Begins the event name of a message that reports an error: "exception throttlingException"."""

_PRELUDE = 12
_CRC = 4
_STRING = 7
# Bytes that the value of a header takes, by its type; None: two bytes of length, then the value.
_VALUE_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: None, _STRING: None, 8: 8, 9: 16}


class EventStream(Framing):
    """Messages; the event name is the header `:event-type`, or tells of an exception."""

    def __init__(self) -> None:
        self._carry = bytearray()

    @override
    def feed(self, data: bytes) -> list[Payload]:
        """Return the messages that `data` completes.

        Raises:
            Undecodable: a checksum is wrong.
            TooLarge: a message is.
        """
        self._carry += data
        messages: list[Payload] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except Unreadable as error:
            error.before = messages
            raise
        return messages

    @override
    def finish(self) -> list[Payload]:
        """Return nothing: a message that is not complete says nothing."""
        self._carry.clear()
        return []

    def _next(self) -> Payload | None:
        """Take the next complete message from the carry; None if there is none."""
        carry = self._carry
        if len(carry) < _PRELUDE:
            return None
        total, headers_size = int.from_bytes(carry[:4]), int.from_bytes(carry[4:8])
        _check(carry[:8], carry[8:_PRELUDE])
        if total > LIMIT:
            raise TooLarge
        if total < _PRELUDE + headers_size + _CRC:
            message = "a message is shorter than its headers"
            raise Undecodable(message)
        if len(carry) < total:
            return None
        _check(carry[: total - _CRC], carry[total - _CRC : total])
        headers = _headers(bytes(carry[_PRELUDE : _PRELUDE + headers_size]))
        payload = bytes(carry[_PRELUDE + headers_size : total - _CRC])
        del carry[:total]
        return _name(headers), payload


def _check(data: bytearray, checksum: bytearray) -> None:
    if zlib.crc32(data) != int.from_bytes(checksum):
        message = "a checksum is wrong"
        raise Undecodable(message)


def _name(headers: dict[bytes, bytes]) -> bytes:
    kind = headers.get(b":message-type")
    if kind == b"exception":
        return EXCEPTION + headers.get(b":exception-type", b"")
    if kind == b"error":
        return EXCEPTION + headers.get(b":error-code", b"")
    return headers.get(b":event-type", b"")


def _headers(data: bytes) -> dict[bytes, bytes]:
    """Read the headers whose values are strings; the checksum has proved the bytes, not what they mean."""
    headers, at = {}, 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end], data[name_end] if name_end < len(data) else -1
        size = _VALUE_SIZES.get(kind, -1)
        at = name_end + 1
        if size is None:
            size = int.from_bytes(data[at : at + 2])
            at += 2
        if size < 0 or at + size > len(data):
            message = "a header is longer than the headers"
            raise Undecodable(message)
        if kind == _STRING:
            headers[name] = data[at : at + size]
        at += size
    return headers

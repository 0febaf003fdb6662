"""Conversations in memory with mitmproxy's own layers, with the by-pass and without: odd, broken, cut anywhere."""

import random
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Final

from llm_metrics_proxy.addon.fastpath.bodies import chunk
from llm_metrics_proxy.addon.fastpath.bypass import server_event_of
from llm_metrics_proxy.addon.fastpath.rehearsal import CLIENT, PROVIDER, Log, Rehearsal, Says, Stream

END: Final = chunk(b"")
QUESTION: Final = b"POST /v1 HTTP/1.1\r\nHost: provider.invalid\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ALL: Final = 1 << 20
"""More than one side says at once."""


class Tap:
    """Notes what passes."""

    def __init__(self) -> None:
        self.passes_on = True
        self.seen: list[bytes] = []

    def __call__(self, data: bytes) -> bytes:
        """Pass on what comes."""
        self.seen.append(data)
        return data


class Switching(Tap):
    """Becomes another addon's in the middle."""

    def __call__(self, data: bytes) -> bytes:
        """Pass on what comes; what follows on a 5 is no longer ours."""
        self.passes_on = b"5" not in data
        return super().__call__(data)


def altering() -> Callable[[bytes], list[bytes]]:
    """Return another addon's callable, which sends each piece in two."""
    return lambda data: [data[:3], data[3:]] if len(data) > 3 else [data] if data else []


def raising() -> Callable[[bytes], bytes]:
    """Return another addon's callable, which breaks at a 5."""

    def tap(data: bytes) -> bytes:
        if b"5" in data:
            raise ValueError(data)
        return data

    return tap


class Compared:
    """One conversation, made twice."""

    def __init__(self, script: list[Says], make: Callable[[], Stream], *, encrypted: bool) -> None:
        """Make it; each time with what `make` returns as the `stream` of answers."""
        found = []
        for wrap in (_plain, server_event_of):
            tap = make()
            rehearsal = Rehearsal(wrap, tap, encrypted=encrypted)
            found.append((rehearsal.perform(script), b"".join(getattr(tap, "seen", ())), rehearsal.events))
        (plain, tapped, worked), (self.log, self.tapped, worked_too) = found
        self.spared = worked - worked_too
        """Events that mitmproxy did not have to work on."""
        self.difference = "" if tapped == self.tapped else "what the tap saw"
        # mitmproxy may close, or log, a moment later: as if the head of the answer had come alone.
        for of in ((CLIENT, PROVIDER, "hook"), ("log",), ("closed",)):
            pairs = zip_longest(_only(plain, of), _only(self.log, of))
            self.difference = self.difference or next(
                (f"{one!r:.200} and {two!r:.200}" for one, two in pairs if one != two), ""
            )


def _only(log: Log, of: tuple[str, ...]) -> Log:
    return [one for one in log if one[0] in of]


def _plain[T](handle: T) -> T:
    return handle


_HEADS = (
    CHUNKED,
    CHUNKED,
    CHUNKED,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 30\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
)
_ASKS = (
    QUESTION,
    QUESTION,
    QUESTION,
    b"GET /v1 HTTP/1.1\r\nHost: provider.invalid\r\n\r\n",
    b"HEAD /v1 HTTP/1.1\r\nHost: provider.invalid\r\n\r\n",
    b"POST /v1 HTTP/1.1\r\nHost: provider.invalid\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"what") * 9 + END,
    b"POST /v1 HTTP/1.1\r\nHost: provider.invalid\r\nExpect: 100-continue\r\nContent-Length: 900\r\n\r\n" + b"x" * 900,
    b"POST /v1 HTTP/1.0\r\nHost: provider.invalid\r\nContent-Length: 5\r\n\r\nhello",
    QUESTION + QUESTION,
)


def drawn(numbers: random.Random) -> Iterator[Says]:
    """Yield what both sides say in some calls on one connection."""
    for _ in range(numbers.randrange(1, 4)):
        ask = numbers.choice(_ASKS)
        answer = numbers.choice(_HEADS)
        for _ in range(numbers.choice((0, 1, 5, 30))):
            piece = bytes(numbers.choices(b"abc \r\n0123", k=numbers.choice((1, 3, 20, 20, 20, 20, 900))))
            written = chunk(piece)
            answer += numbers.choices(
                (written, written.upper(), b"00" + written, written.replace(b"\r\n", b";x\r\n", 1), piece, b"\r\n"),
                (60, 2, 2, 1, 1, 1),
            )[0]
        answer += numbers.choice((END, END, END, END, b"", b"0\r\nx: y\r\n\r\n", END + b"more"))
        saying = [Says(CLIENT, ask, _sizes(numbers)), Says(PROVIDER, answer, _sizes(numbers))]
        if numbers.random() < 0.2:  # one side goes, or both speak at once
            cut = numbers.randrange(len(answer))
            saying[1:] = [
                Says(PROVIDER, answer[:cut], _sizes(numbers)),
                numbers.choice((Says(CLIENT), Says(PROVIDER), Says(CLIENT, ask, _sizes(numbers)))),
                Says(PROVIDER, answer[cut:], _sizes(numbers)),
            ]
        yield from saying


def _sizes(numbers: random.Random) -> tuple[int, ...]:
    return numbers.choice(((ALL,), (ALL,), (1000,), (numbers.randrange(1, 99), ALL), (*[1] * 60, 900), (3, 200)))


def compared(seed: str) -> Compared:
    """Make a conversation drawn at random, in both ways."""
    numbers = random.Random(seed)
    make = numbers.choice((Tap, Tap, Tap, Switching, altering, raising, lambda: True))
    return Compared(list(drawn(numbers)), make, encrypted=numbers.random() < 0.3)


def difference(seed: str) -> str:
    """Return where such a conversation differs; empty if it does not."""
    return compared(seed).difference

"""With the by-pass and without it the same bytes reach both sides, in the same order, between the same hooks."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llm_metrics_proxy.addon.fastpath.bodies import chunk
from llm_metrics_proxy.addon.fastpath.bypass import server_event_of
from llm_metrics_proxy.addon.fastpath.names import PASSES_ON
from llm_metrics_proxy.addon.fastpath.rehearsal import CLIENT, PROVIDER, Log, Rehearsal, Says

END = chunk(b"")
QUESTION = b"POST /v1 HTTP/1.1\r\nHost: provider.invalid\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_ALL = 1 << 20


class Tap:
    """Notes what passes."""

    def __init__(self) -> None:
        self.passes_on = True
        self.seen: list[bytes] = []

    def __call__(self, data: bytes) -> bytes:
        self.seen.append(data)
        return data


def performed(script: list[Says], make: Callable[[], Any], *, encrypted: bool) -> tuple[Log, bytes, int]:
    """Return what happened with the by-pass, what the tap saw, and how many events mitmproxy was spared."""
    found = []
    for wrap in (_plain, server_event_of):
        tap = make()
        rehearsal = Rehearsal(wrap, tap, encrypted=encrypted)
        seen = rehearsal.perform(script)
        found.append((seen, b"".join(getattr(tap, "seen", [])), rehearsal.events))
    (plain, tapped, worked), (fast, tapped_too, worked_too) = found
    # mitmproxy may close, or log, a moment later: as if the head of the answer had come alone.
    for these in ((CLIENT, PROVIDER, "hook"), ("log",), ("closed",)):
        assert _only(fast, these) == _only(plain, these)
    assert tapped_too == tapped
    return fast, tapped, worked - worked_too


def _only(log: Log, of: tuple[str, ...]) -> Log:
    return [one for one in log if one[0] in of]


def _plain[T](handle: T) -> T:
    return handle


def _provider_says(*parts: bytes) -> list[Says]:
    return [Says(CLIENT, QUESTION), *(Says(PROVIDER, part) for part in parts)]


@pytest.mark.parametrize("encrypted", [False, True])
def test_chunks_pass_without_mitmproxy_and_the_tap_sees_them(encrypted: bool) -> None:  # noqa: FBT001
    pieces = [chunk(b"data: %d\n\n" % number) for number in range(100)]
    log, tapped, spared = performed(_provider_says(CHUNKED, *pieces, END), Tap, encrypted=encrypted)
    assert (CLIENT, b"".join(pieces)) in [(who, what[len(CHUNKED) :]) for who, what in log if isinstance(what, bytes)]
    assert tapped == b"".join(b"data: %d\n\n" % number for number in range(100))
    assert spared == len(pieces)


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", [b"x" * 100] * 10),
        (b"HTTP/1.1 200 OK\r\n\r\n", [b"x" * 100] * 10),
        (b"HTTP/1.0 200 OK\r\n\r\n", [b"x" * 100] * 10),
    ],
    ids=["with a length", "until it closes", "HTTP/1.0"],
)
def test_bodies_without_chunks_pass_without_mitmproxy(head: bytes, pieces: list[bytes]) -> None:
    script = [*_provider_says(head, *pieces), Says(PROVIDER)]
    _, tapped, spared = performed(script, Tap, encrypted=True)
    assert tapped == b"".join(pieces)
    assert spared >= len(pieces) - 1


def test_a_request_s_body_passes_without_mitmproxy() -> None:
    head = b"POST /v1 HTTP/1.1\r\nHost: provider.invalid\r\nContent-Length: 100000\r\n\r\n"
    script = [Says(CLIENT, head), Says(CLIENT, b"x" * 100_000, (10_000,)), Says(PROVIDER, CHUNKED + END)]
    log, _, spared = performed(script, Tap, encrypted=False)
    assert sum(len(what) for who, what in log if who == PROVIDER and isinstance(what, bytes)) >= 100_000
    assert spared == 9


def test_what_comes_with_a_head_passes_without_mitmproxy() -> None:
    calls = []

    class Counting(Tap):
        def __call__(self, data: bytes) -> bytes:
            calls.append(len(data))
            return super().__call__(data)

    chunks = b"".join(chunk(b"data: %d\n\n" % number) for number in range(500))
    performed(_provider_says(CHUNKED + chunks + END), Counting, encrypted=True)
    assert len(calls) == 500 + 1 + 1 + 1  # each by mitmproxy, once by the by-pass, and the end for both


def _altering() -> Callable[[bytes], list[bytes]]:
    return lambda data: [data[:3], data[3:]] if len(data) > 3 else [data] if data else []


def _raising() -> Callable[[bytes], bytes]:
    def tap(data: bytes) -> bytes:
        if b"5" in data:
            raise ValueError(data)
        return data

    return tap


@pytest.mark.parametrize("make", [_altering, _raising], ids=["altering", "raising"])
def test_a_callable_of_another_addon_gets_each_chunk_from_mitmproxy(make: Callable[[], Any]) -> None:
    pieces = [chunk(b"data: %d\n\n" % number) for number in range(9)]
    _, _, spared = performed(_provider_says(CHUNKED, *pieces, END), make, encrypted=True)
    assert spared == 0


class Switching(Tap):
    """Becomes another addon's in the middle."""

    def __call__(self, data: bytes) -> bytes:
        self.passes_on = b"5" not in data
        return super().__call__(data)


def test_what_an_addon_changes_meanwhile_counts_from_the_next_bytes_on() -> None:
    assert Switching().passes_on is getattr(Switching(), PASSES_ON)
    pieces = [chunk(b"data: %d\n\n" % number) for number in range(9)]
    _, _, spared = performed(_provider_says(CHUNKED, *pieces, END), Switching, encrypted=True)
    assert spared == 8


@pytest.mark.parametrize(
    "wire",
    [
        chunk(b"a") * 3 + b"5;name=value\r\nhello\r\n" + chunk(b"b") + END,
        chunk(b"a") + b"0005\r\nhello\r\n" + chunk(b"b" * 300) + END,
        chunk(b"a") + b"A\r\n0123456789\r\n" + chunk(b"b") + END,
        chunk(b"a") + b"5\r\nhello!!" + chunk(b"b"),
        chunk(b"a") + b"+5\r\nhello\r\n",
        chunk(b"a") + b"0x5\r\nhello\r\n",
        chunk(b"a") + b" 5\r\nhello\r\n",
        chunk(b"a") + b"1_0\r\n" + b"h" * 16 + b"\r\n",
        chunk(b"a") + b"\r\n" + chunk(b"b") + END,
        chunk(b"a") + b"f" * 21 + b"\r\n" + b"h" * 100,
        chunk(b"a") + b"f" * 20 + b"\r\n" + b"h" * 100,
        chunk(b"a") + b"40000000\r\n" + b"h" * 100_000,
        chunk(b"a") + b"0\r\ntrailer: yes\r\n\r\n",
        chunk(b"a") + END + b"after the end",
        chunk(b"a") + END + CHUNKED + chunk(b"unasked"),
        chunk(b"") * 2,
        b"",
    ],
)
def test_unusual_chunks_are_mitmproxy_s_business(wire: bytes) -> None:
    for sizes in ((_ALL,), (1,), (7,), (50, 1, 3, 200)):
        script = [*_provider_says(CHUNKED), Says(PROVIDER, wire or b"0", sizes), Says(PROVIDER)]
        if len(wire) > 10_000 and sizes[0] < 50:
            continue
        performed(script, Tap, encrypted=False)
        performed([Says(CLIENT, QUESTION), Says(PROVIDER, CHUNKED + wire, sizes), Says(CLIENT)], Tap, encrypted=True)


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


def _random_script(numbers: random.Random) -> Iterator[Says]:
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
    return numbers.choice(((_ALL,), (_ALL,), (1000,), (numbers.randrange(1, 99), _ALL), (*[1] * 60, 900), (3, 200)))


@pytest.mark.parametrize("seed", range(12))
def test_conversations_made_at_random_are_the_same(seed: int) -> None:
    numbers = random.Random(seed)
    for _ in range(15):
        script = list(_random_script(numbers))
        make = numbers.choice((Tap, Tap, Tap, Switching, _altering, _raising, lambda: True))
        performed(script, make, encrypted=numbers.random() < 0.3)

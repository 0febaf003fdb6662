"""With the by-pass and without it the same bytes reach both sides, in the same order, between the same hooks."""

from collections.abc import Callable

import pytest

from llm_metrics_proxy.addon.fastpath.bodies import chunk
from llm_metrics_proxy.addon.fastpath.names import PASSES_ON
from llm_metrics_proxy.addon.fastpath.rehearsal import CLIENT, PROVIDER, Says, Stream
from tests.trials.hostile.both_ways.in_memory import (
    ALL,
    CHUNKED,
    END,
    QUESTION,
    Compared,
    Switching,
    Tap,
    altering,
    compared,
    raising,
)


def performed(script: list[Says], make: Callable[[], Stream], *, encrypted: bool) -> Compared:
    """Make a conversation with the by-pass and without it; nobody must see a difference."""
    made = Compared(script, make, encrypted=encrypted)
    assert made.difference == ""
    return made


def _provider_says(*parts: bytes) -> list[Says]:
    return [Says(CLIENT, QUESTION), *(Says(PROVIDER, part) for part in parts)]


@pytest.mark.parametrize("encrypted", [False, True])
def test_chunks_pass_without_mitmproxy_and_the_tap_sees_them(encrypted: bool) -> None:  # noqa: FBT001
    pieces = [chunk(b"data: %d\n\n" % number) for number in range(100)]
    made = performed(_provider_says(CHUNKED, *pieces, END), Tap, encrypted=encrypted)
    assert (CLIENT, b"".join(pieces)) in [
        (who, what[len(CHUNKED) :]) for who, what in made.log if isinstance(what, bytes)
    ]
    assert made.tapped == b"".join(b"data: %d\n\n" % number for number in range(100))
    assert made.spared == len(pieces)


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
    made = performed(script, Tap, encrypted=True)
    assert made.tapped == b"".join(pieces)
    assert made.spared >= len(pieces) - 1


def test_a_request_s_body_passes_without_mitmproxy() -> None:
    head = b"POST /v1 HTTP/1.1\r\nHost: provider.invalid\r\nContent-Length: 100000\r\n\r\n"
    script = [Says(CLIENT, head), Says(CLIENT, b"x" * 100_000, (10_000,)), Says(PROVIDER, CHUNKED + END)]
    made = performed(script, Tap, encrypted=False)
    assert sum(len(what) for who, what in made.log if who == PROVIDER and isinstance(what, bytes)) >= 100_000
    assert made.spared == 9


def test_what_comes_with_a_head_passes_without_mitmproxy() -> None:
    calls = []

    class Counting(Tap):
        def __call__(self, data: bytes) -> bytes:
            calls.append(len(data))
            return super().__call__(data)

    chunks = b"".join(chunk(b"data: %d\n\n" % number) for number in range(500))
    performed(_provider_says(CHUNKED + chunks + END), Counting, encrypted=True)
    assert len(calls) == 500 + 1 + 1 + 1  # each by mitmproxy, once by the by-pass, and the end for both


@pytest.mark.parametrize("make", [altering, raising], ids=["altering", "raising"])
def test_a_callable_of_another_addon_gets_each_chunk_from_mitmproxy(make: Callable[[], Stream]) -> None:
    pieces = [chunk(b"data: %d\n\n" % number) for number in range(9)]
    made = performed(_provider_says(CHUNKED, *pieces, END), make, encrypted=True)
    assert made.spared == 0


def test_what_an_addon_changes_meanwhile_counts_from_the_next_bytes_on() -> None:
    assert Switching().passes_on is getattr(Switching(), PASSES_ON)
    pieces = [chunk(b"data: %d\n\n" % number) for number in range(9)]
    made = performed(_provider_says(CHUNKED, *pieces, END), Switching, encrypted=True)
    assert made.spared == 8


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
    for sizes in ((ALL,), (1,), (7,), (50, 1, 3, 200)):
        script = [*_provider_says(CHUNKED), Says(PROVIDER, wire or b"0", sizes), Says(PROVIDER)]
        if len(wire) > 10_000 and sizes[0] < 50:
            continue
        performed(script, Tap, encrypted=False)
        performed([Says(CLIENT, QUESTION), Says(PROVIDER, CHUNKED + wire, sizes), Says(CLIENT)], Tap, encrypted=True)


@pytest.mark.parametrize("seed", range(12))
def test_conversations_made_at_random_are_the_same(seed: int) -> None:
    for number in range(15):
        assert compared(f"{seed} {number}").difference == ""

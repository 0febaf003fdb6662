"""Connections whose TLS was not opened, counted by host."""

import random

import pytest

from llm_metrics_proxy.addon.unread import NO_NAME, PassedUnread
from llm_metrics_proxy.recorder.events import MOST_TUNNELLED, OTHER_HOSTS, Tunnelled

_SECOND = 1_000_000_000
_AT = "2026-03-01T12:00:0{}.000Z"
_WALL = 1_772_366_400 * _SECOND


def _taken(*hosts: str) -> list[Tunnelled]:
    passed = PassedUnread()
    for host in hosts:
        passed.note(host, _WALL)
    return passed.take()


def test_a_thousand_connections_to_a_host_are_one_event_with_the_first_and_the_last_moment() -> None:
    passed = PassedUnread()
    told = [passed.note("files.example.com", _WALL + n * _SECOND // 200) for n in range(1_000)]
    assert told == [True] + [False] * 999  # whoever asks for the events has to ask once
    assert passed.take() == [Tunnelled("files.example.com", 1_000, _AT.format(0), "2026-03-01T12:00:04.995Z")]
    assert passed.take() == []
    assert passed.note("files.example.com", _WALL)


def test_random_names_fill_no_memory_and_are_counted_together() -> None:
    numbers = random.Random(7)
    passed = PassedUnread()
    for _ in range(10_000):
        passed.note(f"{numbers.getrandbits(64):x}.example.com", _WALL)
    passed.note(OTHER_HOSTS, _WALL)
    events = passed.take()
    assert len(events) == MOST_TUNNELLED + 1
    assert {event.host: event.connections for event in events}[OTHER_HOSTS] == 10_001 - MOST_TUNNELLED


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("Files.Example.COM.", "files.example.com"),
        ("localhost", "localhost"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("", NO_NAME),
        ("two words.example", NO_NAME),
        ("127.1", NO_NAME),
        ("\x1b[2J.example", NO_NAME),
        ("b\u00fccher.example", NO_NAME),
        ("a.example:443/path?key=x", NO_NAME),
        ("a" * 254, NO_NAME),
        ("a" * 10_000_000, NO_NAME),
        ("sk-proj-Ab3dEf6hIj9kLm2nOp5qSt8vYz1.example.com", "[masked]"),
    ],
)
def test_addresses_are_kept_as_names_are_and_what_is_neither_is_not(host: str, kept: str) -> None:
    (event,) = _taken(host)
    assert event.host == kept or (kept == "[masked]" and event.host.startswith(kept))
    assert event.connections == 1

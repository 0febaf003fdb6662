"""Calls of the last minutes for the tests of what people read: a database of them, made by the recorder's own DAO."""

import random
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.database import open_writer

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e<script>alert(1)</script>\"'&amp;[red]{{ 7*7 }}\n"
HARMLESS = r"""\x1b]0;owned\x07\x9b31m\u202e<script>alert(1)</script>"'&amp;[red]{{ 7*7 }}\n"""


def call(ago: timedelta, **fields: Any) -> CompletionRequest:  # noqa: ANN401 - fields of any type
    """A call of so long ago; keywords are its fields."""
    at = datetime.now(UTC) - ago
    defaults: dict[str, Any] = {
        "timestamp": timestamps.bound(at),
        "success": True,
        "status_code": 200,
        "response_time_ms": 900,
        "model": "gpt-5",
        "origin": "billing",
        "provider": "openai",
        "is_streaming": True,
        "event_id": new_event_id(round(at.timestamp() * 1000)),
    }
    return CompletionRequest(**defaults | fields)


def write(path: Path, calls: Iterable[CompletionRequest]) -> None:
    """Write them to the database at `path`."""
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(list(calls))


def any_calls(seed: int, count: int, *, longest_ago: timedelta) -> list[CompletionRequest]:
    """Calls of all kinds, of which much is unknown."""
    chance = random.Random(seed)

    def perhaps[V](value: V) -> V | None:
        return value if chance.random() < 0.8 else None

    return [
        call(
            longest_ago * chance.random(),
            success=chance.random() < 0.9,
            response_time_ms=chance.randrange(100_000),
            model=perhaps(chance.choice(["gpt-5", "claude", "gemini"])),
            origin=perhaps(chance.choice(["billing", "search"])),
            provider=perhaps(chance.choice(["openai", "anthropic"])),
            time_to_first_token_ms=perhaps(chance.randrange(5_000)),
            tokens_per_second=perhaps(round(chance.uniform(1, 200), 3)),
            prompt_tokens=perhaps(chance.randrange(100_000)),
            completion_tokens=perhaps(chance.randrange(10_000)),
            cached_tokens=perhaps(chance.randrange(1_000)),
            cost_usd=perhaps(chance.randrange(1_000) / 1024),  # binary fractions add up exactly in any order
            error_type=perhaps(chance.choice(["timeout", "rate_limit_error"])),
            error_message=perhaps(chance.choice(["too slow", "too many"])),
        )
        for _ in range(count)
    ]

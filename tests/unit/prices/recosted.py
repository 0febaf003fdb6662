"""Calls of known cost, and what is stored of them, for tests of recost."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store import watermarks
from tests.support.database import ask

type MakeEvent = Callable[..., CompletionRequest]
type Fill = Callable[..., Path]

USAGE = '{"prompt_tokens":1000,"completion_tokens":100}'
GPT_4O = {
    "provider": "openai",
    "operation": "chat",
    "model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "usage": USAGE,
}
COST = 0.0035  # 1,000 tokens at $2.50 and 100 at $10 for a million
OWN = '[[price]]\nmodel = "gpt-4o"\ninput = 1\noutput = 10\n'
OWN_COST = 0.002


def costs(path: Path) -> list[tuple[object, ...]]:
    return ask(path, "SELECT cost_usd, cost_source FROM completion_requests ORDER BY id")


def watermark(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return watermarks.get(connection, watermarks.PRICING)

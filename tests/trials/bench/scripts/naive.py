"""A metrics addon as one writes it in an afternoon: json.loads of every chunk, INSERT and commit in the hook.

Loaded by the mitmdump under test. It stands for what the proxy's own addon must not be.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from mitmproxy import http

_DATABASE = sqlite3.connect(os.environ["BENCH_NAIVE_DATABASE"])
_DATABASE.execute("CREATE TABLE calls (at REAL, model TEXT, ttft REAL, total_ms REAL, tokens INTEGER, finish TEXT)")


def responseheaders(flow: http.HTTPFlow) -> None:
    """Look at every chunk."""
    if flow.response is not None:
        flow.metadata["seen"] = {}
        flow.response.stream = _tap(flow.metadata["seen"])


def response(flow: http.HTTPFlow) -> None:
    """Write the row."""
    asked, seen = json.loads(flow.request.get_text() or "{}"), flow.metadata["seen"]
    total_ms = (time.time() - flow.request.timestamp_start) * 1000
    first = seen.get("first")
    row = (
        flow.request.timestamp_start,
        asked.get("model"),
        (first - flow.request.timestamp_start) * 1000 if first else None,
        total_ms,
        (seen.get("usage") or {}).get("total_tokens"),
        seen.get("finish"),
    )
    _DATABASE.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)
    _DATABASE.commit()


def _tap(seen: dict[str, Any]) -> Callable[[bytes], bytes]:
    def tap(data: bytes) -> bytes:
        for line in data.decode().splitlines():
            text = line.removeprefix("data: ")
            if not text.startswith("{"):
                continue
            said = json.loads(text)
            seen["usage"] = said.get("usage") or seen.get("usage")
            for choice in said.get("choices") or []:
                seen["finish"] = choice.get("finish_reason") or seen.get("finish")
                if "first" not in seen and choice.get("delta", {}).get("content"):
                    seen["first"] = time.time()
        return data

    return tap

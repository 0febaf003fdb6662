"""Lines as Claude Code and Codex write them into their session logs, with a mark wherever they have content."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONTENT = "planted-content"


def claude_code(  # noqa: PLR0913 - the fields of a line
    session: str,
    message: str,
    *,
    at: str,
    request: str | None = None,
    tokens: tuple[int, int, int, int] = (100, 0, 0, 10),
    model: str = "claude-sonnet-4-5-20250929",
    stop: str | None = "end_turn",
) -> dict[str, Any]:
    """One of the lines of a message; tokens are plain input, read from a cache, written to it, and output."""
    plain, read, written, output = tokens
    line = {
        "parentUuid": None,
        "isSidechain": False,
        "message": {
            "id": message,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": CONTENT}],
            "stop_reason": stop,
            "usage": {
                "input_tokens": plain,
                "cache_creation_input_tokens": written,
                "cache_read_input_tokens": read,
                "output_tokens": output,
                "server_tool_use": {"web_search_requests": 0},
                "service_tier": "standard",
                "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": written},
            },
        },
        "type": "assistant",
        "uuid": "38367db0-738e-4a48-88e5-76a4689af3b7",
        "timestamp": at,
        "cwd": f"/{CONTENT}",
        "sessionId": session,
        "version": "2.1.332",
        "gitBranch": CONTENT,
    }
    return line if request is None else line | {"requestId": request}


def of_user(session: str, at: str) -> dict[str, Any]:
    """What a person typed into Claude Code."""
    message = {"role": "user", "content": CONTENT}
    return {"type": "user", "message": message, "timestamp": at, "sessionId": session, "cwd": f"/{CONTENT}"}


def stated(session: str, usd: float) -> dict[str, Any]:
    """Claude Code's own sum of a session."""
    return {"type": "cost-state", "sessionId": session, "totalCostUSD": usd, "modelUsage": {}}


def codex(session: str, model: str = "gpt-5.5") -> list[dict[str, Any]]:
    """The first lines of a log of Codex."""
    meta = {"session_id": session, "id": session, "cwd": f"/{CONTENT}", "base_instructions": {"text": CONTENT}}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": CONTENT}]}
    return [
        {"timestamp": "2026-11-20T09:00:00.000Z", "type": "session_meta", "payload": meta},
        {"timestamp": "2026-11-20T09:00:00.000Z", "type": "turn_context", "payload": {"model": model, "cwd": "/"}},
        {"timestamp": "2026-11-20T09:00:00.000Z", "type": "response_item", "payload": said},
    ]


def counted(at: str, sums: tuple[int, int, int], last: tuple[int, int, int] | None) -> dict[str, Any]:
    """Codex's event after an answer: input, of it from a cache, and output."""
    info: dict[str, Any] = {"total_token_usage": _usage(sums), "model_context_window": 258_400}
    if last is not None:
        info["last_token_usage"] = _usage(last)
    payload = {"type": "token_count", "info": info, "rate_limits": None}
    return {"timestamp": at, "type": "event_msg", "payload": payload}


def _usage(counts: tuple[int, int, int]) -> dict[str, int]:
    names = ("input_tokens", "cached_input_tokens", "output_tokens")
    return {
        **dict(zip(names, counts, strict=True)),
        "reasoning_output_tokens": 0,
        "total_tokens": counts[0] + counts[2],
    }


def write(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    """Write them as a log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path

"""Pages and lines as the providers' usage and cost APIs give them, and OpenRouter's CSV."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DAY = 86_400
OPENROUTER_HEAD = (
    "generation_id,created_at,cost_total,cost_web_search,cost_cache,cost_file_processing,byok_usage_inference,"
    "tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant,cancelled,"
    "streamed,user,finish_reason_raw,finish_reason_normalized,generation_time_ms,time_to_first_token_ms,"
    "api_key_disabled,api_key_name,app_name"
)


def unix(moment: str) -> int:
    """Seconds since 1970 of a moment in UTC."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())


def openai(day: str, *results: dict[str, Any], seconds: int = DAY, has_more: bool = False) -> dict[str, Any]:
    """A page of one bucket."""
    bucket = {"object": "bucket", "start_time": unix(day), "end_time": unix(day) + seconds, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": has_more, "next_page": "abc" if has_more else None}


def completions(calls: int, tokens: tuple[int, int], **group: object) -> dict[str, Any]:
    """Usage of chat, completions and responses: input with what the cache gave, and output."""
    none = dict.fromkeys(("project_id", "user_id", "api_key_id", "model", "batch", "service_tier"))
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "input_cached_tokens": 0,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": calls,
        **none,
        **group,
    }


def costs(value: float, currency: str = "usd", **group: object) -> dict[str, Any]:
    """OpenAI's costs."""
    amount = {"value": value, "currency": currency}
    return {"object": "organization.costs.result", "amount": amount, "line_item": None, "project_id": None, **group}


def anthropic(day: str, *results: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    """A page of one day of usage_report/messages or cost_report."""
    ends = datetime.fromtimestamp(unix(day) + DAY, UTC)
    bucket = {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "results": list(results)}
    return {"data": [bucket], "has_more": has_more, "next_page": None}


def messages(tokens: tuple[int, int, int, int], **group: object) -> dict[str, Any]:
    """Usage: plain input, written to a cache for 5 minutes, read from one, and output."""
    none = dict.fromkeys(("api_key_id", "workspace_id", "model", "service_tier", "context_window"))
    return {
        "uncached_input_tokens": tokens[0],
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": tokens[1]},
        "cache_read_input_tokens": tokens[2],
        "output_tokens": tokens[3],
        "server_tool_use": {"web_search_requests": 0},
        **none,
        **group,
    }


def cents(amount: str, currency: str = "USD", **group: object) -> dict[str, Any]:
    """Anthropic's cost."""
    none = dict.fromkeys(("workspace_id", "description", "cost_type", "context_window", "model", "service_tier"))
    return {"currency": currency, "amount": amount, **none, "token_type": None, **group}


def openrouter(*rows: dict[str, object]) -> str:
    """The CSV of the activity page."""
    names = OPENROUTER_HEAD.split(",")
    return "".join(
        f"{line}\n" for line in (OPENROUTER_HEAD, *(",".join(str(row.get(name, "")) for name in names) for row in rows))
    )


def write(path: Path, *pages: dict[str, Any]) -> Path:
    """Write one page, or several as lines."""
    path.write_text("\n".join(map(json.dumps, pages)))
    return path


def names(lines: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Lines of the command's document by name."""
    return {line["name"]: line for line in lines}

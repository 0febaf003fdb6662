"""Events of traffic that was never read as a call: providers out of reach, and requests that no format understood.

A call whose provider could not be reached never became a request, but makes a row. Requests to a provider that no
format understood are counted by host and path, so that coverage is visible; paths that are known and deliberately not
recorded (model lists, token counting, files, batches, ...) are not counted.
"""

import re

from llm_metrics_proxy.addon.headers import Columns, Headers, credentials
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.privacy import mask_columns, masked
from llm_metrics_proxy.addon.providers.errors import LONGEST_MESSAGE
from llm_metrics_proxy.addon.providers.hosts import UNKNOWN
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.recorder.events import CompletionRequest, Unrecognised

_NOT_RECORDED = re.compile(
    r"""/(?:
          files | uploads | batches | vector_stores | assistants | threads | containers | conversations
        | organizations? | fine_tuning | fine-tuning | evals | moderations | users? | auth | oauth | me | credits
        | count_tokens | count-tokens | tokenize | detokenize | telemetry | events | health | v\d+/api-keys
        | input_tokens | compact | cachedContents | operations
    )(?:[/:]|$) | :(?:countTokens|computeTokens|batchGenerateContent)$ | /models(?:/[^/:]+)?$ | ^/$
    """,
    re.VERBOSE,
)

# A segment that names one thing rather than a kind of things: numbers, UUIDs, and words of letters with digits.
_ID = re.compile(r".{41,} | \d+ | [0-9a-fA-F-]{16,} | [a-zA-Z]+[-_][a-zA-Z0-9_-]*\d[a-zA-Z0-9_-]{7,}", re.VERBOSE)


_LONGEST = 2048  # characters of a path that are looked at


def is_gap(path: str) -> bool:
    """Tell whether a request to a provider's `path` that no format understood should have been understood."""
    return _NOT_RECORDED.search(path[:_LONGEST]) is None


def unrecognised(host: str, path: str, query: str, headers: Headers, timestamp: str) -> Unrecognised:
    """Make the event; ids in the path become `{id}`, and the request's credentials are masked."""
    folded = "/".join("{id}" if _ID.fullmatch(segment) else segment for segment in path[:_LONGEST].split("/"))
    clean = masked(folded, credentials(headers, query))
    return Unrecognised(host=text(host) or "?", path=text(clean) or "/", at=timestamp)


def unreachable(  # noqa: PLR0913 - one argument a fact
    *,
    timestamp: str,
    event_id: str,
    waited_ns: int,
    provider: str | None,
    host: str,
    reason: str | None,
    headers: Headers,
    origin: str | None,
    client: str | None,
) -> CompletionRequest:
    """Make the row; `headers` are those of the CONNECT request, `reason` is the operating system's."""
    columns: Columns = {
        "timestamp": timestamp,
        "event_id": event_id,
        "success": False,
        "status_code": Cause.UPSTREAM_UNREACHABLE.status_without_answer,
        "response_time_ms": round(waited_ns / 1e6),
        "is_streaming": False,
        "error_type": Cause.UPSTREAM_UNREACHABLE,
        "error_message": text(masked(reason or ""), LONGEST_MESSAGE),
        "provider": provider or UNKNOWN,
        "host": text(host),
        "origin": origin,
        "client": client,
        "user_agent": text(headers.get("user-agent")),
    }
    mask_columns(columns, credentials(headers, ""))
    return CompletionRequest(**columns)

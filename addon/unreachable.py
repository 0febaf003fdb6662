"""The row of a call that never became a request: the provider could not be reached, so the client's tunnel failed."""

from llm_metrics_proxy.addon.headers import Headers
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.privacy.masking import masked
from llm_metrics_proxy.addon.providers.errors import LONGEST_MESSAGE
from llm_metrics_proxy.addon.providers.hosts import UNKNOWN
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.recorder.events import CompletionRequest


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
    return CompletionRequest(
        timestamp=timestamp,
        event_id=event_id,
        success=False,
        status_code=Cause.UPSTREAM_UNREACHABLE.status_without_answer,
        response_time_ms=round(waited_ns / 1e6),
        is_streaming=False,
        error_type=Cause.UPSTREAM_UNREACHABLE,
        error_message=text(masked(reason or ""), LONGEST_MESSAGE),
        provider=provider or UNKNOWN,
        host=text(host),
        origin=origin,
        client=client,
        user_agent=text(headers.get("user-agent")),
    )

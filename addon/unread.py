"""Events of traffic that was never read as a call: hosts that passed, requests not understood, providers out of reach.

A call whose provider could not be reached never became a request, but makes a row. Requests to a provider that no
format understood are counted by host and path, so that coverage is visible. What is known to be no call of a model,
such as the telemetry of agents, is not counted. Of connections whose TLS is not opened the host is counted, no more.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final

from llm_metrics_proxy.addon.admission import host_in
from llm_metrics_proxy.addon.callers.agents import caller_of
from llm_metrics_proxy.addon.headers import Columns, Headers, credentials
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.privacy import mask_columns, masked
from llm_metrics_proxy.addon.providers.errors import LONGEST_MESSAGE
from llm_metrics_proxy.addon.providers.hosts import UNKNOWN, is_of_api
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.recorder.events import (
    MOST_TUNNELLED,
    OTHER_HOSTS,
    CompletionRequest,
    Tunnelled,
    Unrecognised,
    timestamp_of,
)

# Segments that are in no call's path, by what they are for; `$` marks those that are so only as the last one: the list
# of models is no call, /models/NAME/generate is one. docs/coverage.md has a line for each kind.
NO_CALLS: Final[Mapping[str, str]] = {
    "Telemetry": """
        telemetry event_logging analytics-events analytics events event$ log$ logs log_event rgstr metrics traces otlp
        envelope statsig sentry feedback claude_cli_feedback copilot-telemetry observability
        v1internal:recordCodeAssistMetrics v1internal:recordTrajectoryAnalytics v1internal:recordClientEvent
        v1internal:recordConversationOffered v1internal:recordConversationInteraction
    """,
    "MCP": "mcp mcps mcp-registry mcp_servers tool-server",
    "Quotas and billing": """
        usage quota quotas limits rate_limits policy_limits credits balance billing subscription remains wham
        v1internal:retrieveUserQuota v1internal:retrieveUserQuotaSummary
    """,
    "Sign-in": """
        oauth oauth2 auth login token$ tokens$ device v1/api-keys api_keys keys client_secrets auth_tokens
        create_api_key check-api-key v1internal:onboardUser v1internal:loadCodeAssist v1internal:fetchUserInfo
    """,
    "Accounts and settings": """
        organization organizations user users me$ account settings policies policy experiments bootstrap plugins
        connectors skills permissions growthbook claude_code_grove penguin_mode v1internal:setUserSettings
        v1internal:fetchAdminControls v1internal:listExperiments v1internal:getCodeAssistGlobalUserSetting
        v1internal:setCodeAssistGlobalUserSetting
    """,
    "Lists of models": "models$ models/session api/show$ api/tags$ api/ps$ v1internal:fetchAvailableModels",
    "Token counting": """
        count_tokens count-tokens tokenize detokenize input_tokens apply-template
        :countTokens$ :computeTokens$ v1internal:countTokens
    """,
    "Files and stores": """
        files uploads upload vector_stores containers cachedContents fileSearchStores corpora datasets memories blobs
    """,
    "Batches and training": """
        batches batch batchPredictionJobs fine_tuning fine-tuning finetuning fine-tunes tuningJobs evals graders
        operations async-invoke :batchGenerateContent$ :asyncBatchEmbedContent$ :fetchPredictOperation$
    """,
    "State of conversations": """
        conversations assistants threads realtime/sessions realtime/transcription_sessions agents/sessions
        session_ingress environments chatkit cancel
    """,
    "Moderation": "moderations guardrail",
    "Upkeep of a server": """
        health healthz hello ping _ping props slots api/pull$ api/push$ api/create$ api/copy$ api/delete$
    """,
}


_WORDS: Final = " ".join(NO_CALLS.values()).split()
_ANYWHERE: Final = frozenset(word for word in _WORDS if not word.endswith("$"))  # of one segment, or two
_AT_THE_END: Final = frozenset(word.removesuffix("$") for word in _WORDS if word.endswith("$"))  # also verbs

# A segment that names one thing rather than a kind of things.
_ID = re.compile(
    r"""
      .{41,}
    | \d+
    | [0-9a-fA-F-]{16,}                                           # UUIDs and hashes
    | (?: resp | msg | run | step | thread | asst | batch | conv | call | chatcmpl | cmpl | file | vs | proj | org
        | user | sess | session | req | item | skill | ft | ftjob | video | img | task | job | key | sk | acct | ws | wf
      ) [-_] [a-zA-Z0-9_-]{8,}
    | [a-zA-Z]+ [-_] [a-zA-Z0-9_-]*\d[a-zA-Z0-9_-]{7,}
    | (?=[^/]*\d) (?=[^/]*[a-zA-Z]) (?: [^/]*[-_.~=] )? [a-zA-Z0-9+]{14,} (?: [-_.~=][^/]* )?  # base 32, 58, 64
    | (?=[^/]*[a-z]) (?=[^/]*[A-Z]) (?=[^/]*\d) [a-zA-Z0-9+_=-]{20,}
    | [^/@]+ @ [^/@]+ \. [^/@]+                                  # addresses of mail
    """,
    re.VERBOSE,
)


_LONGEST = 2048  # characters of a path that are looked at
_LONGEST_NAME = 253  # of a host: RFC 1035

NO_NAME: Final = "(no host name)"


def is_gap(host: str, path: str) -> bool:
    """Tell whether a request to `path` at a provider, which no format understood, should have been understood."""
    path = path[:_LONGEST]
    segments = path.strip("/").split("/")
    *_, before, last = ("", *segments)
    _, colon, verb = last.partition(":")
    ends = {last, colon + verb, f"{before}/{last}"}
    if last == "" or (before == "models" and not colon) or not ends.isdisjoint(_AT_THE_END):
        return False
    names = {segment.partition(":")[0] for segment in segments}
    names.update(segments, map("/".join, pairwise(segments)))
    return names.isdisjoint(_ANYWHERE) and is_of_api(host, path)


def unrecognised(host: str, path: str, query: str, headers: Headers, timestamp: str) -> Unrecognised:
    """Make the event; ids in the path become `{id}`, and the request's credentials are masked."""
    folded = "/".join(
        "{id}" if segment and _ID.fullmatch(segment) else segment for segment in path[:_LONGEST].split("/")
    )
    clean = masked(folded, credentials(headers, query))
    return Unrecognised(host=text(host) or "?", path=text(clean) or "/", at=timestamp)


class PassedUnread:
    """Connections whose TLS is not opened, by host, until they become events: a thousand are not a thousand events.

    Clients choose the names. So there are at most `MOST_TUNNELLED` at a time, and all further ones have one name.
    """

    def __init__(self) -> None:
        """None has passed."""
        self._hosts: dict[str, tuple[int, int, int]] = {}  # connections, and when the first and the last began

    def note(self, host: str, wall: int) -> bool:
        """Count a connection to a host that began at `wall`; True if it is the first since the last `take`."""
        is_first = not self._hosts
        if host not in self._hosts and len(self._hosts) >= MOST_TUNNELLED:
            host = OTHER_HOSTS
        connections, first, _ = self._hosts.get(host, (0, wall, wall))
        self._hosts[host] = (connections + 1, first, wall)
        return is_first

    def take(self) -> list[Tunnelled]:
        """Make the events of what was counted since the last time."""
        hosts, self._hosts = self._hosts, {}
        return [
            Tunnelled(_shown(host[: _LONGEST_NAME + 1]), connections, timestamp_of(first), timestamp_of(last))
            for host, (connections, first, last) in hosts.items()
        ]


@lru_cache(maxsize=1024)  # the same few all day
def _shown(host: str) -> str:
    """Return a host's name, or its address, as it is kept; what is neither has one name together."""
    if host == OTHER_HOSTS:
        return OTHER_HOSTS
    known = host_in(host) if len(host) <= _LONGEST_NAME else None
    return NO_NAME if known is None else masked(str(known))


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
    labels: str | None = None,
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
        "labels": labels,
        "user_agent": text(headers.get("user-agent")),
        **caller_of(headers).columns(""),
    }
    mask_columns(columns, credentials(headers, ""))
    return CompletionRequest(**columns)

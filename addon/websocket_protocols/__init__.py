"""The registry of WebSocket protocols, and `match_session`: which one a connection speaks."""

import re
from urllib.parse import parse_qs

from llm_metrics_proxy.addon.providers.format import LONGEST_PATH, Route, normalised
from llm_metrics_proxy.addon.providers.hosts import name_of, provider_of
from llm_metrics_proxy.addon.providers.usage import UsageReader
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.websocket_protocols import gemini_live, openai_events
from llm_metrics_proxy.addon.websocket_protocols.session import Session

# The first pattern that is found in the path decides.
_SESSIONS: tuple[tuple[str, type[Session], UsageReader], ...] = (
    (r"/responses$", openai_events.Responses, openai_events.USAGE),
    (r"/realtime$", openai_events.Realtime, openai_events.USAGE),
    (r"[./]BidiGenerateContent(?:Constrained)?$", gemini_live.GeminiLive, gemini_live.USAGE),
)


def match_session(host: str, port: int, path: str, query: str, *, named: bool = False) -> Route[type[Session]] | None:
    """Return what a WebSocket on `path` at an address speaks; None if it is no LLM's.

    `named` says that somebody named the host as an LLM's.
    """
    if len(path) > LONGEST_PATH:
        return None
    path = normalised(path)
    for pattern, session, usage in _SESSIONS:
        if re.search(pattern, path):
            asked = parse_qs(query[:LONGEST_PATH])
            model = asked.get("model") or asked.get("deployment")  # Azure's word
            return Route(
                provider=name_of(host, port),
                operation="chat",
                usage_reader=usage,
                model=text(model[0]) if model else None,
                known_host=named or provider_of(host) is not None,
                speaks=session,
            )
    return None


def session_of(opening: Opening) -> Session:
    """Begin a session of the protocol that the opening's route speaks."""
    session: type[Session] = opening.route.speaks
    return session(opening)

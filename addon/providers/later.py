"""Answers that are fetched later: a call in the background is answered at once, and its usage comes with a fetch.

The call leaves a row with the id of its response. Whoever fetches the final answer, or cancels the call, completes that
row, for the recorder knows it by the id; a fetch of a call that never passed here leaves a row of its own, once. So do
the results of batches, line by line (batches.py).
https://platform.openai.com/docs/guides/background
"""

import re
from typing import Final, NamedTuple

from llm_metrics_proxy.addon.providers import (
    anthropic_messages,
    gemini_interactions,
    openai_chat,
    openai_responses,
)
from llm_metrics_proxy.addon.providers.format import LONGEST_PATH, Later, Route, WireFormat, normalised
from llm_metrics_proxy.addon.providers.hosts import name_of, provider_of
from llm_metrics_proxy.addon.providers.values import text


class _Fetch(NamedTuple):
    method: str
    path: re.Pattern[str]
    speaks: WireFormat
    of_batch: bool = False


_FETCHES: Final = (
    _Fetch("GET", re.compile(r"(?P<call>.*/responses)/(?P<id>[^/]+)"), openai_responses.RESPONSES),
    _Fetch("POST", re.compile(r"(?P<call>.*/responses)/(?P<id>[^/]+)/cancel"), openai_responses.RESPONSES),
    _Fetch("GET", re.compile(r"(?P<call>.*/interactions)/(?P<id>[^/]+)"), gemini_interactions.INTERACTIONS),
    _Fetch("POST", re.compile(r"(?P<call>.*/interactions)/(?P<id>[^/]+)/cancel"), gemini_interactions.INTERACTIONS),
    _Fetch(
        "GET",
        re.compile(r"(?P<call>.*/messages)/batches/(?P<id>[^/]+)/results"),
        anthropic_messages.MESSAGES,
        of_batch=True,
    ),
    _Fetch("GET", re.compile(r"(?P<call>.*/files)/(?P<id>[^/]+)/content"), openai_chat.CHAT, of_batch=True),
)


def match_later(method: str, host: str, port: int, path: str, *, named: bool = False) -> Route[WireFormat] | None:
    """Return where a request for a later answer goes; None if it is none, or `host` is not known as an LLM's.

    `named` says that somebody named the host as an LLM's; `path` is without query.
    """
    if len(path) > LONGEST_PATH or not (named or provider_of(host)):
        return None
    path = normalised(path)
    for fetch in _FETCHES:
        if fetch.method == method and (found := fetch.path.fullmatch(path)) and (named_id := text(found["id"])):
            return Route(
                provider=name_of(host, port),
                operation=fetch.speaks.operation,
                usage_reader=fetch.speaks.usage_keys,
                model=None,
                known_host=True,
                speaks=fetch.speaks,
                later=Later(named_id, found["call"], fetch.of_batch),
            )
    return None

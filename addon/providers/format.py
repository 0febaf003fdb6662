"""The protocol of wire formats: how one API writes requests, answers and streams.

A format holds no state and does no I/O. It reads a request body into a `Request`, and whole answers or single stream
events into an `Answer`, which the exchange keeps. Bytes that it cannot read raise `Unparsed`, nothing else.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from llm_metrics_proxy.addon.callers.fields import NOTHING, Said
from llm_metrics_proxy.addon.framing import Framing
from llm_metrics_proxy.addon.providers.errors import ProviderError, error_from
from llm_metrics_proxy.addon.providers.usage import Usage, UsageReader, merge
from llm_metrics_proxy.addon.providers.values import integer, number, text

type Items = list[msgspec.Raw] | dict[str, msgspec.Raw] | str | float | bool | None
"""A field that should be a list, of which only the length counts; a wrong type costs no other field."""


class Output(enum.IntEnum):
    """The kind of output that a stream event carries, if the model generated any."""

    NONE = 0
    REASONING = 1
    ANSWER = 2


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a request, named as the columns are; None is unknown."""

    model: str | None = None
    is_streaming: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    message_count: int | None = None
    said: Said = NOTHING
    """What it says of the program that sends it."""
    recognised: bool = False
    """The body has the shape of this API: on a host that nobody named, a path alone proves nothing."""
    usage_reader: UsageReader | None = None
    """Reads this call's usage, where what was asked for decides what the usage means."""


class Answer:
    """Everything learnt from an answer so far."""

    __slots__ = (
        "calls_tools",
        "ended",
        "error",
        "finish_reason",
        "response_id",
        "response_model",
        "server_timing",
        "service_tier",
        "usage",
        "usage_reader",
    )

    def __init__(self) -> None:
        self.response_model: str | None = None
        self.response_id: str | None = None
        """The provider's id of an answer that can be fetched later; see later.py."""
        self.finish_reason: str | None = None
        self.usage: Usage = {}
        self.usage_reader: UsageReader | None = None
        """What reads the usage of an answer that is in another format than its path says."""
        self.service_tier: str | None = None
        """The tier that served the call, where that is said outside of the usage."""
        self.server_timing: Usage = {}
        """The provider's own times, in its own names and units."""
        self.error: ProviderError | None = None
        self.calls_tools = False
        """The client is asked to call a tool, in an API whose finish reason does not say so."""
        self.ended = False
        """The stream's own end was seen."""

    @property
    def is_final(self) -> bool:
        """It can be fetched later, and nothing more will be said in it."""
        return self.response_id is not None and self.finish_reason is not None

    def fail(self, said: object) -> None:
        """Note an error, in whatever shape it was written; the first that has a message counts."""
        if self.error is None or self.error.message is None:
            self.error = error_from(said) or self.error or ProviderError()

    def learn(
        self, *, model: object = None, finish_reason: object = None, usage: object = None, timing: object = None
    ) -> None:
        """Take what an event says; what it leaves out stays as it was. The model is repeated and never changes."""
        if self.response_model is None:
            self.response_model = text(model)
        if finish_reason is not None:
            self.finish_reason = text(finish_reason) or self.finish_reason
        if usage is not None:
            self.usage = merge(self.usage, usage)
        if timing is not None:
            self.server_timing = merge(self.server_timing, timing)


class WireFormat:
    """One API's way of writing. A format is one object, shared by all its exchanges."""

    operation = "chat"
    """gen_ai.operation.name of OpenTelemetry."""
    usage_keys: UsageReader
    has_end = False
    """A stream that ends cleanly without the format's own end has been cut."""
    stream_header = ""
    """A header of requests that asks for a stream."""
    free: re.Pattern[bytes] | None = None
    """Finds values in events of which it only counts that they are not empty; see framing/alike.py."""
    json_stream: type[Framing] | None = None
    """The framing of a stream whose content type says no more than JSON."""

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        raise NotImplementedError

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read an answer's headers, where an API says in them what it says nowhere else."""

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        raise NotImplementedError

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one stream event; an API without streams reads each as an answer."""
        del name
        self.whole(data, answer)
        return Output.NONE


def request_of(  # noqa: PLR0913 - one argument a column
    *,
    model: object = None,
    stream: object = None,
    max_tokens: tuple[object, ...] = (),
    temperature: object = None,
    top_p: object = None,
    messages: object = None,
    said: Said = NOTHING,
    recognised: bool,
) -> Request:
    """Make a `Request` of decoded leaves; `messages` is the list of messages, or a string that stands for one."""
    count = len(messages) if isinstance(messages, list) else 1 if isinstance(messages, str) else None
    return Request(
        model=text(model),
        is_streaming=stream is True,
        max_tokens=next((value for limit in max_tokens if (value := integer(limit)) is not None), None),
        temperature=number(temperature),
        top_p=number(top_p),
        message_count=count,
        said=said,
        recognised=recognised,
    )


@dataclass(frozen=True)
class Route[T]:
    """An address that is an LLM's API; `speaks` is its wire format or its protocol."""

    provider: str
    operation: str
    usage_reader: UsageReader
    model: str | None
    """The model that the path or the query asks for."""
    known_host: bool
    """The host is an LLM's for certain; otherwise what is sent has to prove it."""
    speaks: T
    later: "Later | None" = None


class Later(NamedTuple):
    """Where an answer is fetched later."""

    response_id: str
    """The provider's id, by which the row of its call is found."""
    endpoint: str
    """The path at which the call was made."""
    of_batch: bool = False
    """It is a file with the answers to many calls, each with an id and a path of its own."""


LONGEST_PATH = 8192
"""Characters of a path, and of a query, that are looked at: no API has longer ones, and a client may send megabytes."""


def normalised(path: str) -> str:
    """Return `path` as servers take it: without doubled slashes and without one at the end."""
    return (re.sub(r"/{2,}", "/", path) if "//" in path else path).rstrip("/") or "/"

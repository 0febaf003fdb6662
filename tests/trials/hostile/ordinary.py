"""The beginning of every exchange: an address, headers, and what a decent client and provider would say."""

import json
import random
from typing import Final

from tests.support.provider.scenario import Framing
from tests.trials.hostile import plants
from tests.trials.hostile.exchange import Exchange
from tests.trials.hostile.values import TEXTS, fields, number, text

TLS_HOSTS: Final = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com")
PLAIN_HOSTS: Final = ("one.llm.test", "two.llm.test")
NAMED: Final = r"\.llm\.test$"

PATHS = (
    *(
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
    ),
    *(
        "/v1beta/models/gemini-3:streamGenerateContent",
        "/v1beta/models/gemini-3:generateContent",
        "/api/chat",
        "/v1/rerank",
    ),
    *(
        "/model/anthropic.claude/invoke-with-response-stream",
        "/model/amazon.nova/converse",
        "/v2/chat",
        "/v1/images/generations",
    ),
)
TYPES = (
    *(
        b"application/json",
        b"text/event-stream",
        b"text/event-stream; charset=utf-8",
        b"application/x-ndjson",
        b"text/html",
    ),
    *(
        b"application/vnd.amazon.eventstream",
        b"",
        b"audio/mpeg",
        b"multipart/form-data; boundary=x",
        b"\xff\xfe",
        b"a" * 5000,
    ),
)
REQUEST_FIELDS = (
    *(
        "model",
        "messages",
        "stream",
        "max_tokens",
        "temperature",
        "top_p",
        "contents",
        "input",
        "prompt",
        "stream_options",
    ),
    *("max_completion_tokens", "generationConfig", "inferenceConfig", "system", "tools"),
)
ANSWER_FIELDS = (
    *(
        "model",
        "choices",
        "usage",
        "error",
        "id",
        "type",
        "message",
        "delta",
        "candidates",
        "usageMetadata",
        "response",
    ),
    *(
        "content",
        "output",
        "done",
        "eval_count",
        "finish_reason",
        "modelVersion",
        "status",
        "code",
        "detail",
        "metrics",
    ),
)
_USAGE = (
    *(
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_tokens",
        "output_tokens",
        "cost",
        "promptTokenCount",
    ),
    *(
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "prompt_tokens_details",
        "candidatesTokenCount",
        "cost_in_usd_ticks",
    ),
)
STATUSES = (200, 200, 200, 201, 204, 206, 400, 401, 403, 404, 429, 500, 503, 529, 599, 999)
LABELS = (
    *(value.encode("utf-8", "surrogatepass")[:3000] for value in TEXTS if not set(value) & set("\0\r\n")),
    b"\xff\xfe",
)


def begun(kind: str, numbers: random.Random) -> Exchange:
    """Return an exchange with an address and the headers of any, with secrets in all that carry one."""
    tls = numbers.random() < 0.15
    host = numbers.choice(TLS_HOSTS if tls else PLAIN_HOSTS)
    made = Exchange(kind, host, numbers.choice(PATHS), tls=tls, chunked=numbers.random() < 0.2)
    made.headers = [("Content-Type", numbers.choice(TYPES))]
    made.framing = numbers.choice((Framing.LENGTH, Framing.CHUNKED, Framing.CHUNKED, Framing.CLOSE))
    made.answer_headers = [("content-type", numbers.choice(TYPES))]
    return made


def question(**more: object) -> bytes:
    """Return a request's body, with a prompt that must not be kept."""
    # What lies between the model and the prompt is more than a mutation takes away.
    messages = [{"role": "user", "content": f"{'Why? ' * 30}prompt-{plants.MARK}-of-the-user"}]
    return json.dumps({"model": "gpt-5.5", "contents": [], "input": "x", **more, "messages": messages}).encode()


def usage(numbers: random.Random) -> bytes:
    """Return some counts."""
    return (
        b"{" + b",".join(b'"%b":%b' % (name.encode(), number(numbers)) for name in numbers.choices(_USAGE, k=4)) + b"}"
    )


def events(numbers: random.Random) -> bytes:
    """Return a stream of events, most of which make sense."""
    made = []
    for _ in range(numbers.randrange(12)):
        data = numbers.choice((
            b'{"model":"gpt-5.5","choices":[{"index":0,"delta":{"content":"answer-%b"}}]}' % plants.MARK.encode(),
            b'{"choices":[],"usage":%b}' % usage(numbers),
            b'{"type":"message_delta","delta":{"stop_reason":%b},"usage":%b}' % (text(numbers), usage(numbers)),
            b'{"type":"response.completed","response":{"model":%b,"usage":%b}}' % (text(numbers), usage(numbers)),
            b'{"candidates":[{"content":{"parts":[{"text":%b}]}}]}' % text(numbers),
            b'{"candidates":[],"usageMetadata":%b}' % usage(numbers),
            fields(numbers, ANSWER_FIELDS),
            b"[DONE]",
        ))  # fmt: skip
        name = numbers.choice((b"", b"", b"event: message_delta\n", b"event: error\n", b"event: \xff\n", b": ping\n\n"))
        made.append(name + b"data: " + data + numbers.choice((b"\n\n", b"\r\n\r\n", b"\r\r", b"\n")))
    return b"".join(made)

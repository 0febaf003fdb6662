"""Kinds of exchange that go over the wire as nobody expects: encodings, headers, lengths and ends."""

import random

from tests.support.provider.scenario import End, Framing
from tests.trials.hostile import codings, plants
from tests.trials.hostile.exchange import Exchange
from tests.trials.hostile.ordinary import LABELS, begun, events, question
from tests.trials.hostile.values import cut, mutated


def coded(numbers: random.Random) -> Exchange:
    """Return bodies that are encoded as their headers say."""
    made = begun("encoded", numbers)
    coding, made.body = codings.encoded(numbers, question(stream=True))
    made.headers.append(("Content-Encoding", coding))
    coding, body = codings.encoded(numbers, events(numbers))
    made.answer_headers = [("content-type", b"text/event-stream"), ("content-encoding", coding)]
    made.answer = cut(numbers, body)
    return made


def lying_coding(numbers: random.Random) -> Exchange:
    """Return bodies that are not encoded as their headers say, or are broken."""
    made = begun("lying encoding", numbers)
    made.body = numbers.choice((question(), mutated(numbers, codings.encoded(numbers, question())[1])))
    made.headers.append(("Content-Encoding", numbers.choice(codings.NAMES).replace("\0", "?").encode()))
    made.answer_headers.append(("content-encoding", numbers.choice(codings.NAMES).replace("\0", "?").encode()))
    made.answer = cut(numbers, mutated(numbers, codings.encoded(numbers, events(numbers) or b"{}")[1]))
    return made


def bomb(numbers: random.Random) -> Exchange:
    """Return a hundred megabytes of nothing, encoded."""
    made = begun("bomb", numbers)
    names = numbers.choice((("gzip",), ("br",), ("zstd",), ("deflate",), ("gzip", "gzip"), ("br", "zstd")))
    data, coding = codings.bomb(*names), ", ".join(names).encode()
    if numbers.random() < 0.5:
        made.body = data
        made.headers.append(("Content-Encoding", coding))
    else:
        made.body, made.answer = question(stream=True), cut(numbers, data)
        made.answer_headers = [("content-type", b"text/event-stream"), ("content-encoding", coding)]
    return made


def many_headers(numbers: random.Random) -> Exchange:
    """Return many, long and strange headers in both directions."""
    made = begun("headers", numbers)
    made.body = question()
    count = numbers.choice((1, 100, 1000))
    made.headers += [
        (numbers.choice(("x-a", f"x-{n}", "cookie", "x-key")), b"v" * numbers.choice((0, 10, 40))) for n in range(count)
    ]
    made.headers += [("User-Agent", numbers.choice(LABELS)), ("x-llm-origin", numbers.choice(LABELS))]
    made.headers += [
        ("traceparent", numbers.choice(LABELS)),
        ("x-stainless-retry-count", numbers.choice((b"1", b"-1", b"9" * 50))),
    ]
    names = (
        "x-request-id",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-remaining-tokens",
        "openai-processing-ms",
        "date",
    )
    made.answer_headers += [(name, numbers.choice((*LABELS, b"9" * 30, b"1e400", b"-5", b"nan"))) for name in names]
    made.answer_headers += [(f"x-{n}", b"w" * numbers.choice((0, 30))) for n in range(count)]
    made.answer = [b'{"model":"gpt-5.5","choices":[]}']
    return made


def lying_length(numbers: random.Random) -> Exchange:
    """Return an answer that is shorter than it says."""
    made = begun("lying length", numbers)
    made.body, made.answer = question(), cut(numbers, events(numbers))
    made.framing, made.more_promised, made.ends = Framing.LENGTH, numbers.choice((1, 100, 1 << 40)), End.CUT
    return made


def breaks_off(numbers: random.Random) -> Exchange:
    """Return an answer that is cut, or never begins."""
    made = begun("breaks off", numbers)
    made.body, made.answer, made.ends = question(stream=True), cut(numbers, events(numbers)), End.CUT
    made.framing, made.silent = Framing.CHUNKED, numbers.random() < 0.3
    return made


def client_leaves(numbers: random.Random) -> Exchange:
    """Return an endless answer, which the client leaves."""
    made = begun("client leaves", numbers)
    made.body, made.ends, made.framing = question(stream=True), End.HANG, Framing.CHUNKED
    made.answer = cut(numbers, events(numbers) + b"data: " + b"y" * numbers.choice((10, 1000, 100_000)))
    return made


def unknown_path(numbers: random.Random) -> Exchange:
    """Return a call that no format understands, perhaps with a secret in its path: it is counted, and has no row."""
    made = begun("unknown path", numbers)
    made.path = "/v1/odd/" + numbers.choice(
        ("x" * 20_000, "%00%1b", "..%2f..", f"sk-proj-{plants.MARK}", "a/" * 200, "\\'--")
    )
    made.body, made.answer, made.rows = question(), [b"{}"], 0
    return made

"""Kinds of exchange whose bodies say what nobody expects: odd, broken and absurd, and errors that quote secrets."""

import json
import random

from tests.trials.hostile import codings, plants
from tests.trials.hostile.exchange import Exchange
from tests.trials.hostile.ordinary import ANSWER_FIELDS, REQUEST_FIELDS, STATUSES, begun, events, question
from tests.trials.hostile.ordinary import usage as counts
from tests.trials.hostile.values import anything, cut, fields, mutated, number, text


def odd_json(numbers: random.Random) -> Exchange:
    """Return JSON with the names of fields that mean something, and any values."""
    made = begun("odd JSON", numbers)
    made.body = fields(numbers, REQUEST_FIELDS)
    made.answer = cut(numbers, fields(numbers, ANSWER_FIELDS))
    made.status = numbers.choice(STATUSES[:4] + STATUSES[5:])
    return made


def any_json(numbers: random.Random) -> Exchange:
    """Return any JSON."""
    made = begun("any JSON", numbers)
    made.body, made.answer = anything(numbers), cut(numbers, anything(numbers))
    return made


def stream(numbers: random.Random) -> Exchange:
    """Return a stream, cut anywhere."""
    made = begun("stream", numbers)
    made.body = question(stream=True)
    made.answer_headers = [("content-type", b"text/event-stream")]
    made.answer = cut(numbers, events(numbers))
    return made


def mutations(numbers: random.Random) -> Exchange:
    """Return what was right before some bytes changed."""
    made = begun("mutated", numbers)
    made.body = mutated(numbers, question(stream=True))
    made.answer_headers = [("content-type", numbers.choice((b"text/event-stream", b"application/json")))]
    made.answer = cut(numbers, mutated(numbers, events(numbers) or b"{}"))
    return made


def noise(numbers: random.Random) -> Exchange:
    """Return random bytes."""
    made = begun("noise", numbers)
    made.body = numbers.randbytes(numbers.choice((0, 1, 100, 5000)))
    made.answer = cut(numbers, numbers.randbytes(numbers.choice((0, 1, 100, 5000, 70_000))))
    return made


def usage(numbers: random.Random) -> Exchange:
    """Return an answer with absurd counts and a cost of any size."""
    made = begun("absurd usage", numbers)
    made.body = b'{"model":%b,"messages":[],"max_tokens":%b,"temperature":%b}' % (
        text(numbers),
        number(numbers),
        number(numbers),
    )
    made.answer_headers = [("content-type", b"application/json")]
    made.answer = [b'{"model":%b,"choices":[],"usage":%b}' % (text(numbers), counts(numbers))]
    return made


def quoted_secrets(numbers: random.Random) -> Exchange:
    """Return an error, or an answer, that quotes the request's own secrets in any spelling, in any place."""
    made = begun("quoted secrets", numbers)
    made.body = question()
    own = [plants.secret(numbers) for _ in range(4)]
    made.headers += [
        ("Authorization", f"Bearer {own[0]}".encode()),
        ("x-api-key", own[1].encode()),
        ("Cookie", f"theme=dark; session={own[2]}".encode()),
    ]
    made.path += f"?key={plants.QUOTED[1](own[3])}"
    said = numbers.choice(plants.QUOTED)(numbers.choice(own))
    error = {"type": "auth", "code": "bad", "message": f"Incorrect API key provided: {said}. See https://example.org"}
    error[numbers.choice(("type", "code", "message", "message"))] = f"bad {said}"
    made.answer_headers = [("content-type", b"application/json"), ("x-request-id", f"req_{own[0]}".encode())]
    made.status = numbers.choice((200, 400, 401, 403, 429, 500))
    body = json.dumps(
        {"error": error, "model": f"gpt {own[0]}", "usage": {"prompt_tokens": 1, own[0]: own[1]}}
    ).encode()
    if numbers.random() < 0.3:
        made.answer_headers[0] = ("content-type", b"text/event-stream")
        body = b"event: error\ndata: " + body + b"\n\n"
    if numbers.random() < 0.5:
        coding, body = codings.encoded(numbers, body)
        made.answer_headers.append(("content-encoding", coding))
    made.answer = cut(numbers, body)
    return made

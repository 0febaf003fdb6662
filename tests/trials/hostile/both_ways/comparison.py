"""The comparison of a conversation through two proxies; all that may differ is listed in docs/options.md."""

import re
import zlib
from typing import Final

from tests.trials.hostile.both_ways.wires import Message, Seen

_SPLICES: Final = (  # as JSON: what was put in, and what stood there
    (rb',"stream_options":\{"include_usage":true\}', b""),
    (rb'\{"include_usage":true\}', b"null"),
    (rb',?"include_usage":true', b""),
)
_FRAMING = re.compile(rb"(?i)\r\n(?:content-length|transfer-encoding|content-encoding): [^\r]*")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: [^\r]*")
_STREAM = b"text/event-stream"


def difference(without: Seen, with_it: Seen, *, client_left: bool) -> str:
    """Return what differs beyond what may; nothing if all is the same.

    Where the client has left, chance says how much of the last answer had come.
    """
    plain, changed = _sent(without), _sent(with_it)
    asked = [one for one in changed if not any(_same(one, other) for other in plain)]
    if not asked:
        return _other(without, with_it, client_left=client_left)
    odd = [one for one in asked if not any(_is_asked(one, other) for other in plain)]
    back = [] if odd else [_as_without(one, plain) for one in changed]
    repeated = len(back) > len(plain)
    if odd or (list({one.head: one for one in back}.values()) if repeated else back) != plain:
        return f"the provider got {_shown(changed)} and not {_shown(plain)}"
    if not repeated and [len(one) for one in _whole(without)] != [len(one) for one in _whole(with_it)]:
        return f"connections were used in another way: {with_it.requests} instead of {without.requests}"
    if not _alike(without.answers, with_it.answers, client_left=client_left):
        return f"the client got {_shown(with_it.answers)} and not {_shown(without.answers)}"
    return "" if without.ended == with_it.ended else f"the client saw {with_it.ended} and not {without.ended}"


def anything(plain: Seen, other: Seen, *, client_left: bool) -> str:
    """Return what differs at all; where the client has left, chance says how much of the last answer had come."""
    return _other(plain, other, client_left=client_left)


def _other(without: Seen, with_it: Seen, *, client_left: bool) -> str:
    if client_left:
        same = _alike(without.answers, with_it.answers, client_left=True)
    else:
        same = without.answers == with_it.answers
    if not same or without.ended != with_it.ended:
        return f"the client got {with_it.answers} {with_it.ended}, not {without.answers} {without.ended}"
    if _whole(without) != _whole(with_it):
        return f"the provider got {with_it.requests}, not {without.requests}"
    return ""


def _alike(answers: list[Message], others: list[Message], *, client_left: bool) -> bool:
    plain, changed = ([_decoded(one) for one in some] for some in (answers, others))
    if client_left and plain and changed:
        (_, one, _), (_, other, _) = last = plain[-1], changed[-1]
        if one.startswith(other) or other.startswith(one):
            plain[-1], changed[-1] = ((head, b"", True) for head, _, _ in last)
    return plain == changed


def _whole(seen: Seen) -> list[list[Message]]:
    """What was uploaded to its end: of other uploads the provider may learn nothing."""
    kept = [[one for one in requests if one.whole] for requests in seen.requests]
    return [requests for requests in kept if requests]


def _sent(seen: Seen) -> list[Message]:
    return [one for requests in _whole(seen) for one in requests]


def _same(one: Message, other: Message) -> bool:
    return one.head == other.head and one.body == other.body


def _is_asked(one: Message, other: Message) -> bool:
    """Tell whether `one` is `other` with the option put in, its length, and nothing else."""
    if _LENGTH.sub(b"", one.head) != _LENGTH.sub(b"", other.head):
        return False
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", one.head)
    if length and int(length[1]) != len(one.body):
        return False
    for put, taken in _SPLICES:
        for found in re.finditer(put, one.body):
            if one.body[: found.start()] + taken + one.body[found.end() :] == other.body:
                return True
    return False


def _as_without(one: Message, plain: list[Message]) -> Message:
    return next(other for other in plain if _same(one, other) or _is_asked(one, other))


def _decoded(answer: Message) -> tuple[bytes, bytes, bool]:
    """An answer without what says how a stream is written: its length and its coding."""
    if _STREAM not in answer.head.lower():
        return answer.head, answer.body, answer.whole
    body = answer.body
    if re.search(rb"(?i)\r\ncontent-encoding: gzip", answer.head):
        body = zlib.decompressobj(31).decompress(body)
    if not answer.whole:  # an event that has not come to its end is none
        body = body[: max(body.rfind(b"\n\n") + 2, body.rfind(b"\r\n\r\n") + 4)] if b"\n" in body else b""
    return _FRAMING.sub(b"", answer.head), body, answer.whole


def _shown(messages: list[Message]) -> str:
    return str([(one.head[-200:], one.body[:300], len(one.body), one.whole) for one in messages])[:1500]

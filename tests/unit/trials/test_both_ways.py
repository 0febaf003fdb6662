"""The comparison of a call with and without `metrics_include_usage` allows what is listed and finds all the rest."""

from copy import deepcopy

import pytest

from tests.trials.hostile.both_ways.comparison import difference
from tests.trials.hostile.both_ways.wires import Message, Seen

_BODY = b'{ "stream": true, "n":1 }'
_ASKED = b'{ "stream": true, "n":1 ,"stream_options":{"include_usage":true}}'
_SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%b\r\n\r\n"


def _request(body: bytes) -> Message:
    return Message(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body), body)


def _seen(body: bytes, framing: bytes) -> Seen:
    return Seen([Message(_SSE % framing, b"data: 1\n\n")], "open", [[_request(body)]])


def _both() -> tuple[Seen, Seen]:
    return _seen(_BODY, b"content-length: 9"), _seen(_ASKED, b"transfer-encoding: chunked")


def test_what_is_listed_may_differ() -> None:
    assert difference(*_both(), client_left=False) == ""
    without, with_it = _both()
    with_it.requests.append([_request(_BODY)])  # the call is made again
    assert difference(without, with_it, client_left=False) == ""
    assert difference(without, deepcopy(without), client_left=False) == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"n":1,"stream_options":{"include_usage":true}}',
        _ASKED.replace(b"1 ,", b"1,"),
        _ASKED + b" ",
        _BODY + b" ",
        _ASKED.replace(b"true}", b"false}"),
        b"",
    ],
)
def test_another_request_is_found(body: bytes) -> None:
    without, with_it = _both()
    with_it.requests = [[_request(body)]]
    assert difference(without, with_it, client_left=False)


def test_another_answer_end_or_use_of_connections_is_found() -> None:
    for where in ("body", "header", "whole", "end", "missing", "connection", "length"):
        without, with_it = _both()
        answer, request = with_it.answers[0], with_it.requests[0][0]
        if where == "body":
            answer.body += b"data: 2\n\n"
        elif where == "header":
            answer.head = answer.head.replace(b"200 OK", b"200 Ok")
        elif where == "whole":
            answer.whole = False
        elif where == "end":
            with_it.ended = "closed"
        elif where == "missing":
            with_it.answers.clear()
        elif where == "connection":
            without.requests[0].append(request := _request(_BODY + b"\n"))
            with_it.requests.append([request])
        else:
            request.head = request.head.replace(b"content-length: ", b"content-length: 1")
        assert difference(without, with_it, client_left=False), where


def test_what_was_not_asked_may_not_differ_at_all() -> None:
    without, with_it = _seen(_BODY, b"content-length: 9"), _seen(_BODY, b"transfer-encoding: chunked")
    assert difference(without, with_it, client_left=False)

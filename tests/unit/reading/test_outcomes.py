"""What ended an exchange, told from mitmproxy's words."""

import pytest

from llm_metrics_proxy.addon.outcomes import Cause, cause_of

_CUT = "HTTP/1 protocol error: peer closed connection without sending complete message body"
_NO_TRUST = "Certificate verify failed: unable to get local issuer certificate"
_BAD_LINE = "Cannot parse HTTP response: Bad HTTP response line: bytearray(b'hello')"
_BOTH = "Received message with both transfer-encoding and content-length headers from server, refusing to process it."

_BEFORE_ANSWER = {"uploading": False, "answered": False, "connected": True}
_UPLOADING = {"uploading": True, "answered": False, "connected": True}
_ANSWERING = {"uploading": False, "answered": True, "connected": True}
_UNCONNECTED = {"uploading": False, "answered": False, "connected": False}


@pytest.mark.parametrize(
    ("message", "state", "cause"),
    [
        ("Client disconnected.", _ANSWERING, Cause.CLIENT_DISCONNECT),
        ("Client disconnected.", _BEFORE_ANSWER, Cause.CLIENT_DISCONNECT),
        ("Client disconnected.", _UNCONNECTED, Cause.CLIENT_DISCONNECT),
        ("stream reset by client (CANCEL)", _ANSWERING, Cause.CLIENT_DISCONNECT),
        (f"{_CUT} (received 15 bytes, expected 1000)", _UPLOADING, Cause.CLIENT_DISCONNECT),
        (f"{_CUT} (incomplete chunked read)", _ANSWERING, Cause.UPSTREAM_DISCONNECT),
        (f"{_CUT} (received 6 bytes, expected 1000)", _ANSWERING, Cause.UPSTREAM_DISCONNECT),
        (f"{_CUT} (incomplete chunked read)", {**_ANSWERING, "uploading": True}, Cause.UPSTREAM_DISCONNECT),
        ("peer closed connection", _ANSWERING, Cause.UPSTREAM_DISCONNECT),
        ("stream reset by client (INTERNAL_ERROR)", _ANSWERING, Cause.UPSTREAM_DISCONNECT),
        ("server closed connection", _BEFORE_ANSWER, Cause.UPSTREAM_DISCONNECT),
        (_BAD_LINE, _BEFORE_ANSWER, Cause.UPSTREAM_DISCONNECT),
        (_BOTH, _BEFORE_ANSWER, Cause.UPSTREAM_DISCONNECT),
        (_NO_TRUST, _BEFORE_ANSWER, Cause.UPSTREAM_TLS),
        ("The remote server does not speak TLS.", _BEFORE_ANSWER, Cause.UPSTREAM_TLS),
        ("OpenSSL Error([('SSL routines', '', 'sslv3 alert handshake failure')])", _BEFORE_ANSWER, Cause.UPSTREAM_TLS),
        ("connection closed", _BEFORE_ANSWER, Cause.UPSTREAM_TLS),  # mitmproxy's word for a handshake that was cut
        ("[Errno 111] Connect call failed ('127.0.0.1', 9)", _UNCONNECTED, Cause.UPSTREAM_UNREACHABLE),
        ("[Errno -2] Name or service not known", _UNCONNECTED, Cause.UPSTREAM_UNREACHABLE),
        ("connection timed out", _UNCONNECTED, Cause.UPSTREAM_UNREACHABLE),
        (
            "Upstream proxy 192.0.2.1:3128 refused HTTP CONNECT request: 407 Auth",
            _BEFORE_ANSWER,
            Cause.UPSTREAM_UNREACHABLE,
        ),
        ("", _UNCONNECTED, Cause.UPSTREAM_UNREACHABLE),
    ],
)
def test_a_message_and_the_state_tell_the_cause(message: str, state: dict[str, bool], cause: Cause) -> None:
    assert cause_of(message, client_here=True, idle_too_long=False, **state) is cause


@pytest.mark.parametrize("state", [_ANSWERING, _BEFORE_ANSWER])
def test_a_client_that_left_after_a_long_silence_was_thrown_out(state: dict[str, bool]) -> None:
    assert cause_of("Client disconnected.", client_here=False, idle_too_long=True, **state) is Cause.TIMEOUT


def test_a_long_silence_alone_is_no_timeout() -> None:
    assert (
        cause_of("server closed connection", client_here=True, idle_too_long=True, **_BEFORE_ANSWER)
        is Cause.UPSTREAM_DISCONNECT
    )


@pytest.mark.parametrize("cause", Cause)
def test_a_client_that_left_by_itself_has_a_status_of_its_own(cause: Cause) -> None:
    assert cause.status_without_answer == (499 if cause is Cause.CLIENT_DISCONNECT else 502)

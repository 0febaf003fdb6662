"""Ends of exchanges, seen from the transport, in the words of the column `error_type`."""

import enum

STREAM_TRUNCATED = "stream_truncated"
"""HTTP ended cleanly, the format's own end never came."""


class Cause(enum.StrEnum):
    """The cause of an exchange's end."""

    COMPLETE = "complete"
    CLIENT_DISCONNECT = "client_disconnect"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TLS = "upstream_tls"
    UPSTREAM_DISCONNECT = "upstream_disconnect"
    TIMEOUT = "timeout"
    PROXY_SHUTDOWN = "proxy_shutdown"

    @property
    def status_without_answer(self) -> int:
        """The status code of a row whose client got no answer: 499 if it left by itself, 502 otherwise."""
        return 499 if self is Cause.CLIENT_DISCONNECT else 502


UNREACHED = (Cause.UPSTREAM_UNREACHABLE, Cause.UPSTREAM_TLS)
"""Nothing of the provider came: what the operating system or TLS says is all there is to say."""

# mitmproxy's words for a client that has gone. HTTP/2 says "client" of either side; only clients cancel.
_CLIENT_GONE = ("Client disconnected.", "stream reset by client (CANCEL)")
_CUT_OFF = "peer closed connection without sending complete message body"
_CANNOT_CONNECT = ("[Errno", "Connect call failed", "Name or service not known", "Upstream proxy", "timed out")
_TLS_FAILED = ("Certificate verify failed", "TLS", "SSL")
_NO_TLS = "connection closed"  # during the handshake, by a server that speaks no TLS


def cause_of(  # noqa: PLR0913 - what the connections tell
    message: str, *, client_here: bool, uploading: bool, answered: bool, connected: bool, idle_too_long: bool
) -> Cause:
    """Tell from mitmproxy's error message, and from how far the exchange had come, what ended it.

    Args:
        message: mitmproxy's text; it does not tell which side an incomplete body belongs to.
        client_here: the client's connection was still open.
        uploading: the request's body was not complete.
        answered: the answer's headers had come.
        connected: TCP to the provider, or to the next proxy, was up.
        idle_too_long: nothing had passed for mitmproxy's `tcp_timeout`, which it reports as a client that left.
    """
    if message.startswith(_CLIENT_GONE) or not client_here:
        return Cause.TIMEOUT if idle_too_long else Cause.CLIENT_DISCONNECT
    if _CUT_OFF in message and uploading and not answered:
        return Cause.CLIENT_DISCONNECT
    if answered:
        return Cause.UPSTREAM_DISCONNECT
    if message == _NO_TLS or any(sign in message for sign in _TLS_FAILED):
        return Cause.UPSTREAM_TLS
    if not connected or any(sign in message for sign in _CANNOT_CONNECT):
        return Cause.UPSTREAM_UNREACHABLE
    return Cause.UPSTREAM_DISCONNECT

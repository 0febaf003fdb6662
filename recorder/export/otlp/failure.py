"""Failed requests and their consequences, as data: HTTP's status codes and those of grpc.

The OTLP specification names the codes after which a request may be repeated. We repeat after each 5xx but 501: the rows
wait in the database anyway, and an error inside a receiver is more often its store than a row. Nothing that a server
wrote into its answer is repeated: it may hold a key or values of rows.
"""

from collections.abc import Mapping
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, NamedTuple

LONGEST_WAIT: Final = 300.0  # seconds; a receiver cannot ask for more


class Verdict(Enum):
    """The consequence of a failure."""

    AGAIN = auto()  # later
    REFUSED = auto()  # not what was sent, whenever it is sent
    ABSENT = auto()  # nothing there takes this signal
    FATAL = auto()  # not before somebody does something about it


class Failure(Exception):  # noqa: N818 - caught where it is thrown, and turned into what `Destination` raises
    """A request that did not succeed; `str` says what the receiver does, without secrets: "is busy (HTTP 503)"."""

    def __init__(self, verdict: Verdict, reason: str, cure: str = "", wait: float = 0.0) -> None:
        """`cure` is the imperative that helps; `wait` the seconds for which the receiver asked, if it did."""
        super().__init__(reason)
        self.verdict, self.cure, self.wait = verdict, cure, min(wait, LONGEST_WAIT)


class Finding(NamedTuple):
    """The meaning of a code."""

    verdict: Verdict
    what: str
    cure: str = ""


CREDENTIALS: Final = Finding(
    Verdict.FATAL, "refuses the credentials", "put its credentials into OTEL_EXPORTER_OTLP_HEADERS (name=value)"
)
NOTHING_THERE: Final = Finding(
    Verdict.ABSENT, "has nothing there that takes OTLP", "give the base URL of the receiver, and see --protocol"
)
_ELSEWHERE: Final = Finding(Verdict.FATAL, "sends on to another address", "give that address itself")
_BUSY: Final = Finding(Verdict.AGAIN, "is busy")
_REFUSED: Final = Finding(Verdict.REFUSED, "refuses what was sent")
TOO_LARGE: Final = Finding(Verdict.REFUSED, "says that the request is too large")

_STATUSES: Final[Mapping[int, Finding]] = {
    401: CREDENTIALS,
    403: CREDENTIALS,
    404: NOTHING_THERE,
    405: NOTHING_THERE,
    407: Finding(Verdict.FATAL, "is behind a proxy that refuses the credentials", "put them into the proxy's URL"),
    408: _BUSY,
    410: NOTHING_THERE,
    413: TOO_LARGE,
    415: NOTHING_THERE,
    429: _BUSY,
    501: NOTHING_THERE,
}
_CLASSES: Final = (Finding(Verdict.AGAIN, "does not speak HTTP"), _BUSY, _BUSY, _ELSEWHERE, _REFUSED, _BUSY)

_CODES: Final[Mapping[str, Finding]] = {
    "INVALID_ARGUMENT": _REFUSED,
    "FAILED_PRECONDITION": _REFUSED,
    "UNAUTHENTICATED": CREDENTIALS,
    "PERMISSION_DENIED": CREDENTIALS,
    "UNIMPLEMENTED": NOTHING_THERE,
    "NOT_FOUND": NOTHING_THERE,
}


def of_status(status: int, wait: float) -> Failure:
    """The failure that an HTTP status of 300 and more means."""
    group = status // 100
    found = _STATUSES.get(status) or (_CLASSES[group] if group < len(_CLASSES) else _CLASSES[0])
    known = next((f" {one.phrase}" for one in HTTPStatus if one == status), "")
    return Failure(found.verdict, f"{found.what} (HTTP {status}{known})", found.cure, wait)


def of_code(code: str, *, too_large: bool, wait: float) -> Failure:
    """The failure that a status of grpc means, by its name."""
    found = TOO_LARGE if too_large else _CODES.get(code, _BUSY)
    return Failure(found.verdict, f"{found.what} (grpc {code})", found.cure, wait)


def not_sent() -> Failure:
    """That the SDK did not even try: what was to be sent cannot be encoded, or has more than 64 MiB."""
    return Failure(Verdict.REFUSED, "was sent nothing: the spans cannot be encoded, or have more than 64 MiB")


def bad_headers() -> Failure:
    """That the headers of the environment are none."""
    what = "cannot be asked: the value of OTEL_EXPORTER_OTLP_HEADERS cannot be sent"
    return Failure(Verdict.FATAL, what, "write it as name=value,name=value")


def bad_certificate() -> Failure:
    """That a file of certificates cannot be read."""
    return Failure(
        Verdict.FATAL,
        "cannot be asked: a file of certificates is missing or invalid",
        "see OTEL_EXPORTER_OTLP_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    )


def untrusted() -> Failure:
    """That the receiver's certificate is not trusted."""
    return Failure(
        Verdict.FATAL, "has a certificate that is not trusted", "name its CA's file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    )


def unreached(reason: str) -> Failure:
    """That there was no answer."""
    return Failure(Verdict.AGAIN, reason)

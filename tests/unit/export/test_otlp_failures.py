"""What an exporter to OTLP says and does when the receiver does not take what it is sent."""

import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.events import new_event_id, timestamp_of
from llm_metrics_proxy.recorder.export import Batch, Row, Unacceptable, Unavailable, outbox
from llm_metrics_proxy.recorder.export.otlp import Otlp, endpoint, sender
from llm_metrics_proxy.recorder.store.exporters import Position
from tests.support.exporting import otlp_receiver
from tests.support.exporting.otlp_receiver import CODE, METRICS, TRACES, Answer, Receiver, Refusal
from tests.support.provider.scenario import Scenario
from tests.support.provider.server import Provider
from tests.support.waiting import eventually

HERE = Position(0, 0)
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with otlp_receiver.by_http() as receiver:
        yield receiver


@pytest.fixture
def by_grpc() -> Iterator[Receiver]:
    with otlp_receiver.by_grpc() as receiver:
        yield receiver


class Trickling:
    """A receiver that takes what comes, says `first`, and then a byte at a time, for ever."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.left = 0  # clients that have gone

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._trickle, args=(self._server.accept()[0],), daemon=True).start()

    def _trickle(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(1 << 16)
            client.sendall(self._first)
            while True:
                time.sleep(0.05)
                client.sendall(b"x")
        self.left += 1


def connected(receiver: Receiver, protocol: str = "http/protobuf") -> Any:  # noqa: ANN401 - closing() of an Otlp
    to = Otlp(receiver.url, protocol, "host-1")
    to.connect("source-1")
    receiver.asked.clear()
    return closing(to)


def call() -> Row:
    now = time.time_ns() - 2_000_000_000
    fields = {
        "timestamp": timestamp_of(now),
        "event_id": new_event_id(now // 1_000_000),
        "success": 1,
        "response_time_ms": 1_000,
        "model": SECRET,
    }
    return tuple(fields.get(name) for name in outbox.COLUMNS)


def closed_port() -> tuple[socket.socket, int]:
    """A port on which nobody listens, for as long as the socket is open."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    return kept, kept.getsockname()[1]


STATUSES = [
    (429, Unavailable, r"it is busy \(HTTP 429 Too Many Requests\)"),
    (500, Unavailable, r"it is busy \(HTTP 500 Internal Server Error\)"),
    (502, Unavailable, r"HTTP 502"),
    (503, Unavailable, r"HTTP 503"),
    (599, Unavailable, r"it is busy \(HTTP 599\)"),
    (400, Unacceptable, r"it refuses what was sent \(HTTP 400 Bad Request\)"),
    (422, Unacceptable, r"HTTP 422"),
    (413, Unacceptable, r"it says that the request is too large \(HTTP 413"),
    (401, ExportFailed, r"refuses the credentials \(HTTP 401 Unauthorized\): .* OTEL_EXPORTER_OTLP_HEADERS"),
    (403, ExportFailed, r"refuses the credentials"),
    (404, ExportFailed, r"has nothing there that takes OTLP \(HTTP 404 Not Found\): give the base URL"),
    (405, ExportFailed, r"has nothing there"),
]


@pytest.mark.parametrize(("status", "kind", "says"), STATUSES, ids=[str(one[0]) for one in STATUSES])
def test_each_status_of_http_has_its_consequence(
    receiver: Receiver, status: int, kind: type[Exception], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(receiver) as to:
        receiver.answer = lambda _path: Answer(status, body=f"your key {SECRET} is wrong".encode())
        with pytest.raises(kind, match=says) as raised:
            to.send(Batch([call(), call()], HERE))
        assert receiver.paths() == [TRACES]  # once
        assert SECRET not in str(raised.value)
        receiver.answer = lambda _path: Answer()
        to.send(Batch([call()], HERE))
    assert len(receiver.spans()) == 3
    assert capfd.readouterr() == ("", "")


CODES = [
    (Refusal(CODE.UNAVAILABLE, "draining"), Unavailable, r"it is busy \(grpc UNAVAILABLE\)"),
    (Refusal(CODE.RESOURCE_EXHAUSTED, "quota"), Unavailable, r"it is busy"),
    (Refusal(CODE.INTERNAL), Unavailable, r"it is busy"),
    (Refusal(CODE.INVALID_ARGUMENT, SECRET), Unacceptable, r"it refuses what was sent \(grpc INVALID_ARGUMENT\)"),
    (
        Refusal(CODE.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)"),
        Unacceptable,
        r"it says that the request is too large",
    ),
    (Refusal(CODE.UNAUTHENTICATED, SECRET), ExportFailed, r"refuses the credentials .* OTEL_EXPORTER_OTLP_HEADERS"),
    (Refusal(CODE.PERMISSION_DENIED), ExportFailed, r"refuses the credentials"),
    (Refusal(CODE.UNIMPLEMENTED), ExportFailed, r"has nothing there that takes OTLP"),
]


@pytest.mark.parametrize(("refusal", "kind", "says"), CODES, ids=[str(n) for n in range(len(CODES))])
def test_each_code_of_grpc_has_its_consequence(
    by_grpc: Receiver, refusal: Refusal, kind: type[Exception], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(by_grpc, "grpc") as to:
        by_grpc.refusal = lambda _path: refusal
        with pytest.raises(kind, match=says) as raised:
            to.send(Batch([call()], HERE))
        assert by_grpc.paths() == [TRACES]  # once
        assert SECRET not in str(raised.value)
        by_grpc.refusal = lambda _path: None
        to.send(Batch([call()], HERE))
    assert len(by_grpc.spans()) == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["/elsewhere", TRACES])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_neither_followed_nor_a_success(receiver: Receiver, status: int, path: str) -> None:
    with otlp_receiver.by_http() as other, connected(receiver) as to:
        receiver.answer = lambda _path: Answer(status, {"location": f"{other.url}{path}?{SECRET}"})
        with pytest.raises(ExportFailed, match=r"sends on to another address .* give that address itself") as raised:
            to.send(Batch([call()], HERE))
        assert SECRET not in str(raised.value)
        assert other.asked == []


def test_what_the_receiver_asks_to_be_waited_for_is_waited_for(receiver: Receiver) -> None:
    with connected(receiver) as to:
        receiver.answer = lambda _path: Answer(503, {"retry-after": "0.3"})
        with pytest.raises(Unavailable):
            to.send(Batch([call()], HERE))
        receiver.answer = lambda _path: Answer()
        with pytest.raises(Unavailable, match=r"it asked for 1 s more of patience"):
            to.connect("source-1")
        assert receiver.paths() == [TRACES]
        time.sleep(0.3)
        to.connect("source-1")
        to.send(Batch([call()], HERE))


@pytest.mark.parametrize("text", ["99999999999", "inf", "Fri, 31 Dec 2100 23:59:59 +0000"])
def test_nobody_is_waited_for_longer_than_five_minutes(receiver: Receiver, text: str) -> None:
    with connected(receiver) as to:
        receiver.answer = lambda _path: Answer(429, {"retry-after": text})
        with pytest.raises(Unavailable):
            to.send(Batch([call()], HERE))
        with pytest.raises(Unavailable, match=r"it asked for (300|299) s more"):
            to.send(Batch([call()], HERE))


@pytest.mark.parametrize("text", ["", "soon", "-5", "nan", "Wed, 99 Foo"])
def test_a_wait_that_is_none_is_none(receiver: Receiver, text: str) -> None:
    with connected(receiver) as to:
        receiver.answer = lambda _path: Answer(503, {"retry-after": text})
        with pytest.raises(Unavailable):
            to.send(Batch([call()], HERE))
        receiver.answer = lambda _path: Answer()
        to.send(Batch([call()], HERE))


def test_grpc_says_in_its_own_way_how_long_to_wait(by_grpc: Receiver) -> None:
    info = RetryInfo(retry_delay=Duration(seconds=42)).SerializeToString()
    with connected(by_grpc, "grpc") as to:
        by_grpc.refusal = lambda _path: Refusal(CODE.UNAVAILABLE, metadata=(("google.rpc.retryinfo-bin", info),))
        for says in (r"it is busy", r"it asked for 42 s more"):
            with pytest.raises(Unavailable, match=says):
                to.send(Batch([call()], HERE))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nobody_listens(protocol: str, capfd: pytest.CaptureFixture[str]) -> None:
    kept, port = closed_port()
    with kept, closing(Otlp(f"http://127.0.0.1:{port}/", protocol, "host-1")) as to:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"^it refuses connections$"):
            to.connect("source-1")
        assert time.monotonic() - began < 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_name_that_nobody_knows(protocol: str) -> None:
    to = Otlp("http://nobody.invalid:4318", protocol, "host-1")
    with closing(to), pytest.raises(Unavailable, match=r"^it has a name that is not known$"):
        to.connect("source-1")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_who_never_answers_is_not_waited_for(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with closing(Otlp(address, protocol, "host-1")) as to:
            began = time.monotonic()
            with pytest.raises(Unavailable, match=r"^it does not answer in time$"):
                to.connect("source-1")
            assert 0.2 < time.monotonic() - began < 2


HTTP1 = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\nX-Slow: "
HTTP2 = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x40\x00\x01\x04\x00\x00\x00\x01"  # SETTINGS, and a part of HEADERS
TRICKLES = {
    "a status line": ("http/protobuf", "http", b"HTTP/1.1 20"),
    "headers": ("http/protobuf", "http", HTTP1),
    "a body": ("http/protobuf", "http", HTTP1 + b"\r\n\r\n"),
    "a body that the end of the connection ends": (
        "http/protobuf",
        "http",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ),
    "a body in chunks": ("http/protobuf", "http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n"),
    "provisional answers": ("http/protobuf", "http", b"HTTP/1.1 103 Early Hints\r\nX-A: "),
    "an error": ("http/protobuf", "http", b"HTTP/1.1 503 Busy\r\nContent-Length: 9000\r\n\r\n"),
    "a handshake of TLS": ("http/protobuf", "https", b"\x16\x03\x03\x40\x00"),
    "frames of HTTP/2": ("grpc", "http", HTTP2),
    "a handshake of TLS before HTTP/2": ("grpc", "https", b"\x16\x03\x03\x40\x00"),
}


@pytest.mark.parametrize("what", TRICKLES)
def test_who_trickles_an_answer_holds_nothing_longer_than_the_deadline(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol, scheme, first = TRICKLES[what]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.6")
    with Trickling(first) as receiver:
        began = time.monotonic()
        with closing(Otlp(f"{scheme}://127.0.0.1:{receiver.port}", protocol, "host-1")) as to:
            for attempt in (1, 2):
                with pytest.raises(Unavailable, match=r"^it does not answer in time$"):
                    to.connect("source-1")
                assert 0.5 * attempt < time.monotonic() - began < 1.2 * attempt + 0.5
        assert time.monotonic() - began < 3  # nor does the end wait
        # What nobody waits for any more has ended on both sides.
        eventually(lambda: receiver.left == 2 or protocol == "grpc")
        eventually(lambda: not [one for one in threading.enumerate() if one.name == "otlp-request"])


@pytest.mark.parametrize(
    ("wanted", "seconds"), [("10000", 7.0), ("", 7.0), ("soon", 7.0), ("0", 7.0), ("-1", 7.0), ("2.5", 2.5)]
)
def test_a_request_never_takes_longer_than_half_of_what_a_batch_may(
    wanted: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", wanted)
    assert sender.seconds("TRACES") == seconds
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1")
    assert (sender.seconds("TRACES"), sender.seconds("METRICS")) == (1.0, seconds)


def test_who_breaks_off_is_asked_again(receiver: Receiver) -> None:
    with connected(receiver) as to:
        receiver.closing.set()  # what hangs ends at once
        receiver.answer = lambda _path: Answer(hangs=True)
        with pytest.raises(Unavailable, match=r"^it broke the connection$"):
            to.send(Batch([call()], HERE))
        receiver.answer = lambda _path: Answer()
        to.send(Batch([call()], HERE))


def test_metrics_that_fail_are_sent_with_the_next_attempt_and_count_once(receiver: Receiver) -> None:
    rows = [call(), call()]
    with connected(receiver) as to:
        receiver.answer = lambda path: Answer(503 if path == METRICS else 200)
        for _ in range(3):
            with pytest.raises(Unavailable, match="HTTP 503"):
                to.send(Batch(rows, HERE))
        receiver.answer = lambda _path: Answer()
        to.send(Batch([*rows, call()], HERE))  # meanwhile there is one more
        (point,) = receiver.points("gen_ai.client.operation.duration")
        assert point.count == 3


def test_deltas_that_fail_are_not_lost(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    rows = [call(), call()]
    with connected(receiver) as to:
        receiver.answer = lambda path: Answer(503 if path == METRICS else 200)
        with pytest.raises(Unavailable, match="HTTP 503"):
            to.send(Batch(rows, HERE))
        receiver.asked.clear()
        receiver.answer = lambda _path: Answer()
        to.send(Batch([*rows, call()], HERE))
    counts = []
    while receiver.asked:
        counts += [point.count for point in receiver.points("gen_ai.client.operation.duration")]
        receiver.asked.pop()
    assert sorted(set(counts)) == [1, 2]


def test_who_takes_spans_alone_gets_spans_alone(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answer = lambda path: Answer(404 if path == METRICS else 200)
    with connected(receiver) as to:
        for _ in range(3):
            to.send(Batch([call()], HERE))
    assert receiver.paths() == [TRACES, METRICS, TRACES, TRACES]
    (said,) = (one.getMessage() for one in caplog.records if one.name.startswith("llm_metrics_proxy."))
    assert said.startswith(f"otlp {receiver.url} takes spans alone: for metrics it has nothing there")


def test_metrics_that_nobody_wants_hold_up_no_span(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answer = lambda path: Answer(413 if path == METRICS else 200)
    with connected(receiver) as to:
        for _ in range(3):
            to.send(Batch([call()], HERE))
    assert receiver.paths() == [TRACES, METRICS] * 3
    assert caplog.text.count("did not take metrics: it says that the request is too large") == 1


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_spans_that_are_rejected_are_counted(request: pytest.FixtureRequest, protocol: str) -> None:
    receiver: Receiver = request.getfixturevalue("by_grpc" if protocol == "grpc" else "receiver")
    partial = ExportTracePartialSuccess(rejected_spans=3, error_message=SECRET)
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with connected(receiver, protocol) as to:
        receiver.answer = lambda path: Answer(body=body if path == TRACES else b"")
        receiver.rejects = 3
        assert to.send(Batch([call()] * 5, HERE)) == 3


def test_an_answer_that_is_not_protobuf_is_one_all_the_same(receiver: Receiver) -> None:
    with connected(receiver) as to:
        receiver.answer = lambda _path: Answer(body=b"OK, \xff thanks")
        assert to.send(Batch([call()], HERE)) == 0


def test_who_dislikes_an_empty_request_is_there(receiver: Receiver) -> None:
    receiver.answer = lambda _path: Answer(400)
    with connected(receiver) as to, pytest.raises(Unacceptable):
        to.send(Batch([call()], HERE))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_unknown_authority_is_named_as_such(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Provider(lambda _request: Scenario()) as server:
        to = Otlp(f"https://localhost:{server.port}", protocol, "host-1")
        says = r"not trusted: name its CA's file in OTEL_EXPORTER_OTLP_CERTIFICATE"
        with closing(to), pytest.raises(ExportFailed, match=says):
            to.connect("source-1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "for-other-programs.pem"))
        if protocol == "grpc":  # the provider speaks no HTTP/2
            return
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(server.authority.write(tmp_path / "ca.pem")))
        with closing(Otlp(f"https://localhost:{server.port}", protocol, "host-1")) as to:
            to.connect("source-1")
    assert capfd.readouterr() == ("", "")


def test_a_file_of_certificates_that_is_missing(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "missing.pem"))
    to = Otlp(receiver.url.replace("http:", "https:"), None, "host-1")
    with closing(to), pytest.raises(ExportFailed, match=r"see OTEL_EXPORTER_OTLP_CERTIFICATE"):
        to.connect("source-1")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_header_that_cannot_be_sent_is_not_shown(
    request: pytest.FixtureRequest, protocol: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver: Receiver = request.getfixturevalue("by_grpc" if protocol == "grpc" else "receiver")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={SECRET}%0d%0ax:%201")
    to = Otlp(receiver.url, protocol, "host-1")
    with closing(to), pytest.raises(ExportFailed, match="OTEL_EXPORTER_OTLP_HEADERS") as raised:
        to.connect("source-1")
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "protocol"), [("COMPRESSION", "grpc"), ("TRACES_TIMEOUT", "grpc")])
def test_a_setting_that_the_sdk_cannot_use(name: str, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", SECRET)
    to = Otlp("http://127.0.0.1:1", protocol, "host-1")
    with closing(to), pytest.raises(ExportFailed, match="look at the variables that begin with OTEL_EX") as raised:
        to.connect("source-1")
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("endpoint", "protocol", "says"),
    [
        ("", "http/protobuf", "no URL"),
        ("collector:4318", "http/protobuf", "no URL"),
        ("localhost", "grpc", "no URL"),
        (f"ftp://u:{SECRET}@collector", "http/protobuf", "no URL"),
        (f"http://u:{SECRET}@collector:port", "http/protobuf", "no URL"),
        (f"http://u:{SECRET}@[::1", "http/protobuf", "no URL"),
        (f"http://coll ector/{SECRET}", "http/protobuf", "no URL"),
        (f"http://collector/\x1b{SECRET}", "http/protobuf", "no URL"),
        (f"http://u:{SECRET}@collector/v1/traces", "http/protobuf", "is added to it"),
        (f"http://u:{SECRET}@collector:4317", "grpc", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://collector:4317/prefix", "grpc", "a host and a port alone"),
        ("http://collector:4318", "http/json", "--protocol or in OTEL_EXPORTER_OTLP_PROTOCOL"),
        ("http://collector:4318", SECRET, "by http/protobuf and grpc"),
    ],
)
def test_what_is_no_endpoint_is_refused_at_once(endpoint: str, protocol: str, says: str) -> None:
    with pytest.raises(ExportFailed, match=says) as raised:
        Otlp(endpoint, protocol, "host-1")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("http://collector:4318", "otlp http://collector:4318"),
        (f"https://u:{SECRET}@Collector.example/otlp/?key={SECRET}", "otlp https://collector.example:443/otlp"),
        ("http://[::1]:4318/", "otlp http://[::1]:4318"),
    ],
)
def test_a_name_has_nothing_that_is_secret(endpoint: str, name: str) -> None:
    assert Otlp(endpoint, "http/protobuf", "host-1").name == name


@pytest.mark.parametrize(
    ("proxy", "here"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://user:x@localhost:8080", True),
        ("127.0.0.7:8080", True),
        ("http://[::1]:8080", True),
        ("http://0.0.0.0:8080", True),
        ("http://proxy.example:3128", False),
        ("http://10.0.0.1:3128", False),
        ("", False),
        ("http://[::1", False),
    ],
)
def test_a_proxy_on_this_machine_is_known(proxy: str, here: bool) -> None:  # noqa: FBT001 - expected
    assert endpoint.is_here(proxy) is here


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_telemetry_does_not_go_through_a_proxy_on_this_machine(
    request: pytest.FixtureRequest, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver: Receiver = request.getfixturevalue("by_grpc" if protocol == "grpc" else "receiver")
    kept, port = closed_port()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://billing:x@127.0.0.1:{port}")
    with kept, connected(receiver, protocol) as to:
        to.send(Batch([call()], HERE))
    assert len(receiver.spans()) == 1


def test_telemetry_goes_through_a_proxy_elsewhere(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    with closing(Otlp(receiver.url, None, "host-1")) as to:
        with pytest.raises(Unavailable, match=r"^it is not reached through the proxy of the environment$"):
            to.connect("source-1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        to.connect("source-1")


def test_the_sdk_logs_nothing_by_itself(receiver: Receiver) -> None:
    with connected(receiver) as to:
        receiver.answer = lambda _path: Answer(503)
        with pytest.raises(Unavailable):
            to.send(Batch([call()], HERE))
    assert logging.getLogger("opentelemetry.exporter.otlp").hasHandlers()
    assert not logging.getLogger("opentelemetry").propagate

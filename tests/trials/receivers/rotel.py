"""Rotel, a collector with a decoder and an encoder of its own: what it passes on of spans and metrics is all there.

OpenTelemetry's own collector is in none of the registries that packages come from here.
"""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.support.exporting import otlp_receiver
from tests.support.exporting.otlp_receiver import Receiver, attributes
from tests.support.ports import free_port, listens
from tests.support.rig import Rig
from tests.support.waiting import eventually
from tests.trials.receivers import environments, server, traced

PACKAGE = "rotel==0.0.1a15"
_METRICS = (
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
)


def problems(rig: Rig, folder: Path, _picture: Path | None) -> Iterator[str]:
    """Say what is not as it should be."""
    (agent,) = environments.make("rotel", PACKAGE).glob("lib/python*/site-packages/rotel/rotel-agent")
    http, grpc = free_port(), free_port()
    with otlp_receiver.by_http() as behind:
        ports = ["--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
        on = ["--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", behind.url]
        library = {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}  # it links libpython
        with server.running(
            [agent, "start", *ports, *on, "--disable-batching"],
            folder,
            library,
            lambda: listens(http) and listens(grpc),
        ):
            for protocol, port in (("http/protobuf", http), ("grpc", grpc)):
                behind.asked.clear()
                its = traced.call(rig, f"http://127.0.0.1:{http}")
                with otlp_receiver.by_http() as direct:
                    traced.export(rig, its.row, direct.url)
                    traced.export(rig, its.row, f"http://127.0.0.1:{port}", protocol)
                    for problem in _problems(behind, direct):
                        yield f"by {protocol}: {problem}"


def _problems(behind: Receiver, direct: Receiver) -> Iterator[str]:
    eventually(lambda: len(behind.spans()) > 2 and behind.points(_METRICS[0]))
    clients = [span for span in behind.spans() if span.name == traced.CLIENT_SPAN]
    ours = [span for span in behind.spans() if span.name != traced.CLIENT_SPAN]
    if len(clients) != 1 or ours != direct.spans():
        yield f"{len(clients)} spans of the client, and of ours {len(ours)} instead of {len(direct.spans())}"
    elif any((one.trace_id, one.parent_span_id) != (clients[0].trace_id, clients[0].span_id) for one in ours):
        yield "our span is no child of the client's"
    for name in _METRICS:
        seen, true = (
            [(attributes(one.attributes), one.sum, one.count) for one in there.points(name)]
            for there in (behind, direct)
        )
        if seen != true or not true:
            yield f"{name}: {seen} instead of {true}"

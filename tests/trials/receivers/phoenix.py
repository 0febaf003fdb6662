"""Arize Phoenix, which shows traces of LLM calls: what its own API and its page say of a traced call.

It takes spans alone, by HTTP and by grpc on two ports. Its database is a file in the folder of the run.
"""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.ports import free_port, listens
from tests.support.rig import Rig
from tests.support.waiting import eventually
from tests.trials.receivers import environments, server, traced
from tests.trials.receivers.traced import Traced

PACKAGE = "arize-phoenix==20.26.1"

_TRACE = """
    query ($trace: String!) {
        trace: getTraceByOtelId(traceId: $trace) {
            rootSpan { name }
            spans(first: 10) { edges { node {
                id name spanId parentId spanKind statusCode latencyMs
                tokenCountPrompt tokenCountCompletion tokenCountTotal cumulativeTokenCountTotal events { name }
            } } }
            project { id }
        }
    }
"""
_BROWSER = ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,900")
_DRAWN_MS = 15_000


def problems(rig: Rig, folder: Path, picture: Path | None) -> Iterator[str]:
    """Say what is not as it should be; the page of a trace is drawn into `picture`."""
    place = environments.make("phoenix", PACKAGE)
    http, grpc = free_port(), free_port()
    url = f"http://127.0.0.1:{http}"
    environment = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    with server.running(
        [place / "bin" / "phoenix", "serve"], folder, environment, lambda: listens(http) and listens(grpc)
    ):
        for protocol, endpoint in (("http/protobuf", url), ("grpc", f"http://127.0.0.1:{grpc}")):
            its = traced.call(rig, url)
            traced.export(rig, its.row, endpoint, protocol)
            for problem in _problems(url, its):
                yield f"by {protocol}: {problem}"
            if picture and protocol == "grpc":
                trace = _trace(url, its)
                ours = next(span["id"] for span in trace["spans"] if span["parentId"])
                page = f"{url}/projects/{trace['project']['id']}/traces/{_trace_id(its)}"
                _draw(f"{page}?selectedSpanNodeId={ours}", picture)


def _problems(url: str, its: Traced) -> Iterator[str]:
    found = eventually(lambda: trace if len((trace := _trace(url, its)).get("spans", ())) > 1 else None)
    if found is None:
        yield "the trace does not have both spans"
        return
    spans = {span["name"]: span for span in found["spans"]}
    ours, clients = spans.pop(f"chat {traced.MODEL}", {}), spans.pop(traced.CLIENT_SPAN, {})
    row = its.row
    truth = {
        "the root": (found["root"], traced.CLIENT_SPAN),
        "other spans": (sorted(spans), []),
        "number of spans": (len(found["spans"]), 2),
        "our parent": (ours.get("parentId"), clients.get("spanId", "")),
        "our id": (ours.get("spanId"), row["event_id"][16:]),
        "our kind": (ours.get("spanKind"), "llm"),
        "our latency": (ours.get("latencyMs"), row["response_time_ms"]),
        "input tokens": (ours.get("tokenCountPrompt"), row["prompt_tokens"]),
        "output tokens": (ours.get("tokenCountCompletion"), row["completion_tokens"]),
        "tokens of the trace": (clients.get("cumulativeTokenCountTotal"), row["total_tokens"]),
        "events": (
            [one["name"] for one in ours.get("events", ())],
            ["llm_metrics.first_chunk", "llm_metrics.first_token"],
        ),
    }
    yield from (f"{what}: {seen!r} instead of {true!r}" for what, (seen, true) in truth.items() if seen != true)


def _trace(url: str, its: Traced) -> dict[str, Any]:
    asked = json.dumps({"query": _TRACE, "variables": {"trace": _trace_id(its)}}).encode()
    request = urllib.request.Request(f"{url}/graphql", asked, {"content-type": "application/json"})  # noqa: S310 - ours
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        told = json.load(answer)
    if told.get("errors"):
        msg = f"Phoenix does not know the question: {told['errors']}"
        raise RuntimeError(msg)
    if not (found := told["data"]["trace"]):
        return {}
    spans = [edge["node"] for edge in found["spans"]["edges"]]
    return {"root": (found["rootSpan"] or {}).get("name"), "spans": spans, "project": found["project"]}


def _trace_id(its: Traced) -> str:
    context = its.span.get_span_context()
    return f"{context.trace_id:032x}" if context else ""


def _draw(url: str, picture: Path) -> None:
    command = [*_BROWSER, f"--virtual-time-budget={_DRAWN_MS}", f"--screenshot={picture}", url]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # it complains of what a server lacks

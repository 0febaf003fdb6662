"""A call's share of the metrics that a receiver of OTLP gets."""

import time

import pytest

from llm_metrics_proxy.recorder.events import timestamp_of
from llm_metrics_proxy.recorder.export import Batch
from llm_metrics_proxy.recorder.export.otlp import Otlp
from tests.support.exporting.otlp_receiver import METRICS, TRACES, Receiver, attributes
from tests.support.exporting.otlp_rows import EVENT_ID, FULL, HERE, connected, just_now, row

pytest_plugins = ["tests.support.exporting.otlp_fixtures"]
pytestmark = pytest.mark.usefixtures("no_otlp_settings")


def test_metrics_count_what_has_just_ended(otlp: Otlp, receiver: Receiver) -> None:
    call = {
        "model": "gpt-5",
        "response_model": "gpt-5-2026",
        "host": "api.openai.com:443",
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "cost_usd": 0.25,
        "is_streaming": 1,
        "time_to_first_byte_ms": 15.0,
    }
    otlp.send(Batch([just_now(**call), just_now(**call | {"response_time_ms": 90_000, "cost_usd": 0.5})], HERE))
    assert receiver.paths() == [TRACES, METRICS]
    labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-2026",
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
    (duration,) = receiver.points("gen_ai.client.operation.duration")
    assert attributes(duration.attributes) == labels
    assert (duration.count, duration.sum, list(duration.explicit_bounds)) == (2, 91.0, seconds)
    assert list(duration.bucket_counts) == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    (first,) = receiver.points("gen_ai.client.operation.time_to_first_chunk")
    assert (first.count, first.sum, list(first.explicit_bounds)) == (2, pytest.approx(0.03), seconds)
    tokens = {
        attributes(one.attributes)["gen_ai.token.type"]: one for one in receiver.points("gen_ai.client.token.usage")
    }
    assert {kind: (one.count, one.sum) for kind, one in tokens.items()} == {"input": (2, 200), "output": (2, 10)}
    assert list(tokens["input"].explicit_bounds) == [4**n for n in range(14)]
    (cost,) = receiver.points("llm_metrics.cost")
    assert (attributes(cost.attributes), cost.as_double) == (labels, 0.75)


def test_metrics_add_up_from_batch_to_batch(otlp: Otlp, receiver: Receiver) -> None:
    for count in (1, 2, 3):
        otlp.send(Batch([just_now()], HERE))
        (point,) = receiver.points("gen_ai.client.operation.duration")
        assert point.count == count


def test_a_row_that_comes_again_is_counted_once(otlp: Otlp, receiver: Receiver) -> None:
    twice = just_now()
    otlp.send(Batch([twice, twice], HERE))
    otlp.send(Batch([twice, just_now()], HERE))
    (point,) = receiver.points("gen_ai.client.operation.duration")
    assert point.count == 2


def test_history_is_in_no_metric(otlp: Otlp, receiver: Receiver) -> None:
    ago = timestamp_of(time.time_ns() - 3_602 * 1_000_000_000)
    otlp.send(Batch([row(**FULL), just_now(timestamp=ago)], HERE))
    assert (len(receiver.spans()), receiver.paths()) == (2, [TRACES])
    otlp.send(Batch([just_now(timestamp=ago, event_id=EVENT_ID, response_time_ms=10_000)], HERE))  # it ended later
    (point,) = receiver.points("gen_ai.client.operation.duration")
    assert point.count == 1


def test_an_error_is_a_duration_with_its_type_and_no_tokens(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([just_now(success=0, error_type="overloaded_error", prompt_tokens=10)], HERE))
    (point,) = receiver.points("gen_ai.client.operation.duration")
    assert attributes(point.attributes)["error.type"] == "overloaded_error"
    assert receiver.points("gen_ai.client.token.usage") == []


def test_what_the_conventions_require_is_there_when_it_is_unknown(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([just_now(operation=None, provider=None)], HERE))
    (point,) = receiver.points("gen_ai.client.operation.duration")
    required = {"gen_ai.operation.name": "_OTHER", "gen_ai.provider.name": "_OTHER"}
    assert attributes(point.attributes) == required


def test_a_client_that_invents_models_makes_no_endless_metrics(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([just_now(model=f"model-{n}") for n in range(500)], HERE))
    otlp.send(Batch([just_now(model="model-7")], HERE))
    points = receiver.points("gen_ai.client.operation.duration")
    counts = {attributes(point.attributes)["gen_ai.request.model"]: point.count for point in points}
    assert (len(counts), counts["_OTHER"], counts["model-7"]) == (201, 300, 2)


def test_an_empty_batch_sends_the_metrics_as_they_are(otlp: Otlp, receiver: Receiver) -> None:
    otlp.send(Batch([just_now()], HERE))
    receiver.asked.clear()
    otlp.send(Batch([], HERE))
    assert (receiver.paths(), receiver.spans()) == ([TRACES, METRICS], [])
    (point,) = receiver.points("gen_ai.client.operation.duration")
    assert point.count == 1


def test_the_environment_can_do_without_metrics(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    with connected(receiver) as to:
        to.send(Batch([just_now()], HERE))
    assert set(receiver.paths()) == {TRACES}


def test_deltas_are_sent_where_the_environment_asks_for_them(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    with connected(receiver) as to:
        for _ in range(2):
            to.send(Batch([just_now()], HERE))
            (point,) = receiver.points("gen_ai.client.operation.duration")
            assert point.count == 1

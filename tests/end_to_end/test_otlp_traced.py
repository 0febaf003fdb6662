"""A traced client asks through a real mitmdump: its span and that of the proxy's row are one trace."""

import pytest

from tests.support.exporting import otlp_receiver
from tests.support.exporting.otlp_receiver import attributes
from tests.support.rig import Rig
from tests.trials.receivers import traced

MS = 1_000_000


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_proxys_span_is_a_child_of_the_clients_and_inside_it(rig: Rig, protocol: str) -> None:
    with otlp_receiver.by_http() as receiver, otlp_receiver.by_grpc() as by_grpc:
        its = traced.call(rig, receiver.url)
        (of_client,) = receiver.spans()
        ours_at = by_grpc if protocol == "grpc" else receiver
        traced.export(rig, its.row, ours_at.url, protocol)
        ours, again = [span for span in ours_at.spans() if span.name == f"chat {traced.MODEL}"]
    assert of_client.name == traced.CLIENT_SPAN
    assert ours.trace_id == of_client.trace_id
    assert ours.parent_span_id == of_client.span_id
    assert ours == again
    # Columns are whole milliseconds.
    assert of_client.start_time_unix_nano - MS < ours.start_time_unix_nano
    assert ours.start_time_unix_nano < ours.end_time_unix_nano < of_client.end_time_unix_nano + MS
    chunk, token = ours.events
    assert ours.start_time_unix_nano < chunk.time_unix_nano < token.time_unix_nano < ours.end_time_unix_nano
    found = attributes(ours.attributes)
    assert found["gen_ai.usage.input_tokens"] == its.row["prompt_tokens"] > 0
    assert found["gen_ai.usage.output_tokens"] == its.row["completion_tokens"] > 0
    assert found["server.address"] == "api.openai.com"

"""A WebSocket that an LLM's provider did not open is a failed call, and has its row."""

import http.client

import pytest

from tests.support.provider.scenario import End, Scenario
from tests.support.rig import Rig, at_once

_UPGRADE = (
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def test_a_refused_upgrade_is_a_row_with_the_status(rig: Rig) -> None:
    rig.answer(at_once(b'{"error":{"message":"no"}}', status=401))
    assert rig.ask(method="GET", path="/v1/responses?model=m", headers=_UPGRADE).status == 401
    row = rig.row()
    assert (row["success"], row["status_code"], row["error_type"]) == (0, 401, "http_401")
    assert (row["is_streaming"], row["model"], row["endpoint"]) == (1, "m", "/v1/responses")


def test_an_upgrade_that_the_provider_cut_is_a_row(rig: Rig) -> None:
    rig.answer(Scenario(head_at_ms=None, end=End.CUT))
    with rig.sending(method="GET", path="/v1/realtime?model=m", headers=_UPGRADE) as connection:
        assert connection.getresponse().status == 502
    row = rig.row()
    assert (row["success"], row["status_code"], row["error_type"]) == (0, 502, "upstream_disconnect")


def test_an_upgrade_that_the_client_gave_up_is_a_row(rig: Rig) -> None:
    rig.answer(Scenario(head_at_ms=None, end=End.HANG))
    with rig.sending(method="GET", path="/v1/realtime", headers=_UPGRADE) as connection:
        connection.sock.settimeout(0.3)
        with pytest.raises((TimeoutError, http.client.HTTPException)):
            connection.getresponse()
    row = rig.row()
    assert (row["success"], row["status_code"], row["error_type"]) == (0, 499, "client_disconnect")

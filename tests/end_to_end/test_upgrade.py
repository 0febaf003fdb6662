"""A WebSocket that was not opened is a failed call, and has its row, unless its client goes on by HTTP."""

import http.client

import pytest

from tests.support.provider.scenario import End, Scenario
from tests.support.rig import Rig, at_once
from tests.support.waiting import eventually

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


@pytest.mark.parametrize(
    ("program", "status", "rows"),
    [("a-shop/1.0", 426, 0), ("codex_exec/0.171.0", 426, 0), ("codex_exec/0.171.0", 403, 0), ("codex_exec/1", 500, 0),
     ("codex_exec/0.171.0", 429, 1), ("a-shop/1.0", 403, 1)],
)  # fmt: skip
def test_a_refused_upgrade_is_no_failure_where_the_client_goes_on_by_http(
    rig: Rig, program: str, status: int, rows: int
) -> None:
    """So does Codex, but for 429: it gives up."""
    before = rig.counter("upgrades_refused")
    rig.answer(at_once(b"{}", status=status), at_once(b'{"status":"completed","model":"m","usage":{}}'))
    headers = (*_UPGRADE, ("user-agent", program))
    assert rig.ask(method="GET", path="/v1/responses", headers=headers).status == status
    rig.ask(b'{"model":"m","input":"Why?"}', path="/v1/responses")
    assert [row["success"] for row in rig.rows(rows + 1)] == [0] * rows + [1]
    assert eventually(lambda: rig.counter("upgrades_refused") == before + 1 - rows)


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

"""Hosts whose TLS is not opened: their names and the number of connections are kept, unless somebody wants neither."""

from pathlib import Path

from tests.support.rig import Rig, at_once, question, started
from tests.support.waiting import eventually

FILES, PACKAGES = "files.example.org", "packages.example.org"
CONNECTIONS = 12


def _connect(rig: Rig, host: str, times: int) -> None:
    """Ask a host for something that looks like an LLM's call, over TLS that the two ends agree on."""
    for _ in range(times):
        trusted = rig.proxy.database.parent / "provider-ca.pem"
        assert rig.ask(question("planted-model"), host=host, trusted=trusted).status == 200


def test_connections_that_pass_are_counted_by_host_and_by_day_and_nothing_else_of_them_is_kept(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        rig.answer(at_once(b"{}"))
        _connect(rig, FILES, CONNECTIONS)
        rig.ask(question("the-call"))
        assert rig.row()["model"] == "the-call"  # the host of an LLM is none of them
        (row,) = eventually(lambda: rig.query("SELECT * FROM tunnelled_hosts"))  # while the proxy runs
        assert (row["host"], row["connections"], row["day"]) == (FILES, CONNECTIONS, row["first_at"][:10])
        assert row["first_at"] < row["last_at"]
        assert rig.counter("tunnelled") == 1  # they became one event
        _connect(rig, FILES, 1)
        _connect(rig, PACKAGES.upper(), 2)
        assert rig.proxy.stop() == 0  # which hands over what is left
        counted = {row["host"]: row["connections"] for row in rig.query("SELECT * FROM tunnelled_hosts")}
        assert counted == {FILES: CONNECTIONS + 1, PACKAGES: 2}
        assert rig.counter("tunnelled") == 3
        assert rig.query("SELECT * FROM unrecognised") == rig.new_rows() == []
        kept = rig.proxy.database.read_bytes()
        assert FILES.encode() in kept
        assert b"planted-model" not in kept


def test_nothing_is_kept_where_nobody_wants_it(tmp_path: Path) -> None:
    with started(tmp_path, options=["metrics_tunnelled_hosts=false"]) as rig:
        rig.answer(at_once(b"{}"))
        _connect(rig, FILES, 2)
        rig.ask(question())
        rig.row()
        assert rig.proxy.stop() == 0
        assert rig.query("SELECT * FROM tunnelled_hosts") == []
        assert FILES.encode() not in rig.proxy.database.read_bytes()


def test_a_host_that_carries_other_things_too_is_read_where_somebody_names_it(tmp_path: Path) -> None:
    with started(tmp_path, options=[r"metrics_hosts=api\.cloudflare\.com"]) as rig:
        rig.answer(at_once(b"{}"))
        _connect(rig, "api.infomaniak.com", 1)
        rig.ask(question("m"), host="api.cloudflare.com", path="/client/v4/accounts/1/ai/v1/chat/completions")
        row = rig.row()
        assert (row["provider"], row["host"], row["model"]) == ("cloudflare", "api.cloudflare.com:443", "m")
        rig.ask(b"{}", host="api.cloudflare.com", path="/client/v4/zones/1/dns_records")
        rig.ask(b"{}", host="api.cloudflare.com", path="/client/v4/accounts/1/ai/run/@cf/brand-new")
        rig.ask(question("n"), host="router.requesty.ai")
        assert rig.row()["provider"] == "requesty"
        assert rig.proxy.stop() == 0
        assert [row["host"] for row in rig.query("SELECT host FROM tunnelled_hosts")] == ["api.infomaniak.com"]
        (gap,) = rig.query("SELECT host, path FROM unrecognised")
        assert gap == {"host": "api.cloudflare.com", "path": "/client/v4/accounts/{id}/ai/run/@cf/brand-new"}

"""Isolation, the files and events that the storage tests share, and the proxy that the end-to-end tests share."""

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from sqlite_utils import Database

from llm_metrics_proxy.migrations import APPLICATION_ID, NAMES, REGISTRY
from llm_metrics_proxy.recorder.backup import retention
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support import rig as rigs
from tests.support.provider.scenario import Scenario
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy

# The same examples in every run of CI: a new one is found where somebody looks at it.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

type MakeEvent = Callable[..., CompletionRequest]

# The files that take longest, the longest first: one that begins last would leave the other workers idle.
LONG = """
    packaging/image trials/torture end_to_end/run end_to_end/workers pages/dashboard end_to_end/start commands/planted
    writing/attacks_on_paths trials/hostile_transport prices/recost trials/promises store/migrations_at_once
    writing/private end_to_end/transparency_faults reading/conformance export/prometheus addon/logs trials/bench
    trials/clients doctor/doctor trials/fleet trials/soak upkeep/prune store/views_of_a_release trials/hostile
    export/export reports/top figures/rollup
"""


def pytest_xdist_auto_num_workers() -> int:
    """Start half as many workers again as there are cores: tests of processes wait for half of their time."""
    return ceil(1.5 * (os.process_cpu_count() or 1))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, begin with the files that take long; each file stays with one worker and its fixtures."""
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(LONG.split())}
        items.sort(key=lambda item: places.get(name_of(item.path), len(places)))


def name_of(file: Path) -> str:
    """The name of a file of tests in `LONG`."""
    return f"{file.parent.name}/{file.stem.removeprefix('test_')}"


@pytest.fixture(autouse=True)
def _isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default locations are forbidden, and the home folder is the test's own."""
    monkeypatch.setenv("TESTING", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LLM_METRICS_DB", raising=False)


@pytest.fixture(autouse=True, scope="session")
def _starts_are_forked() -> None:
    Proxy.is_warm = True


@pytest.fixture
def make_event() -> MakeEvent:
    """A valid event; keywords replace its fields."""

    def make(**fields: Any) -> CompletionRequest:  # noqa: ANN401 - some tests pass values of wrong types on purpose
        defaults: dict[str, Any] = {
            "timestamp": "2026-03-01T12:00:00.000Z",
            "success": True,
            "status_code": 200,
            "response_time_ms": 900,
            "model": "gpt-5",
            "origin": "billing",
            "is_streaming": False,
            "event_id": new_event_id(1_772_366_400_000),
        }
        return CompletionRequest(**defaults | fields)

    return make


@pytest.fixture
def db_path(tmp_path: Path) -> Path:
    """The path of the test's database; nothing is there yet."""
    return tmp_path / "metrics.db"


@pytest.fixture
def current_db(db_path: Path) -> Path:
    """An empty database of the present version."""
    Recorder(db_path).open()
    return db_path


@pytest.fixture
def version_1(db_path: Path, tmp_path: Path) -> Path:
    """A database of version 1 with two rows, as the release of that version left it; backups may go to `saved`."""
    with closing(sqlite3.connect(db_path, isolation_level=None)) as connection:
        REGISTRY.apply(Database(connection, execute_plugins=False), stop_before=NAMES[1])
        connection.execute("INSERT INTO schema_version VALUES (1, '2026-01-01T00:00:00.000Z')")
        connection.execute("PRAGMA user_version=1")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.executemany(
            "INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, model, is_streaming) "
            "VALUES (?, 1, 200, 700, 'gpt-4', 0)",
            [("2026-01-01T00:00:00.000Z",), ("2026-01-02T00:00:00.000Z",)],
        )
    (tmp_path / "saved").mkdir()
    return db_path


@pytest.fixture
def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backups of this moment may go at once."""
    monkeypatch.setattr(retention, "YOUNG", timedelta(0))


@pytest.fixture
def recorder(db_path: Path) -> Iterator[Recorder]:
    """A recorder that runs on `db_path`."""
    running = Recorder(db_path)
    running.open()
    running.start()
    yield running
    running.close()


# Hosts of the shared proxy that lead elsewhere than to its provider.
_ELSEWHERE = """
import json, os
addresses, asked = json.loads(os.environ["TEST_ADDRESSES"]), {}

def http_connect(flow):
    asked[flow.client_conn.id] = flow.request.host

def server_connect(data):
    if address := addresses.get(asked.get(data.client.id)):
        data.server.address = tuple(address)
"""


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rigs.Rig]:
    """One proxy for all tests that need nothing special; "refused", "nowhere" and "untrusted" are hosts that fail."""
    folder = tmp_path_factory.mktemp("rig")
    script = folder / "elsewhere.py"
    script.write_text(_ELSEWHERE + rigs.AT_ONCE)
    with socket.socket() as closed, Provider(lambda _request: Scenario()) as untrusted:
        closed.bind(("127.0.0.1", 0))  # but never listens
        refused, nowhere = closed.getsockname(), ("does-not-exist.invalid", 443)
        addresses = {
            "refused.openai.azure.com": refused,
            "refused.example.org": refused,
            "refused.named.test": refused,
            "nowhere.openai.azure.com": nowhere,
            "untrusted.openai.azure.com": ("127.0.0.1", untrusted.port),
        }
        environment = {"TEST_ADDRESSES": json.dumps(addresses), "RES_OPTIONS": "timeout:1 attempts:1"}
        options = [r"metrics_hosts=^[a-z]+\.named\.test$"]
        with rigs.started(folder, scripts=[script], environment=environment, options=options) as started:
            yield started
        assert started.new_rows() == [], "rows that no test had expected"

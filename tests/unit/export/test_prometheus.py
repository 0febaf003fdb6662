"""`llm-metrics serve --prometheus`: what is scraped is what the database says, whatever becomes of either side."""

import gzip
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import CompletionRequest, Limit, Limits
from llm_metrics_proxy.recorder.export.prometheus import counting, facts, keeper, server
from llm_metrics_proxy.recorder.export.prometheus.server import MOST_CLIENTS
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import quota
from llm_metrics_proxy.recorder.store.database import reader
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.timestamps import bound
from tests.support.database import execute
from tests.support.exporting.metrics_server import (
    HOSTILE,
    INSERT,
    PROMTOOL,
    Figures,
    needs_prometheus,
    parsed,
    price_all,
    serving,
)
from tests.support.recent_calls import any_calls, call, write
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]

DAY = timedelta(days=1)
SUMS = """
    SELECT count(*), sum(response_time_ms) / 1000.0, ifnull(sum(prompt_tokens), 0), ifnull(sum(completion_tokens), 0)
    FROM completion_requests WHERE id <= ?
"""


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


def sums_of(figures: Figures) -> tuple[float, ...]:
    return (
        figures.total("llm_calls_total"),
        figures.total("llm_call_duration_seconds_sum"),
        figures.total("llm_tokens_total", type="input"),
        figures.total("llm_tokens_total", type="output"),
    )


def promtool(text: str) -> str:
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def filled(current_db: Path) -> Path:
    write(current_db, any_calls(1, 500, longest_ago=DAY))
    price_all(current_db)
    return current_db


def test_two_scrapes_under_load_agree_with_the_database_at_those_moments(
    recorder: Recorder, db_path: Path, make_event: MakeEvent
) -> None:
    def load(events: int) -> None:
        for n in range(events):
            recorder.submit(
                make_event(event_id=os.urandom(16).hex(), response_time_ms=n, prompt_tokens=n, success=n % 9 > 0)
            )

    load(1)
    wait_until(lambda: execute(db_path, "SELECT count(*) FROM completion_requests") == [(1,)])
    with serving(db_path) as served:
        seen = []
        for _ in range(6):
            load(700)
            time.sleep(0.03)
            ((before,),) = execute(db_path, "SELECT count(*) FROM completion_requests")
            figures = served.scrape()
            ((after,),) = execute(db_path, "SELECT count(*) FROM completion_requests")
            expected = execute(db_path, SUMS, figures.value("llm_metrics_last_row_id"))[0]
            assert sums_of(figures) == pytest.approx(expected, rel=1e-12)
            assert before <= expected[0] <= after
            assert figures.value("llm_metrics_events_written_total") == expected[0]
            assert figures.value("llm_metrics_rows_waiting") == 0
            received = figures.value("llm_metrics_events_received_total")
            assert received == expected[0] + figures.value("llm_metrics_events_waiting")
            seen.append(expected[0])
        assert len(set(seen)) > 2
        recorder.close()
        figures = served.scrape()
    assert figures.total("llm_calls_total") == 4_201
    assert figures.value("llm_metrics_events_waiting") == 0


def test_a_kill_between_two_savings_neither_loses_nor_counts_twice(filled: Path) -> None:
    with serving(filled) as served:
        served.scrape()
        wait_until(lambda: execute(filled, "SELECT row_id FROM exporters") == [(500,)])
        write(filled, any_calls(2, 250, longest_ago=DAY))
        price_all(filled)
        before = served.scrape()
        served.process.kill()
        served.process.wait()
    assert execute(filled, "SELECT row_id FROM exporters") == [(500,)]
    with serving(filled) as served:
        after = served.scrape()
        calls = {
            series: n for series, n in after.items() if series[0].startswith("llm_") and "metrics" not in series[0]
        }
        assert calls == {series: before[series] for series in calls}
        assert len(calls) > 100
        assert after.total("llm_calls_total") == 750
        assert served.end() == ""
    assert execute(filled, "SELECT row_id, sent FROM exporters") == [(750, 750)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second_with_the_totals_saved(filled: Path, how: signal.Signals) -> None:
    with serving(filled) as served, socket.create_connection(("127.0.0.1", served.port)) as silent:
        silent.sendall(b"GET /metrics")
        served.scrape()
        write(filled, any_calls(2, 30, longest_ago=DAY))
        assert served.scrape().total("llm_calls_total") == 530
        began = time.monotonic()
        assert served.end(how) == ""
        assert time.monotonic() - began < 3  # it takes less than one, where there is a CPU
        assert served.process.returncode == 0
    assert execute(filled, "SELECT sent FROM exporters") == [(530,)]
    assert not filled.with_name("metrics.db.spill").exists()


def test_who_asks_chooses_the_format(filled: Path) -> None:
    with serving(filled) as served:
        wait_until(lambda: served.scrape().has("llm_cost_dollars_total"))
        response, body = served.ask()
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        plain = parsed(body.decode())
        response, body = served.ask("/metrics/", headers={"Accept-Encoding": "gzip"})
        assert (response.status, response.headers["Content-Encoding"]) == (200, "gzip")
        assert parsed(gzip.decompress(body).decode()).keys() == plain.keys()
        response, body = served.ask(headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        families = list(openmetrics(body.decode()))  # type: ignore[no-untyped-call] # it has no types
        assert {sample.name for family in families for sample in family.samples} == {name for name, _labels in plain}
        response, body = served.ask("/metrics?name[]=llm_metrics_recorders")
        assert list(parsed(body.decode())) == [("llm_metrics_recorders", frozenset())]
        response, body = served.ask(method="HEAD")
        assert (response.status, body) == (200, b"")
        assert int(response.headers["Content-Length"]) > 10_000


def test_nothing_else_is_there(filled: Path) -> None:
    with serving(filled) as served:
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/metricsx", 404),
            ("POST", "/nothing", 404),
            ("GET", "/favicon.ico", 404),
            ("POST", "/metrics", 405),
            ("DELETE", "/healthz", 405),
            ("OPTIONS", "/metrics/", 405),
        ):
            response, body = served.ask(path, method)
            assert (response.status, body.count(b"\n"), response.headers["Location"]) == (status, 1, None)
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        for said in (b"\x16\x03\x01\x00\r\n\r\n", b"GET / / /<script>\r\n\r\n", b"GET /" + b"x" * 70_000, b"\r\n" * 9):
            with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
                client.sendall(said)
                client.shutdown(socket.SHUT_WR)
                answer = b""
                try:
                    while more := client.recv(1 << 16):
                        answer += more
                except ConnectionResetError:  # it did not read all of that
                    pass
                assert b"<" not in answer
        assert served.ask("/healthz")[1] == b"ok\n"
        assert served.ask("/healthz", "HEAD")[1] == b""
        assert served.end() == ""


def test_on_a_loopback_address_a_name_that_was_pointed_there_gets_no_figures(filled: Path) -> None:
    with serving(filled) as served:
        for host, status in (
            ("evil.example", 421),
            ("evil.example:9464", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost@evil.example", 421),
            ("192.168.1.5", 421),
            ("[::1", 421),
            ("localhost:1", 200),
            ("LocalHost", 200),
            ("app.localhost", 200),
            ("127.0.0.9", 200),
            ("[::1]:9464", 200),
        ):
            with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
                client.sendall(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                answer = client.makefile("rb").read()
            assert (int(answer.split()[1]), b"llm_" in answer) == (status, status == 200), host
        assert served.end() == ""


def test_a_stuck_client_blocks_nobody(filled: Path) -> None:
    with serving(filled) as served, ExitStack() as stuck:
        for n in range(MOST_CLIENTS + 20):
            client = stuck.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: " if n % 2 else b"")
        began = time.monotonic()
        assert served.scrape().total("llm_calls_total") == 500
        assert time.monotonic() - began < 2
        threads = len(list(Path(f"/proc/{served.process.pid}/task").iterdir()))
        assert threads < MOST_CLIENTS + 10
        assert served.end() == ""


def test_while_the_database_is_away_the_last_figures_are_told(filled: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    with serving(filled) as served:
        before = served.scrape()
        filled.rename(away)
        for end in ("-wal", "-shm"):
            Path(f"{filled}{end}").unlink(missing_ok=True)
        response, body = served.ask("/healthz")
        assert (response.status, body) == (503, b"The database cannot be read: see llm-metrics status.\n")
        figures = served.scrape()
        assert figures.value("llm_metrics_database_up") == 0
        assert figures.total("llm_calls_total") == before.total("llm_calls_total")
        assert not filled.exists()
        away.rename(filled)
        write(filled, any_calls(2, 10, longest_ago=DAY))
        assert served.ask("/healthz")[0].status == 200
        figures = served.scrape()
        assert (figures.value("llm_metrics_database_up"), figures.total("llm_calls_total")) == (1, 510)
        said = served.end().splitlines()
    assert said == [
        f"There is no database at {filled}: start the proxy once, or give the right path.",
        "The database is read again.",
    ]


def test_a_newer_release_that_takes_the_database_over_is_told(filled: Path) -> None:
    with serving(filled) as served:
        served.scrape()
        execute(filled, "PRAGMA user_version = 99")
        assert served.scrape().value("llm_metrics_database_up") == 0
        assert served.ask("/healthz")[0].status == 503
        assert "use the newer release" in served.end()


def test_a_lock_on_the_database_keeps_nobody_waiting_for_long(filled: Path) -> None:
    with serving(filled) as served, closing(sqlite3.connect(filled, isolation_level=None)) as other:
        served.scrape()
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert served.scrape().value("llm_metrics_database_up") == 0
        assert time.monotonic() - began < 5


def test_how_the_recorder_does_is_told(db_path: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(db_path, queue_size=3)
    recorder.open()
    for _ in range(5):
        recorder.submit(make_event(event_id=os.urandom(16).hex()))
    recorder.count("unparsed", 2)
    recorder.count('of a "later" release')
    recorder.start()
    wait_until(lambda: execute(db_path, "SELECT count(*) FROM completion_requests") == [(3,)])
    with serving(db_path) as served:
        with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            recorder.submit(make_event(event_id=os.urandom(16).hex()))
            wait_until(lambda: "spilled" in recorder.counters())
            figures = served.scrape()
        wait_until(lambda: "replayed" in recorder.counters())
        recorder.close()
        after = served.scrape()
    assert figures.value("llm_metrics_recorders") == 1
    assert figures.value("llm_metrics_events_dropped_total", cause="queue_full") == 2
    assert figures.value("llm_metrics_events_dropped_total", cause="shutdown") == 0
    assert figures.value("llm_metrics_calls_unparsed_total") == 2
    assert figures.value("llm_metrics_addon_errors_total") == 0
    assert figures.value("llm_metrics_other_counts_total", name='of a "later" release') == 1
    assert figures.value("llm_metrics_spill_files") == 1
    assert figures.value("llm_metrics_spill_size_bytes") > 100
    assert figures.value("llm_metrics_database_size_bytes") == db_path.stat().st_size
    assert figures.value("llm_metrics_wal_size_bytes") > 0
    assert figures.value("llm_metrics_disk_free_bytes") == pytest.approx(
        shutil.disk_usage(db_path.parent).free, rel=0.1
    )
    assert figures.value("llm_metrics_newest_call_timestamp_seconds") == 1_772_366_400
    assert (after.value("llm_metrics_recorders"), after.value("llm_metrics_spill_files")) == (0, 0)
    assert after.value("llm_metrics_events_spilled_total") == after.value("llm_metrics_events_replayed_total") == 1


def test_what_was_kept_aside_and_came_back_does_not_wait_in_memory(current_db: Path) -> None:
    counters = {"received": 10, "spilled": 3, "replayed": 3, "written": 7, "dropped_queue_full": 1}
    for name, value in (counters | {"dropped_spill_damaged": 5}).items():
        for process in ("living", "killed"):
            execute(current_db, "INSERT INTO recorder_counters VALUES (?, ?, ?, '')", process, name, value)
    with reader(current_db) as connection:
        assert facts.written(connection, {"living"}).in_memory == 2
        assert facts.written(connection, set()).in_memory == 0


def test_history_is_never_shown_as_traffic(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "AT_ONCE", 5)
    monkeypatch.setattr(keeper, "_TURN_OF_HISTORY", 0.0)
    keeping = keeper.Keeper(filled)
    keeping.start()
    seen: list[tuple[float, float, bool]] = []
    while not seen or seen[-1][0] < 1:
        values = {one.name: [sample.value for sample in one.samples] for one in keeping.ask().metrics}
        seen.append(
            (values["llm_metrics_counted_ratio"][0], sum(values.get("llm_calls", [])), "llm_cost_dollars" in values)
        )
    keeping.stop()
    assert len(seen) > 3
    assert {(calls, costs) for share, calls, costs in seen if share < 1} == {(0, False)}
    assert seen[-1] == (1, 500, True)


def test_how_far_exporters_are_behind_is_told(filled: Path) -> None:
    row = "INSERT INTO exporters (name, source_id, row_id, claimed_id, sent, refused, reached_at, error) VALUES "
    execute(filled, f"{row} ('otlp http://c:4318', 's', 400, 400, 400, 2, '2026-03-01T12:00:00.000Z', 'gone')")
    execute(filled, f"{row} ('postgres \n\"', 's', 500, 500, 500, 0, 'never', NULL)")
    with serving(filled) as served:
        figures = served.scrape()
    assert figures.value("llm_metrics_exporter_rows_waiting", exporter="otlp http://c:4318") == 100
    assert figures.value("llm_metrics_exporter_rows_refused_total", exporter="otlp http://c:4318") == 2
    assert figures.value("llm_metrics_exporter_failing", exporter="otlp http://c:4318") == 1
    assert (
        figures.value("llm_metrics_exporter_reached_timestamp_seconds", exporter="otlp http://c:4318") == 1_772_366_400
    )
    assert figures.value("llm_metrics_exporter_failing", exporter=r'postgres \n"') == 0
    assert figures.total("llm_metrics_exporter_rows_waiting") == 100  # not our own


@needs_prometheus
def test_promtool_accepts_what_hostile_calls_leave(filled: Path) -> None:
    for text in HOSTILE:
        execute(filled, INSERT, *[text] * 4)
    for n in range(140):
        execute(filled, INSERT, f"m{n}", "custom", "chat", f"\x00error {n % 80}\n")
    execute(filled, "INSERT INTO recorder_counters VALUES ('p', ?, 1, '')", 'dropped_\x00"')
    execute(filled, "INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, is_streaming, "
            "cost_usd) VALUES (x'ff', 1, 200, 9e999, 0, -9e999)")  # fmt: skip
    price_all(filled)
    with serving(filled) as served:
        wait_until(lambda: "llm_cost_dollars_total" in served.text())
        text = served.text()
    assert promtool(text) == ""
    figures = parsed(text)
    assert figures.total("llm_calls_total") == 500 + len(HOSTILE) + 140 + 1
    assert figures.total("llm_calls_total", model="other") > 40
    assert len({dict(labels)["model"] for name, labels in figures if name == "llm_calls_total"}) == 101


def test_a_database_is_served_by_one_process(filled: Path) -> None:
    with serving(filled):
        said = refused("--prometheus", "127.0.0.1:0", "--db", str(filled))
        assert "Another process serves the figures of" in said
        assert CliRunner().invoke(main, ["export", "forget", "prometheus", "--db", str(filled)]).exit_code == 1


def test_a_port_that_is_taken_is_told(filled: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        said = refused("--prometheus", f"127.0.0.1:{port}", "--db", str(filled))
    assert said.startswith(f"Error: 127.0.0.1:{port} cannot be listened on (Address already in use): ")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "9464",
            "127.0.0.1",
            "127.0.0.1:",
            "::1:9464",
            "[::1]",
            "[x]:1",
            "a b:1",
            ":99999",
            "http://a:1",
            "a:1/x",
        ),
        *("192.0.2.1:9464", "no.such.host.invalid:1"),
    ],
)
def test_what_is_no_address_here_is_told(filled: Path, text: str) -> None:
    assert refused("--prometheus", text, "--db", str(filled)).startswith("Error: ")


@pytest.mark.parametrize(
    ("text", "host", "port"), [("[::1]:9464", "::1", 9464), (":0", "", 0), ("localhost:1", "localhost", 1)]
)
def test_addresses_have_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert server.parse_address(text) == (host, port)


def test_a_missing_database_is_told_and_not_made(tmp_path: Path) -> None:
    assert "There is no database at " in refused("--prometheus", ":0", "--db", str(tmp_path / "typo.db"))
    assert list(tmp_path.iterdir()) == []


def test_all_addresses_are_served_with_a_warning(filled: Path) -> None:
    with serving(filled, ":0") as served:
        with socket.create_connection(("::1", served.port)) if socket.has_dualstack_ipv6() else ExitStack():
            assert served.scrape().has("llm_calls_total")
        (warning,) = served.end().splitlines()
    assert warning.startswith("Anybody who reaches ")


def test_without_the_extra_a_sentence_says_so(filled: Path) -> None:
    code = "import sys; sys.modules['prometheus_client'] = None; "
    code += "from llm_metrics_proxy.recorder.commands.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--prometheus", ":0", "--db", str(filled)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: The Python package prometheus_client is missing: install llm-metrics-proxy with its extra `export`.\n"
    )


def test_no_other_command_waits_for_what_serve_imports() -> None:
    code = "import sys; from llm_metrics_proxy.recorder.commands import cli; "
    code += "print(sorted({'prometheus_client', 'tenacity', 'wsgiref'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_labels_and_what_is_left_of_limits_are_scraped(current_db: Path) -> None:
    labels = json.dumps({"team": HOSTILE[2], "env": "prod"})
    write(current_db, [call(DAY, labels=labels), call(DAY, labels='{"team":"a"}', cost_usd=0.25)])
    price_all(current_db)
    now = datetime.now(UTC).replace(microsecond=0)
    window = Limit("plan", "5h", None, 100.0, 37.5, bound(now + DAY))
    with closing(open_background(current_db)) as connection:
        assert quota.note(connection, Limits("anthropic", "0123456789abcdef", bound(now), (window,)))
    with serving(current_db, words=["--label", "team"]) as server:
        figures = parsed(server.text())
    assert figures.value("llm_label_calls_total", name="team", value="a", outcome="success") == 1
    assert figures.value("llm_label_cost_dollars_total", name="team", value="a") == 0.25
    assert figures.total("llm_label_calls_total", outcome="success") == 2
    whose = {"provider": "anthropic", "key_id": "0123456789abcdef", "model": "", "kind": "plan", "window": "5h"}
    assert figures.value("llm_quota_remaining", **whose) == 37.5
    assert figures.value("llm_quota_limit", **whose) == 100
    assert figures.value("llm_quota_reset_timestamp_seconds", **whose) == (now + DAY).timestamp()


def test_a_label_that_can_be_none_is_refused(current_db: Path) -> None:
    for names, sentence in ((["Team"], "is no name of a label"), ([f"n{number}" for number in range(9)], "at most 8")):
        options = [word for name in names for word in ("--label", name)]
        result = CliRunner().invoke(main, ["serve", "--prometheus", "127.0.0.1:0", "--db", str(current_db), *options])
        assert result.exit_code == 2
        assert sentence in result.stderr

"""Alert rules and dashboard: made by `python -m deploy.monitoring`; each query has its series in a real Prometheus."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from deploy.monitoring import __main__ as making
from deploy.monitoring import dashboard, queries, rules
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support.database import execute
from tests.support.exporting.metrics_server import (
    HOSTILE,
    INSERT,
    PROMETHEUS,
    PROMTOOL,
    Serving,
    needs_prometheus,
    price_all,
    serving,
)
from tests.support.ports import free_port
from tests.support.recent_calls import any_calls, call, write
from tests.support.waiting import wait_until

NEW = 60  # calls that come while Prometheus looks
COST = 0.25  # of each


def promtool(*arguments: str) -> str:
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_files_are_what_the_program_makes() -> None:
    for path, text in making.files().items():
        assert path.read_text() == text, f"{path.name} is old: python -m deploy.monitoring"


@needs_prometheus
def test_promtool_accepts_the_rules() -> None:
    assert f"{len(rules.ALERTS)} rules found" in promtool("check", "rules", str(making.FOLDER / "rules.yml"))


@needs_prometheus
def test_each_alert_fires_when_it_should_and_not_before() -> None:
    files = sorted(map(str, making.FOLDER.glob("*.test.yml")))
    promtool("test", "rules", *files)
    tested = "".join(Path(file).read_text() for file in files)
    for alert in rules.ALERTS:
        assert re.search(rf"alertname: {alert.name}\n *exp_alerts:\n", tested), f"{alert.name} never fires in a test"
        assert f"alertname: {alert.name}, exp_alerts: []" in tested or alert.name == "LLMFirstTokenSlow"


def test_all_panels_have_a_place_of_their_own() -> None:
    panels = dashboard.document()["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len({panel["type"] for panel in panels} - {"row", "stat", "timeseries", "heatmap"}) == 0
    titles = [target["legendFormat"] for panel in panels for target in panel.get("targets", ())]
    assert len(titles) == len(list(dashboard.expressions()))


def test_all_queries_are_used() -> None:
    used = json.dumps(dashboard.document()) + json.dumps(rules.document())
    for name, query in vars(queries).items():
        if name.isupper() and not name.startswith("_"):
            metric = max(re.findall(r"\w+", query), key=len)
            assert metric in used, f"nobody asks {name}"


class Prometheus(NamedTuple):
    """A real one, which looks at `served` twice a second."""

    port: int
    served: Serving
    database: Path

    def ask(self, query: str) -> list[dict[str, Any]]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", f"/api/v1/query?{urlencode({'query': query})}")
            answer = json.loads(connection.getresponse().read())
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, query: str) -> float:
        """Of the one series that the query has."""
        found = self.ask(query)
        assert len(found) <= 1
        return float(found[0]["value"][1]) if found else 0.0

    def is_ready(self) -> bool:
        try:
            return self.ask("up") != []
        except (OSError, ValueError):  # it begins
            return False


@contextmanager
def _looking_at(served: Serving, database: Path, folder: Path) -> Iterator[Prometheus]:
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
        f"rule_files: [{making.FOLDER / 'rules.yml'}]\n"
        "scrape_configs:\n"
        f"  - {{job_name: llm-metrics, static_configs: [{{targets: ['127.0.0.1:{served.port}']}}]}}\n"
    )
    command = [PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield Prometheus(port, served, database)
        finally:
            process.kill()


def _new(n: int) -> CompletionRequest:
    fails = n % 4 == 0
    times = {"time_to_first_token_ms": 300 + n, "tokens_per_second": 80.5}
    numbers = {"cost_usd": COST, "cached_tokens": 1, "prompt_tokens": 2}
    return call(timedelta(0), success=not fails, error_type="timeout" if fails else None, **times, **numbers)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has seen a while of calls by a recorder, among them hostile ones, and an exporter that lags."""
    folder = tmp_path_factory.mktemp("prometheus")
    database = folder / "metrics.db"
    Recorder(database).open()
    write(database, any_calls(1, 500, longest_ago=timedelta(days=1)))
    for text in HOSTILE:
        execute(database, INSERT, *[text] * 4)
    execute(
        database,
        "INSERT INTO exporters (name, source_id, row_id, claimed_id, sent, refused, reached_at) "
        "VALUES ('otlp http://collector:4318', 's', 100, 100, 100, 0, '2026-03-01T12:00:00.000Z')",
    )
    price_all(database)
    recorder = Recorder(database)
    recorder.open()
    recorder.start()
    environment = os.environ | {"HOME": str(folder)}
    with serving(database, env=environment) as served, _looking_at(served, database, folder) as looking:
        wait_until(looking.is_ready, 20)
        wait_until(lambda: looking.value("sum(llm_calls_total)") == 500 + len(HOSTILE), 20)
        wait_until(lambda: looking.value("sum(llm_cost_dollars_total)") > 0, 20)
        began = time.monotonic()
        for n in range(NEW):
            recorder.submit(_new(n))
            time.sleep(0.02)
        wait_until(
            lambda: execute(database, "SELECT count(*) FROM completion_requests") == [(500 + len(HOSTILE) + NEW,)]
        )
        price_all(database)
        wait_until(lambda: looking.value("sum(llm_calls_total)") == 500 + len(HOSTILE) + NEW, 20)
        wait_until(lambda: looking.value("sum(llm_metrics_events_written_total)") == NEW, 20)
        wait_until(lambda: time.monotonic() - began > 3)
        yield looking
    recorder.close()


@needs_prometheus
@pytest.mark.xdist_group("prometheus")
def test_each_query_of_the_dashboard_finds_series(prometheus: Prometheus) -> None:
    expressions = list(dashboard.expressions())
    assert len(expressions) > 25
    for expression in expressions:
        query = re.sub(r"\$__(rate_interval|range)", "1m", expression)
        query = re.sub(r'=~"\$\w+"', '=~".*"', query)
        assert "$" not in query
        found = prometheus.ask(query)
        assert found, f"nothing is found by {query}"
        assert any(float(series["value"][1]) >= 0 for series in found), f"no value is found by {query}"


@needs_prometheus
@pytest.mark.xdist_group("prometheus")
def test_the_variables_of_the_dashboard_have_values(prometheus: Prometheus) -> None:
    for variable in dashboard.document()["templating"]["list"][1:]:
        metric, label = re.fullmatch(r"label_values\((\w+).*, (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr] # or the test fails
        assert prometheus.ask(f'{metric}{{{label}!=""}}')


@needs_prometheus
@pytest.mark.xdist_group("prometheus")
def test_the_rules_are_evaluated_and_see_the_target(prometheus: Prometheus) -> None:
    for alert in rules.ALERTS:
        prometheus.ask(alert.expr)
    # The target is up; a quarter of the calls fail, which is no alert before it has lasted.
    wait_until(
        lambda: prometheus.ask("ALERTS{alertname='LLMErrorRate', provider='openai', alertstate='pending'}") != [], 20
    )
    assert prometheus.ask("ALERTS{alertname='LLMMetricsTargetDown'}") == []


@needs_prometheus
@pytest.mark.xdist_group("prometheus")
def test_a_real_prometheus_has_the_right_increase(prometheus: Prometheus) -> None:
    assert prometheus.value("sum(last_over_time(llm_calls_total[1m])) - sum(min_over_time(llm_calls_total[1m]))") <= NEW
    before_and_now = "max_over_time({0}[1m]) - min_over_time({0}[1m])"
    for series, increase in (
        ('sum(llm_calls_total{provider="openai", model="gpt-5"})', NEW),
        ("sum(llm_call_duration_seconds_count)", NEW),
        ("sum(llm_time_to_first_token_seconds_count)", NEW),
        ('sum(llm_tokens_total{type="input"})', 2 * NEW),
        ('sum(llm_tokens_total{type="cached"})', NEW),
        ("sum(llm_cost_dollars_total)", COST * NEW),
        ("llm_metrics_events_written_total", NEW),
    ):
        assert prometheus.value(before_and_now.format(f"({series})").replace(")[1m]", ")[1m:250ms]")) == pytest.approx(
            increase
        )
    # increase() reaches out to the ends of its window, by at most half a distance between two scrapes at each.
    found = prometheus.value('sum(increase(llm_tokens_total{type="cached"}[1m]))')
    assert NEW <= found <= NEW * 1.5
    assert prometheus.value("sum(resets(llm_calls_total[1m]))") == 0

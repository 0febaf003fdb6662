"""`llm-metrics serve` as a process of its own, and what it says, for the tests of the figures."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.database import open_writer

LLM_METRICS = str(Path(sys.executable).with_name("llm-metrics"))
PROMETHEUS = shutil.which("prometheus") or "prometheus"  # of Debian's package
PROMTOOL = shutil.which("promtool") or "promtool"

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("promtool") or os.environ.get("CI")), reason="needs Prometheus: apt install prometheus"
)

HOSTILE = ["\x00", "a\x00b", '"}\n# TYPE x', "\\", "\ud7ff\x1b]0;x\x07", "\u202e", "m" * 3_000_000, "  ", "{}", ""]

INSERT = """
    INSERT INTO completion_requests
        (timestamp, success, status_code, response_time_ms, model, provider, operation, error_type, is_streaming)
    VALUES ('', 0, 200, 1, ?, ?, ?, ?, 1)
"""

type Series = tuple[str, frozenset[tuple[str, str]]]


class Figures(dict[Series, float]):
    """Values by series."""

    def value(self, name: str, /, **labels: str) -> float:
        return self[name, frozenset(labels.items())]

    def total(self, name: str, /, **labels: str) -> float:
        """The sum of all series that have these labels among others; of none it is an error."""
        wanted = labels.items()
        found = [value for (its_name, its_labels), value in self.items() if its_name == name and its_labels >= wanted]
        assert found, f"no series {name} {labels}"
        return sum(found)

    def has(self, name: str) -> bool:
        return any(its_name == name for its_name, _labels in self)


def parsed(text: str) -> Figures:
    figures = Figures()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = sample.name, frozenset(sample.labels.items())
            assert series not in figures, f"{series} is there twice"
            figures[series] = sample.value
    return figures


def price_all(path: Path) -> None:
    """All rows have the cost that they get."""
    with closing(open_writer(path)) as connection:
        watermarks.move(connection, watermarks.PRICING, watermarks.newest(connection))


class Serving:
    """The process, once it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.said = process.stderr.readline()
        assert self.said.startswith("http://"), self.said
        self.url = self.said.split()[0].removesuffix("/metrics")

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def ask(
        self, path: str = "/metrics", method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response, response.read()

    def text(self) -> str:
        response, body = self.ask()
        assert response.status == 200
        return body.decode()

    def scrape(self) -> Figures:
        return parsed(self.text())

    def end(self, how: signal.Signals = signal.SIGTERM) -> str:
        """End it, and return what it said on stderr since it listened."""
        self.process.send_signal(how)
        self.process.wait(timeout=10)
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def serving(
    path: Path,
    address: str = "127.0.0.1:0",
    words: Sequence[str] = (),
    **options: Any,  # noqa: ANN401 - of Popen
) -> Iterator[Serving]:
    """Serve the figures of the database at `path`; `words` are more options of the command."""
    command = [LLM_METRICS, "serve", "--prometheus", address, "--db", str(path), *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield Serving(process)
        finally:
            process.kill()

"""The live page in a real browser: the server, the browser, and what is drawn in the cards."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-dashboard" / "bin" / "python"
PATIENCE = 60.0
METRICS = ("calls", "error_rate", "tokens", "cost", "ttft_p50", "ttft_p95")
CHARTS = ("requests", "costs", "first_tokens_p50", "first_tokens_p95", "speed", "cache", "errors")
TABLES = ("failures", "last")

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-dev-shm-usage",  # which containers keep small
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1000",
)
# For each card: what can be read, the marks that have a shape, the names in the legend, the rows of its table.
_LOOK = """
    const texts = (card, selector) => [...card.querySelectorAll(selector)].map(one => one.textContent)
    return Object.fromEntries([...document.querySelectorAll('.dashboard-card')].map(card => [card.id.slice(5), {
        text: card.querySelector('.dashboard-card-chart').innerText,
        drawn: !!card.querySelector('.dashboard-card-chart svg, .dashboard-card-chart p, .dashboard-card-chart td'),
        marks: [...card.querySelectorAll('svg .role-mark path')].filter(one => one.getAttribute('d')).length,
        legend: texts(card, 'svg .role-legend-label text'),
        rows: [...card.querySelectorAll('tbody tr')].map(row => texts(row, 'td')),
        left_over: card.scrollWidth > card.clientWidth,
    }]))
"""


@dataclass(frozen=True)
class Card:
    """The contents of a card, as drawn."""

    text: str
    drawn: bool
    marks: int
    legend: list[str]
    rows: list[list[str]]
    left_over: bool  # something stands out of the card

    @property
    def figure(self) -> str:
        """The large figure of a metric."""
        return self.text.split("\n")[0]


@dataclass
class Browser:
    """A browser that looks at the page, and remembers what went wrong and whom it asked."""

    driver: Chrome
    address: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def look(self, **filters: str) -> dict[str, Card]:
        """Open the page and return its cards once all are drawn."""
        self.driver.get(f"{self.address}?{urlencode(filters)}" if filters else self.address)
        return self.cards()

    def cards(self) -> dict[str, Card]:
        """Wait until all cards of the present page are drawn, and return them."""
        cards: dict[str, Card] = {}

        def all_drawn() -> bool:
            cards.update({name: Card(**card) for name, card in self.driver.execute_script(_LOOK).items()})
            return all(card.drawn for card in cards.values())

        self.until(all_drawn)
        return cards

    def until(self, look: Callable[[], object]) -> None:
        """Wait until `look` sees something, and note what went wrong on the way."""
        seen = eventually(look, within=PATIENCE)
        self.listen()
        assert seen, self.complaints

    def width(self, pixels: int) -> None:
        """Make the window so wide; narrower than a desktop's window can be."""
        metrics = {"width": pixels, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def listen(self) -> None:
        """Note errors of the console, and who was asked."""
        self.complaints += [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = urlsplit(event["params"]["request"]["url"])
                if url.scheme not in {"data", "chrome"}:
                    self.hosts.add(url.netloc)


@dataclass(frozen=True)
class Server:
    """`make dashboard`, and what it answers without a browser."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        """The port it listens on."""
        return urlsplit(self.address).port or 0

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Ask for a path; the status and the body."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def ask(self, sql: str, **parameters: str) -> dict[str, Any]:
        """Ask as a card does."""
        _, body = self.get(f"/metrics.json?{urlencode({'sql': sql, '_shape': 'objects'} | parameters)}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def queries(self) -> dict[str, str]:
        """The query of each card, as the page has it."""
        _, body = self.get("/-/metadata.json")
        cards = json.loads(body)["plugins"]["datasette-dashboards"]["llm-metrics"]["charts"]
        return {name: card["query"] for name, card in cards.items()}


@contextmanager
def serving(database: Path) -> Iterator[Server]:
    """Start the live page of a database on any port, and end it."""
    if not PYTHON.exists():
        pytest.fail("The tests of the live page need .venv-dashboard: run them with make test.")
    command = [str(PYTHON), "-m", "deploy.dashboard", str(database), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            printed = process.stdout.readline() + process.stdout.readline()
            found = re.search(r"http://\S+", printed)
            assert found, printed
            yield Server(process, found[0])
        finally:
            process.kill()


@contextmanager
def browsing(address: str, folder: Path) -> Iterator[Browser]:
    """Start Chromium with nothing but `folder` to write to, and end it."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.fail(
            "The tests of the live page need Chromium and chromedriver: apt-get install chromium chromium-driver."
        )
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chrome, address)
    finally:
        chrome.quit()

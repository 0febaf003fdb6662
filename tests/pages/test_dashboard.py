"""The live page, as a person sees it: in a real browser, on a real database, while somebody writes."""

import math
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id, timestamp_of
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support import live_page
from tests.support.live_page import CHARTS, METRICS, ROOT, TABLES, Browser, Card, Server

HOUR = 3600.0
MODELS = ("gpt-5.5", "claude-sonnet-5", "gemini-3-flash", "unpriced-model")
RARE, OLD = "a-rare-model", "an-old-model"
HOSTILE_MODEL = """<img src=x onerror="pwned=1">&lt;b&gt;"'</script><script>pwned=2</script>"""
HOSTILE_ORIGIN = """"><svg onload="pwned=3"><style>*{display:none}</style>"""
HOSTILE_ERROR = "<b onmouseover=pwned=4>type</b>"
HOSTILE_MESSAGE = "<iframe srcdoc='<script>parent.pwned=5</script>'></iframe>"
NOTHING = "nobody-asked-for-this"
ALL = {*METRICS, *CHARTS, *TABLES}
PERIODS = ("1 hour", "24 hours", "7 days", "30 days")


def _call(hours_ago: float, model: str, n: int, *, origin: str = "search", streams: bool = True) -> CompletionRequest:
    """One call; every seventh fails. The unpriced model has neither cost nor cache nor, every second hour, streams."""
    chance = random.Random(n)
    unix = time.time() - hours_ago * HOUR
    failed, priced = n % 7 == 0, model != "unpriced-model"
    known = not failed
    streams = known and streams and (priced or int(hours_ago) % 2 == 0)
    return CompletionRequest(
        timestamp=timestamp_of(int(unix * 1e9)),
        success=known,
        status_code=429 if failed else 200,
        response_time_ms=chance.randint(900, 5000),
        model=model,
        origin=origin,
        labels='{"env":"prod","team":"night <b>"}' if origin == "batch" else None,
        is_streaming=streams,
        event_id=new_event_id(int(unix * 1000)),
        prompt_tokens=1000 if known else None,
        completion_tokens=100 if known else None,
        total_tokens=1100 if known else None,
        cached_tokens=chance.randint(0, 900) if known and priced else None,
        cost_usd=0.01 if known and priced else None,
        time_to_first_token_ms=chance.randint(200, 900) if streams else None,
        tokens_per_second=chance.uniform(20, 150) if streams else None,
        error_type=("rate_limit_error", "overloaded_error")[n // 7 % 2] if failed else None,
        error_message="Too many requests & tokens" if failed else None,
    )


def _calls() -> Iterator[CompletionRequest]:
    for n in range(4000):  # 8 days, one in three minutes
        yield _call(n / 4000 * 192, MODELS[n % 4], n, origin=("search", "billing", "batch")[n % 3])
    for n in range(60):
        yield _call(n / 60, RARE, n, origin="a-rare-origin")
        yield _call(72 + n, OLD, n)
    for n in range(30):
        call = _call(0.2 + n / 100, HOSTILE_MODEL, 7 * n, origin=HOSTILE_ORIGIN)
        yield _with(call, error_type=HOSTILE_ERROR, error_message=HOSTILE_MESSAGE)


def _with(call: CompletionRequest, **fields: object) -> CompletionRequest:
    return CompletionRequest(**{name: getattr(call, name) for name in call.__struct_fields__} | fields)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live page") / "any name.db"
    Recorder(path).open()
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(list(_calls()))
    return path


@pytest.fixture(scope="module")
def server(database: Path) -> Iterator[Server]:
    with live_page.serving(database) as server:
        yield server


@pytest.fixture(scope="module")
def browser(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with live_page.browsing(server.address, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    """The browser, which nothing on the page may have made complain, and which may have asked nobody else."""
    browser.complaints.clear()
    browser.width(1500)
    yield browser
    assert browser.complaints == []
    assert browser.hosts == {f"127.0.0.1:{server.port}"}


def ask(path: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, parameters).fetchall()


def empty(cards: dict[str, Card]) -> set[str]:
    """The cards that show nothing, or say that there is nothing."""
    nothing = {name for name in METRICS if cards[name].figure in {"0", "unknown"}}
    nothing |= {name for name in CHARTS if not cards[name].marks or "no failed calls" in cards[name].text}
    return nothing | {name for name in TABLES if cards[name].rows[0][0] == "none"}


@pytest.mark.parametrize("period", PERIODS)
def test_every_card_draws_something(page: Browser, period: str) -> None:
    cards = page.look(period=period, model="all", origin="all")
    assert set(cards) == ALL
    assert empty(cards) == set()
    assert [name for name in METRICS if not cards[name].figure.lstrip("$")[0].isdigit()] == []
    assert all(len(cards[name].rows) > 5 for name in TABLES)
    assert {name for name, card in cards.items() if card.left_over} == set()


def test_without_a_choice_it_shows_all_of_the_last_24_hours(page: Browser, database: Path) -> None:
    bare = page.look()
    assert "period=24+hours&model=all&origin=all" in page.driver.current_url
    day = "SELECT count(*) FROM completion_requests WHERE timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')"
    ((calls,),) = ask(database, day)
    assert int(bare["calls"].figure.replace(",", "")) == pytest.approx(calls, abs=3)  # time goes on


@pytest.mark.parametrize("pixels", [400, 1000])
def test_a_narrow_window_shows_everything_too(page: Browser, pixels: int) -> None:
    page.width(pixels)
    cards = page.look()
    page_of = "const page = document.documentElement; return [page.scrollWidth - page.clientWidth, window.innerWidth]"
    assert page.driver.execute_script(page_of) == [0, pixels]
    assert {name for name, card in cards.items() if card.left_over} == set()


@pytest.mark.parametrize(
    ("calls", "nothing"),
    [
        pytest.param([], ALL, id="none"),
        pytest.param([_call(0.1, "m", 1)], {"errors", "failures"}, id="one"),
        pytest.param([_with(_call(0.1, "m", 1), time_to_first_token_ms=0)], {"errors", "failures"}, id="at once"),
    ],
)
def test_few_calls_are_drawn_too(
    browser: Browser, tmp_path: Path, calls: list[CompletionRequest], nothing: set[str]
) -> None:
    path = tmp_path / "metrics.db"
    Recorder(path).open()
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(calls)
    with live_page.serving(path) as server:
        page = Browser(browser.driver, server.address)
        assert empty(page.look()) == nothing
        assert page.complaints == []


def test_a_choice_in_the_form_reaches_every_card(page: Browser, database: Path) -> None:
    page.look()
    for name, value in {"period": "1 hour", "model": RARE, "origin": "a-rare-origin"}.items():
        Select(page.driver.find_element(By.ID, name)).select_by_visible_text(value)
    options = [one.text for one in Select(page.driver.find_element(By.ID, "origin")).options]
    assert options == ["", "all", HOSTILE_ORIGIN, "a-rare-origin", "batch", "billing", "search"]
    page.driver.find_element(By.CSS_SELECTOR, "input[type=submit]").click()
    page.until(lambda: RARE in page.driver.current_url)
    cards = page.cards()
    assert empty(cards) == set()
    hour = "model = ? AND timestamp >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')"
    ((calls,),) = ask(database, f"SELECT count(*) FROM completion_requests WHERE {hour}", RARE)  # noqa: S608 - see above
    assert calls > 30
    assert int(cards["calls"].figure) in {calls, calls + 1}  # one may have left the hour since
    assert {row[1] for name in TABLES for row in cards[name].rows} == {RARE}
    assert {row[2] for name in TABLES for row in cards[name].rows} == {"a-rare-origin"}
    assert all(cards[name].legend == [RARE] for name in CHARTS if name != "errors")


@pytest.mark.parametrize(
    "choice", [{"model": NOTHING}, {"origin": NOTHING}, {"label": "team=x"}, {"model": OLD, "period": "24 hours"}]
)
def test_what_was_not_called_empties_every_card(page: Browser, choice: dict[str, str]) -> None:
    assert empty(page.look(**choice)) == ALL


@pytest.mark.parametrize(
    "choice", [{"origin": "batch"}, {"label": "team=night <b>"}, {"model": OLD, "period": "7 days"}]
)
def test_what_was_called_fills_every_card(page: Browser, choice: dict[str, str]) -> None:
    assert empty(page.look(**choice)) == set()


def test_what_is_unknown_is_no_number(page: Browser, server: Server) -> None:
    cards = page.look(model="unpriced-model", period="24 hours")
    assert empty(cards) == {"cost", "costs", "cache"}
    assert not any(row[7] for row in cards["last"].rows)
    answer = server.ask(server.queries()["first_tokens_p50"], model="unpriced-model", period="24 hours")
    assert len(answer["rows"]) in {24, 25}
    assert {row["p50"] is None for row in answer["rows"]} == {True, False}


def test_hostile_texts_stay_texts(page: Browser) -> None:
    cards = page.look(period="1 hour", model=HOSTILE_MODEL, origin=HOSTILE_ORIGIN)
    said = [HOSTILE_ERROR, HOSTILE_ERROR, HOSTILE_MESSAGE]  # a row without a class has the provider's word in its place
    assert cards["failures"].rows[0][1:] == [HOSTILE_MODEL, HOSTILE_ORIGIN, "429", *said]
    assert cards["last"].rows[0][1:3] == [HOSTILE_MODEL, HOSTILE_ORIGIN]
    assert cards["last"].rows[0][8] == HOSTILE_ERROR
    assert page.driver.find_element(By.ID, "model").get_attribute("value") == HOSTILE_MODEL
    bar = page.driver.find_element(By.CSS_SELECTOR, "#card-requests .mark-rect path")
    ActionChains(page.driver).move_to_element(bar).perform()
    tip = page.driver.find_element(By.ID, "vg-tooltip-element")
    assert HOSTILE_MODEL in tip.text
    foreign = ":is(.dashboard-grid, #vg-tooltip-element) :is(img, iframe, b, style, script, [onload], [onerror])"
    assert page.driver.find_elements(By.CSS_SELECTOR, foreign) == []
    time.sleep(0.2)  # an image that fails to load says so a moment later
    assert page.driver.execute_script("return typeof pwned") == "undefined"


def test_a_text_that_got_in_unescaped_could_neither_run_nor_reach_anybody(browser: Browser) -> None:
    browser.look()
    planted = '<img src="http://example.org/told" onerror="pwned=6">'
    browser.driver.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])", planted)
    browser.complaints.clear()
    time.sleep(0.5)  # both complaints come by themselves
    browser.listen()
    assert [one for one in browser.complaints if "Content Security Policy" not in one] == []
    assert all(wall in str(browser.complaints) for wall in ("img-src", "script-src-attr"))
    assert browser.driver.execute_script("return typeof pwned") == "undefined"
    browser.hosts.discard("example.org")


def test_a_title_leads_to_the_card_and_its_sql(page: Browser) -> None:
    page.look(period="24 hours", model="gpt-5.5", origin="all")
    page.driver.find_element(By.LINK_TEXT, "Requests by model").click()
    page.until(lambda: page.driver.find_elements(By.CSS_SELECTOR, ".chart-container .mark-rect path"))
    page.driver.find_element(By.PARTIAL_LINK_TEXT, "View and edit SQL").click()
    page.until(lambda: page.driver.find_elements(By.CSS_SELECTOR, ".CodeMirror-code"))
    series = [cell.text for cell in page.driver.find_elements(By.CSS_SELECTOR, "td.col-series")]
    assert set(series) == {"gpt-5.5"}
    for path in ("/", "/metrics", "/metrics/completion_requests"):
        page.driver.get(f"{page.address.rpartition('/-/')[0]}{path}")
    page.listen()


def test_the_page_is_live_and_never_in_the_way_of_who_writes(page: Browser, database: Path) -> None:
    """The writer gives up at once where it meets a lock, so a single one that the page held would end it."""
    stop, written, trouble = threading.Event(), [0], []

    def write() -> None:
        with closing(open_writer(database)) as connection:
            connection.execute("PRAGMA busy_timeout=0")
            dao = CompletionRequestsDAO(connection)
            try:
                while not stop.wait(0.005):
                    dao.insert_completion_requests([_call(0, "live-model", 1 + 7 * n) for n in range(5)])
                    written[0] += 5
            except sqlite3.Error as error:
                trouble.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        shown = []
        for period in PERIODS:
            at_least = written[0]
            shown.append(int(page.look(period=period, model="live-model")["calls"].figure.replace(",", "")))
            assert at_least <= shown[-1] <= written[0]
    finally:
        stop.set()
        writer.join()
    assert trouble == []
    assert all(later > earlier for earlier, later in pairwise(shown))


def nearest_rank(share: float, values: list[int]) -> int | None:
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


@pytest.mark.parametrize(("period", "digits"), [("7 days", 13), ("30 days", 10)])
def test_percentiles_are_those_of_the_definition(server: Server, database: Path, period: str, digits: int) -> None:
    known: dict[tuple[object, object], list[int]] = defaultdict(list)
    for timestamp, model, ms in ask(
        database, "SELECT timestamp, model, time_to_first_token_ms FROM completion_requests"
    ):
        if isinstance(ms, int):
            known[str(timestamp)[:digits], model].append(ms)
    answer = server.ask(server.queries()["first_tokens_p95"], period=period)["rows"]
    whole = [row for row in answer if row["since"].endswith(":00:00.000Z") and row["series"] in MODELS]
    compared = [known[row["since"][:digits], row["series"]] for row in whole]
    assert [[row["p50"], row["p95"]] for row in whole] == [
        [nearest_rank(0.5, values), nearest_rank(0.95, values)] for values in compared
    ]
    assert (len(whole), sum(map(bool, compared))) > (100, 30)


def test_every_figure_is_that_of_the_rows(server: Server, database: Path) -> None:
    columns = "success, total_tokens, cost_usd, time_to_first_token_ms, tokens_per_second, cached_tokens"
    rows = ask(database, f"SELECT {columns} FROM completion_requests WHERE model = ?", OLD)  # noqa: S608 - the line above
    calls, failed = len(rows), sum(not row[0] for row in rows)
    tokens, usd = (sum(row[n] or 0 for row in rows) for n in (1, 2))
    first = [row[3] for row in rows if row[3] is not None]
    p50, p95 = nearest_rank(0.5, first), nearest_rank(0.95, first)
    assert (calls, failed, p50 != p95) == (60, 9, True)

    queries = server.queries()
    said = {name: server.ask(queries[name], model=OLD, period="7 days")["rows"] for name in (*METRICS, *CHARTS)}
    assert {name: said[name][0]["figure"].split("<small>") for name in METRICS} == {
        "calls": ["60", f"{len(first)} streamed</small>"],
        "error_rate": ["15.00 %", "9 failed</small>"],
        "tokens": [f"{tokens / 1000:.1f} k", "9 calls without a count</small>"],
        "cost": [f"${usd:.4f}", "9 calls without a whole cost</small>"],
        "ttft_p50": [f"{p50} ms", f"of {len(first)} streams</small>"],
        "ttft_p95": [f"{p95} ms", f"of {len(first)} streams</small>"],
    }
    assert sum(row["requests"] or 0 for row in said["requests"]) == calls
    assert sum(row["usd"] or 0 for row in said["costs"]) == pytest.approx(usd)
    assert sum(row["calls"] for row in said["errors"]) == failed
    cached = sum(row["share"] * row["input"] for row in said["cache"] if row["input"])
    assert cached == pytest.approx(sum(row[5] or 0 for row in rows))
    rates = sorted(row[4] for row in rows if row[4] is not None)
    assert sorted(row["p50"] for row in said["speed"] if row["streams"] == 1) == pytest.approx(rates)


def test_many_models_are_the_first_eight_and_the_others(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    Recorder(path).open()
    with closing(open_writer(path)) as connection:
        calls = [_call(n / 100, f"model-{n % (1 + n % 40):02}", n) for n in range(1500)]
        CompletionRequestsDAO(connection).insert_completion_requests(calls)
    with live_page.serving(path) as server:
        answer = server.ask(server.queries()["requests"], period="24 hours")
        lines = server.ask(server.queries()["speed"], period="24 hours")
    names = list(dict.fromkeys(row["series"] for row in answer["rows"]))
    assert (len(names), names[-1], answer["truncated"]) == (9, "other models", False)
    assert sum(row["requests"] or 0 for row in answer["rows"]) == 1500
    assert list(dict.fromkeys(row["series"] for row in lines["rows"])) == names[:8]


def test_nothing_can_be_written_or_asked_from_elsewhere(server: Server, database: Path) -> None:
    before = ask(database, "SELECT count(*) FROM completion_requests")
    for statement in ("DELETE FROM completion_requests", "WITH a AS (SELECT 1) DELETE FROM completion_requests"):
        assert not server.ask(statement)["ok"]
    assert ask(database, "SELECT count(*) FROM completion_requests") == before
    assert server.get("/", Host="rebound.example.org")[0] == 421
    assert server.get("/", Host=f"localhost:{server.port}")[0] == 200
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", server.port))


def test_ctrl_c_ends_it_without_a_word(database: Path) -> None:
    with live_page.serving(database) as server:
        server.get("/")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(live_page.PATIENCE) == 0


def _make(*words: str) -> tuple[int, str]:
    command = [shutil.which("make") or "make", "dashboard", *words]
    of_its_own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=of_its_own, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.split("make: ***")[0]


def test_an_unknown_home_is_one_sentence() -> None:
    said = (
        "The home folder in ~nobody-here/metrics.db is unknown: give an absolute path (--db PATH, with make DB=PATH).\n"
    )
    assert _make("DB=~nobody-here/metrics.db") == (2, said)


def test_a_database_that_is_not_there_is_one_sentence_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    cure = "start the proxy, or give the right path (--db PATH, with make DB=PATH)."
    assert _make(f"DB={path}") == (2, f"There is no database at {path}: {cure}\n")
    assert list(tmp_path.glob("metrics.db*")) == []


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be read as one" * 100])
def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.db"
    path.write_bytes(content)
    code, said = _make(f"DB={path}")
    assert (code, said.count("\n"), str(path) in said, said.endswith(".\n")) == (2, 1, True, True)
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE completion_requests (prompt)")
    why = "(no such column: event_id): give the path of a database that the proxy writes."
    assert _make(f"DB={path}") == (2, f"{path} cannot be shown {why}\n")


def test_a_port_in_use_is_one_sentence(database: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = f"Port {port} of 127.0.0.1 is in use: choose another (--port 8002, with make PORT=8002).\n"
        assert _make(f"DB={database}", f"PORT={port}") == (2, sentence)

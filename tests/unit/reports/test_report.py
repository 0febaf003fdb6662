"""`sqlite-utils llm-report`: the right figures on one page that needs nothing else, and runs nothing."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.migrations import classes
from llm_metrics_proxy.recorder.report import charts, content, page, words
from llm_metrics_proxy.recorder.report.charts import Bar, Frame, Point
from llm_metrics_proxy.recorder.report.content import Content
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.database import reader
from tests.support.recent_calls import HARMLESS, HOSTILE, any_calls, call, write
from tests.unit.reports.test_top import figures_of

SQLITE_UTILS = str(Path(sys.executable).with_name("sqlite-utils"))
NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EMPTY = {"br", "col", "hr", "img", "input", "link", "meta"}  # elements of HTML that have no end


class Page(HTMLParser):
    """What a browser makes of a page, as far as these tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style" and data.strip():
            self.texts.append(data.strip())

    def count(self, tag: str, kind: str) -> int:
        return sum(one == tag and kind in (attributes.get("class") or "").split() for one, attributes in self.elements)


def llm_report(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [SQLITE_UTILS, "llm-report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(*arguments: object) -> str:
    done = llm_report(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def collected(path: Path, days: int = 7) -> Content:
    with reader(path) as connection:
        return content.collect(connection, content.period(days, datetime.now(UTC)))


def rendered(path: Path, days: int = 7) -> str:
    return page.render(collected(path, days), path.name)


def svgs(text: str) -> Iterator[ET.Element]:
    for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        yield ET.fromstring(found)  # noqa: S314 - ours


@pytest.fixture
def filled(current_db: Path) -> Path:
    """Calls of all kinds of the last three weeks."""
    write(current_db, any_calls(3, 2000, longest_ago=21 * DAY))
    return current_db


def test_the_figures_are_those_of_the_calls(current_db: Path) -> None:
    calls = any_calls(5, 2000, longest_ago=21 * DAY)
    write(current_db, calls)
    found = collected(current_db)
    start, end = timestamps.bound(found.period.start), timestamps.bound(found.period.end)
    inside = [one for one in calls if start <= one.timestamp < end]
    before = [one for one in calls if timestamps.bound(found.period.start - 7 * DAY) <= one.timestamp < start]
    assert len(inside) > 500
    assert len(before) > 500

    def builtins(figures: Any) -> dict[str, Any]:  # noqa: ANN401 - a struct or None
        return {name: getattr(figures, name) for name in figures.__struct_fields__}

    assert found.total is not None
    assert builtins(found.total) == figures_of("total", inside)
    assert builtins(found.before) == figures_of("total", before)
    for model in {one.model for one in calls}:
        assert builtins(next(one for one in found.models if one.name == model)) == figures_of(
            model, (one for one in inside if one.model == model)
        )
        assert builtins(found.models_before[model]) == figures_of(model, (one for one in before if one.model == model))
    for origin in {one.origin for one in calls}:
        assert builtins(next(one for one in found.origins if one.name == origin)) == figures_of(
            origin, (one for one in inside if one.origin == origin)
        )
    for slot, of_slot in enumerate(found.slots):
        begins, ends = (timestamps.bound(found.period.start + n * found.period.slot) for n in (slot, slot + 1))
        those = [one for one in inside if begins <= one.timestamp < ends]
        assert (None if of_slot is None else builtins(of_slot)) == (figures_of(None, those) if those else None)
        for model, panel in found.panels.items():
            of_model = [one for one in those if one.model == model]
            figures = panel[slot]
            assert (None if figures is None else builtins(figures)) == (
                figures_of(None, of_model) if of_model else None
            )
    assert sum(one.requests for one in found.slots if one) == found.total.requests


def test_errors_costs_and_extremes_are_those_of_the_calls(current_db: Path) -> None:
    calls = any_calls(6, 1000, longest_ago=6 * DAY)
    write(current_db, calls)
    found = collected(current_db)
    failed = [one for one in calls if not one.success]
    types = {(classes.of_error_type(one.error_type or ""), one.error_type) for one in failed}
    assert {(one.error_class, one.name): (one.count, one.last_at, one.models) for one in found.errors} == {
        (cause, kind): (
            len(those := [one for one in failed if one.error_type == kind]),
            max(one.timestamp for one in those),
            len({one.model for one in those} - {None}),
        )
        for cause, kind in types
    }
    for (day, model), cost in found.costs.items():
        those = [one for one in calls if one.timestamp.startswith(day) and one.model == model]
        assert cost == figures_of(None, those)["cost_usd"]
    assert [one.response_time_ms for one in found.slowest] == sorted(one.response_time_ms for one in calls)[:-11:-1]
    priced = sorted(one.cost_usd for one in calls if one.cost_usd is not None)
    assert [one.cost_usd for one in found.dearest] == priced[:-11:-1]
    for message in found.messages:
        those = [one for one in failed if (one.error_type, one.error_message) == (message.error_type, message.text)]
        last = max(those, key=lambda one: one.timestamp)
        assert (message.count, message.last_at, message.model) == (len(those), last.timestamp, last.model)


@given(days=st.integers(1, 3660))
def test_slots_are_whole_and_neither_few_nor_many(days: int) -> None:
    found = content.period(days, NOW)
    assert found.end - found.start == days * DAY
    assert NOW < found.end <= NOW + timedelta(minutes=1)
    assert found.slots * found.slot == days * DAY
    assert 40 <= found.slots <= 96
    assert found.slot.total_seconds() % 1 == 0


def test_the_time_before_is_compared_only_if_all_of_it_is_there(current_db: Path) -> None:
    write(current_db, [call(HOUR), call(8 * DAY)])
    found = collected(current_db)
    assert (found.before, found.models_before) == (None, {})
    assert "does not go back far enough" in page.render(found, "metrics.db")
    write(current_db, [call(15 * DAY)])
    before = collected(current_db).before
    assert before is not None
    assert before.requests == 1


def test_one_page_without_scripts_or_anything_from_elsewhere(filled: Path) -> None:
    text = rendered(filled)
    found = Page(text)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "image", "use"}
    names = {name for _, attributes in found.elements for name in attributes}
    assert not names & {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}
    assert not any(name.startswith("on") for name in names)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", text)
    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    assert ("meta", policy) in found.elements
    assert "@media (prefers-color-scheme: dark)" in text
    assert len(text) < 300_000


def test_no_text_of_others_becomes_markup(current_db: Path) -> None:
    fields = {"model": HOSTILE, "origin": HOSTILE, "time_to_first_token_ms": 5, "cost_usd": 1.0, "cached_tokens": 1}
    write(
        current_db,
        [
            call(HOUR, **fields, prompt_tokens=3),
            call(HOUR, **fields, success=False, error_type=HOSTILE, error_message=HOSTILE),
        ],
    )
    text = rendered(current_db)
    found = Page(text)
    assert all(one.isprintable() or one == "\n" for one in text)
    assert "script" not in {tag for tag, _ in found.elements}
    texts = "\n".join(found.texts)
    # legend, panel, two tables, two lists, errors, messages: whole, as it was, and no template ran it
    assert texts.count(HARMLESS) >= 10
    assert "49" not in HARMLESS
    for svg in svgs(text):
        assert "onload" not in ET.tostring(svg, encoding="unicode")


def test_the_headline_tells_figures_and_how_they_changed(current_db: Path) -> None:
    new = {"time_to_first_token_ms": 1500, "prompt_tokens": 1000, "completion_tokens": 200, "cost_usd": 2.0}
    old = {"time_to_first_token_ms": 1000, "prompt_tokens": 1000, "completion_tokens": 200, "cost_usd": 2.0}
    write(
        current_db,
        [
            call(15 * DAY),
            *(call(8 * DAY, **old) for _ in range(40)),
            *(call(HOUR, **new) for _ in range(20)),
            call(HOUR, success=False, model="other"),
        ],
    )
    texts = Page(rendered(current_db)).texts
    headline = texts[: texts.index("succeeded")]
    assert " ".join(headline).split(" UTC, from metrics.db ")[1] == (
        "Requests 21 ▼ 48 % from 40 2 models, 1 origin "
        "Failed 4.8 % 1 call "
        "Tokens 24.0k ▼ 50 % from 48.0k 20.0k in, 4,000 out "
        "Cost $40.00 ▼ 50 % from $80.00 "
        "First token, median 1.50 s ▲ 50 % from 1.00 s half of the streams began sooner "
        "First token, p95 1.50 s ▲ 50 % from 1.00 s 95 % of the streams began sooner "
        "Requests in each 2 hours"
    )
    by_model = texts[texts.index("By model") :]
    assert by_model[by_model.index("gpt-5") :][:7] == ["gpt-5", "20", "0", "0 %", "1.50 s", "▲ 50 %", "1.50 s"]


def test_small_changes_and_few_streams_are_not_made_much_of(current_db: Path) -> None:
    write(
        current_db,
        [
            call(15 * DAY),
            *(call(8 * DAY, time_to_first_token_ms=1000) for _ in range(25)),
            *(call(HOUR, time_to_first_token_ms=1050) for _ in range(25)),
            *(call(8 * DAY, model="rare", time_to_first_token_ms=100) for _ in range(19)),
            *(call(HOUR, model="rare", time_to_first_token_ms=900) for _ in range(25)),
        ],
    )
    text = rendered(current_db)
    table = text[text.index("By model") : text.index("By origin")]
    assert table.count('<span class="small muted">▲ 5 %</span>') == 2
    assert "worse" not in table
    assert "better" not in table


def test_what_is_not_known_is_never_0(current_db: Path) -> None:
    write(current_db, [call(30 * HOUR, model=None, origin=None), call(2 * HOUR, is_streaming=False)])
    text = rendered(current_db)
    texts = Page(text).texts
    assert "(unknown)" in texts
    assert "No cost is known of any call." in texts
    assert "No provider told of its cache." in texts
    assert "Time to the first token" not in texts
    assert "$0.00" not in text
    assert "0 ms" not in texts
    assert "2 successful calls without a known cost" in texts


def test_a_sum_that_lacks_something_is_marked(current_db: Path) -> None:
    write(current_db, [call(HOUR, cost_usd=1.5, prompt_tokens=7, completion_tokens=3), call(HOUR)])
    texts = Page(rendered(current_db)).texts
    assert texts.count("$1.50+") == 3  # headline, model, origin
    assert texts.count("7+") == 2


def test_a_day_of_which_no_cost_is_known_says_so(current_db: Path) -> None:
    write(current_db, [call(2 * DAY, cost_usd=3.0), call(3 * DAY)])
    found = collected(current_db)
    days = sorted({day for day, _ in found.costs})
    assert [found.costs[day, "gpt-5"] for day in days] == [None, 3.0]
    (costs,) = [svg for svg in svgs(page.render(found, "x")) if svg.get("aria-label") == "Cost of each day, by model"]
    labels = [text.text for text in costs.iter("text") if text.get("class") == "sum"]
    assert labels == ["not known", "$3.00"]
    assert len([rect for rect in costs.iter("rect") if rect.get("class") == "c1"]) == 1


def test_a_database_without_calls_and_a_time_without_any_have_their_page(current_db: Path) -> None:
    assert "The database has no calls at all yet." in Page(rendered(current_db)).texts
    write(current_db, [call(DAY, timestamp="2026-01-01T10:00:00.000Z")])
    texts = Page(rendered(current_db, 1)).texts
    assert "Nothing was recorded in this time. The last call was at 2026-01-01 10:00:00 UTC." in texts
    assert "Requests" not in texts


def test_many_models_origins_and_types_leave_the_page_small(current_db: Path) -> None:
    write(
        current_db,
        [
            call(
                n * timedelta(minutes=3),
                model=f"model-{n % 300}",
                origin=f"10.0.{n // 250}.{n % 250}",
                time_to_first_token_ms=n,
                cost_usd=n / 100,
                success=n % 3 > 0,
                error_type=f"type_{n % 100}",
                error_message=f"message {n}",
            )
            for n in range(1, 3000)
        ],
    )
    text = rendered(current_db)
    texts = Page(text).texts
    assert len(text) < 300_000
    assert texts.count("others") == 1
    assert "and 285 more with fewer requests" in texts
    assert "and 2984 more with fewer requests" in texts
    assert "and 90 more" in texts
    assert len([svg for svg in svgs(text) if "first token" in (svg.get("aria-label") or "")]) == 6


def _frame(unit: Any = str) -> Frame:  # noqa: ANN401
    return Frame(charts.WIDE, content.period(1, NOW), "a title", unit)


def _points(values: list[float | None]) -> list[Point]:
    start = content.period(1, NOW).start
    return [
        Point(start + n * HOUR, start + (n + 1) * HOUR, value, value and 2 * value, f"tip {n}")
        for n, value in enumerate(values)
    ]


def test_a_line_does_not_go_on_over_what_is_not_known() -> None:
    svg = ET.fromstring(  # noqa: S314 - ours
        charts.lines(_points([1, 2, 3, None, None, 4, None, 5, 6]), frame=_frame(), kind="c1")
    )
    lines = [path.get("d") or "" for path in svg.iter("path") if path.get("class") == "c1 line"]
    assert [line.count("L") + 1 for line in lines] == [3, 2]
    dots = [one.get("class") for one in svg.iter("circle")]
    assert dots == ["c1 dot", "c1 dot faint"]
    assert [title.text for title in svg.iter("title")] == [f"tip {n}" for n in range(9)]


def test_bars_are_as_high_as_their_values_and_stand_on_each_other() -> None:
    start = content.period(1, NOW).start
    found = [
        Bar(start, start + HOUR, [("error", 10), ("fine", 30)], "both"),
        Bar(start + HOUR, start + 2 * HOUR, [("error", 0), ("fine", 20)], "one"),
        Bar(start + 2 * HOUR, start + 3 * HOUR, [], "none"),
    ]
    svg = ET.fromstring(charts.bars(found, frame=_frame(), whole=True))  # noqa: S314 - ours
    rects = [one for one in svg.iter("rect") if one.get("class") != "tip"]
    (error, fine, alone) = [
        (one.get("class"), float(one.get("y") or 0), float(one.get("height") or 0)) for one in rects
    ]
    assert (error[0], fine[0], alone[0]) == ("error", "fine", "fine")
    assert fine[2] == pytest.approx(3 * error[2], abs=0.2)
    assert alone[2] == pytest.approx(2 * error[2], abs=0.2)
    assert fine[1] + fine[2] == pytest.approx(error[1], abs=0.2)
    assert [text.text for text in svg.iter("text")][:5] == ["0", "10", "20", "30", "40"]


@example(highest=1e-09, whole=True)
@given(highest=st.floats(0, 1e15), whole=st.booleans())
def test_marks_are_round_and_reach_over_everything(highest: float, *, whole: bool) -> None:
    found = words.marks(highest, whole=whole)
    assert found[0] == 0
    assert found[-1] >= highest * (1 - 1e-8)
    assert 2 <= len(found) <= 5
    step = found[1]
    assert [mark / step for mark in found] == pytest.approx(list(range(len(found))))
    if whole:
        assert all(mark == int(mark) for mark in found)
    if highest > 1:
        assert found[-1] < 2.6 * highest + 2 * step * whole


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - made aware below
    length=st.timedeltas(timedelta(hours=3), timedelta(days=3660)),
    most=st.integers(4, 12),
)
def test_moments_are_round_and_not_too_many(start: datetime, length: timedelta, most: int) -> None:
    start = start.replace(tzinfo=UTC)
    found = list(words.moments(start, start + length, most=most))
    assert len(found) <= most + 1
    assert all(start <= at <= start + length for at, _ in found)
    assert all(at.second == at.microsecond == 0 and at.minute % 5 == 0 for at, _ in found)
    assert len({later - earlier for (earlier, _), (later, _) in pairwise(found)}) <= 1
    assert len({label for _, label in found}) == len(found) or length > timedelta(hours=23)


def test_the_command_writes_the_page_and_says_so(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    done = llm_report(filled, "-o", target, "--days", 7)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"{target}: \d+ calls, \d+ kB\n", done.stdout)
    text = target.read_text()
    assert text.startswith("<!doctype html>")
    assert "LLM calls of the last 7 days" in Page(text).texts
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []
    printed = llm_report(filled, "-o", "-", "--days", 1).stdout
    assert "LLM calls of the last 24 hours" in Page(printed).texts


def test_an_earlier_report_makes_way_and_nothing_else_does(filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("<!doctype html><p>somebody else's page")
    assert f"{target} exists and is no report: " in refused(filled, "-o", target)
    assert target.read_text() == "<!doctype html><p>somebody else's page"
    assert llm_report(filled, "-o", target, "--force").returncode == 0
    first = target.stat().st_ino
    assert llm_report(filled, "-o", target).returncode == 0
    assert target.stat().st_ino != first
    link = tmp_path / "link.html"
    link.symlink_to(target)
    assert llm_report(filled, "-o", link).returncode == 0
    assert link.is_symlink()
    empty = tmp_path / "empty.html"
    empty.touch()
    assert llm_report(filled, "-o", empty).returncode == 0


def test_the_database_itself_is_never_written_to(filled: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.html"
    link.symlink_to(filled)
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute("SELECT * FROM completion_requests LIMIT 1").fetchall()  # now -wal and -shm are there
        for target in (filled, f"{filled}-wal", f"{filled}-shm", link):
            assert "belongs to the database" in refused(filled, "-o", target, "--force")
    with closing(sqlite3.connect(filled)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM completion_requests").fetchone() == (2000,)


def test_where_it_cannot_be_written_a_sentence_says_why_and_nothing_is_left(filled: Path, tmp_path: Path) -> None:
    assert " is a folder: name a file." in refused(filled, "-o", tmp_path)
    assert "cannot be written (No such file or directory)" in refused(filled, "-o", tmp_path / "no" / "report.html")
    assert "cannot be written (No space left on device)" in refused(filled, "-o", "/dev/full")
    assert llm_report(filled, "-o", "/dev/null").returncode == 0
    assert not Path("/dev/null").is_file()
    assert {path.name for path in tmp_path.iterdir()} <= {"metrics.db", "metrics.db-wal", "metrics.db-shm"}
    with Path("/dev/full").open("wb") as full:
        command = [SQLITE_UTILS, "llm-report", str(filled), "-o", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_without_a_database_of_ours_there_is_a_sentence_and_no_file(tmp_path: Path, version_1: Path) -> None:
    target = tmp_path / "report.html"
    assert "There is no database at" in refused(tmp_path / "typo.db", "-o", target)
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database, but longer than the header of one " * 10)
    assert "is not a SQLite database" in refused(notes, "-o", target)
    assert "has schema version 1, and this program reads version " in refused(version_1, "-o", target)
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE t (a)")
    assert "is the database of another program" in refused(foreign, "-o", target)
    assert not target.exists()
    assert not (tmp_path / "typo.db").exists()


def test_wrong_usage_ends_with_2(filled: Path, tmp_path: Path) -> None:
    assert llm_report(filled).returncode == 2
    assert llm_report(filled, "-o", tmp_path / "x.html", "--days", 0).returncode == 2


def test_calls_are_added_up_by_label(current_db: Path) -> None:
    said = ('{"env":"prod","team":"a<b>"}', '{"team":"c"}', "{", None)
    calls = [call(DAY, labels=said[number % 4], cost_usd=0.5) for number in range(40)]
    write(current_db, calls)
    found = {one.name: (one.requests, one.cost_usd) for one in collected(current_db).labels}
    assert found == {"env=prod": (10, 5.0), "team=a<b>": (10, 5.0), "team=c": (10, 5.0)}
    drawn = page.render(collected(current_db), "metrics.db")
    assert "By label" in drawn
    assert "team=a&lt;b&gt;" in drawn

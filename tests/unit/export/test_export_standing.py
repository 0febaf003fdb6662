"""How exports stand: what status says, what is kept for them and for how long, and how one is ended for good."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder.care import status
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.export import Unavailable, run
from llm_metrics_proxy.recorder.export.run import Report, export
from llm_metrics_proxy.recorder.store import exporters, timestamps
from llm_metrics_proxy.recorder.upkeep import prune
from tests.support.database import execute
from tests.support.exporting.following import ROWS, MakeEvent, add, fails, following
from tests.support.exporting.shelf import Shelf

pytestmark = pytest.mark.usefixtures("hurried")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_status_says_how_far_an_export_is_and_why_it_does_not_go_on(
    filled: Path, monkeypatch: pytest.MonkeyPatch, make_event: MakeEvent
) -> None:
    export(filled, shelf := Shelf())
    add(filled, make_event(timestamp="2026-03-02T00:00:00.000Z"))
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.05)
    shelf.before = fails(1_000, Unavailable("it sleeps"))
    with pytest.raises(ExportFailed):
        export(filled, shelf)
    (lag,) = status.collect(filled).exporters
    assert (lag.name, lag.active, lag.waiting, lag.sent) == ("shelf somewhere", True, 1, ROWS)
    assert (lag.waiting_since, lag.error) == ("2026-03-02T00:00:00.000Z", "it sleeps")
    shelf.before = lambda _batch: None
    export(filled, shelf)
    (lag,) = status.collect(filled).exporters
    assert (lag.waiting, lag.waiting_since, lag.error) == (0, None, None)
    assert "shelf somewhere" in status.as_text(status.collect(filled))


def test_status_says_what_ended_an_export(filled: Path) -> None:
    export(filled, shelf := Shelf())
    shelf.before = fails(1, ExportFailed(what="the password is wrong", cure="set another"))
    with pytest.raises(ExportFailed):
        export(filled, shelf, again=True, follow=True)
    assert status.collect(filled).exporters[0].error == "the password is wrong: set another."


def test_what_an_export_has_not_sent_is_not_pruned(filled: Path, make_event: MakeEvent) -> None:
    export(filled, Shelf())
    add(filled, make_event(), make_event())
    after = datetime.now(UTC)
    assert prune.old(filled, after).rows == ROWS
    done = prune.prune(filled, after)
    assert (done.rows, done.kept) == (ROWS, 2)


def test_for_an_export_that_was_silent_for_a_week_nothing_is_kept(filled: Path, make_event: MakeEvent) -> None:
    export(filled, Shelf())
    add(filled, make_event())
    silent = timestamps.bound(datetime.now(UTC) - exporters.ACTIVE_FOR - timedelta(minutes=1))
    execute(filled, "UPDATE exporters SET reached_at = ?", silent)
    assert prune.prune(filled, datetime.now(UTC)).rows == ROWS + 1
    assert not status.collect(filled).exporters[0].active


def test_an_export_that_has_nothing_to_send_is_heard_from(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HEARTBEAT_SECONDS", 0.0)
    export(filled, shelf := Shelf())
    execute(filled, "UPDATE exporters SET reached_at = '2026-01-01T00:00:00.000Z'")
    following(filled, shelf, lambda _report: not shelf.batches[-1].rows)
    assert (shelf.batches[-1].rows, shelf.came) == ((), ROWS)
    assert status.collect(filled).exporters[0].active


def test_a_destination_that_was_never_reached_keeps_nothing_back(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.3)

    class Away(Shelf):
        def connect(self, source_id: str) -> None:
            message = f"nobody answers {source_id[:0]}"
            raise Unavailable(message)

    reports: list[Report] = []
    with pytest.raises(ExportFailed):
        export(filled, Away(), progress=reports.append)
    found = status.collect(filled)
    (lag,) = found.exporters
    assert (lag.active, lag.waiting, lag.reached_at, lag.error) == (False, ROWS, "", "nobody answers ")
    assert "never: nothing is kept for it" in status.as_text(found)
    assert prune.prune(filled, datetime.now(UTC)).kept == 0
    assert {report.waiting for report in reports} == {ROWS}


def test_an_export_can_be_forgotten(filled: Path) -> None:
    export(filled, Shelf())
    assert command("forget", "shelf somewhere", "--db", filled).exit_code == 0
    assert status.collect(filled).exporters == ()
    again = command("forget", "shelf somewhere", "--db", filled)
    assert (again.exit_code, again.stderr) == (
        1,
        "Error: There is no export to shelf somewhere: give a name that llm-metrics status shows.\n",
    )


def test_one_that_runs_is_not_forgotten(filled: Path) -> None:
    shelf, codes = Shelf(), []
    shelf.before = lambda _batch: codes.append(command("forget", shelf.name, "--db", filled).exit_code)
    export(filled, shelf)
    assert set(codes) == {1}

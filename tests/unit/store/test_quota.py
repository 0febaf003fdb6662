"""What answers said of limits: one row a minute, small for ever, and what is left of each."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.events import Limit, Limits
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import quota, timestamps
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.slices import Slices, open_background
from tests.support.database import ask

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
KEY = "0123456789abcdef"


def limits(
    at: datetime,
    remaining: float | None,
    *,
    model: str = "gpt-5",
    resets: datetime | None = None,
    of: float | None = 100.0,
) -> Limits:
    moment = None if resets is None else timestamps.bound(resets)
    return Limits("openai", KEY, timestamps.bound(at), (Limit("plan", "5h", model, of, remaining, moment),))


def noted(path: Path, *said: Limits) -> None:
    with closing(open_writer(path)) as connection, connection:
        assert [quota.note(connection, one) for one in said] == [True] * len(said)


def thinned(path: Path, most: int = quota.MOST_ROWS) -> int:
    with closing(open_background(path)) as connection:
        surplus = quota.surplus(connection, NOW, most)
        quota.delete(connection, Slices(connection, path), surplus)
    return len(surplus)


def headroom(path: Path) -> list[tuple[object, ...]]:
    return ask(path, "SELECT model, used, used_percent, remaining, resets_at, empty_at FROM quota_headroom")


def test_a_minute_has_one_row_with_what_was_said_last(current_db: Path) -> None:
    second = timedelta(seconds=1)
    noted(current_db, limits(NOW + 30 * second, 70), limits(NOW, 80), limits(NOW + 59 * second, 60, resets=NOW))
    noted(current_db, limits(NOW + 60 * second, 50))
    assert ask(current_db, "SELECT minute, seen_at, quota_limit, remaining, resets_at FROM quota") == [
        ("2026-12-01T12:00", "2026-12-01T12:00:59.000Z", 100.0, 60.0, "2026-12-01T12:00:00.000Z"),
        ("2026-12-01T12:01", "2026-12-01T12:01:00.000Z", 100.0, 50.0, None),
    ]


def test_what_is_submitted_is_noted_and_counted(current_db: Path) -> None:
    recorder = Recorder(current_db)
    recorder.open()
    recorder.start()
    recorder.submit(limits(NOW, 80))
    recorder.submit(Limits("openai", None, timestamps.bound(NOW), (Limit("tokens", None, None, None, 5.0, None),)))
    recorder.close()
    assert recorder.counters() == {"received": 2, "limits": 2}
    assert ask(current_db, "SELECT key_id, model, kind, quota_window, quota_limit FROM quota ORDER BY kind") == [
        (KEY, "gpt-5", "plan", "5h", 100.0),
        ("", "", "tokens", "", None),
    ]


def test_of_days_that_are_past_the_last_minute_of_each_hour_stays_for_a_month(current_db: Path) -> None:
    minute = timedelta(minutes=1)
    old = [limits(NOW - 3 * timedelta(days=1) + number * 7 * minute, number) for number in range(40)]
    noted(
        current_db,
        *old,
        limits(NOW - 40 * timedelta(days=1), 1),
        *(limits(NOW - number * minute, 1) for number in range(9)),
    )
    before = ask(current_db, "SELECT minute, remaining FROM quota ORDER BY minute")
    deleted = thinned(current_db)
    after = ask(current_db, "SELECT minute, remaining FROM quota ORDER BY minute")
    between = [(str(at), left) for at, left in before if "2026-11-20" < str(at) < "2026-11-30"]
    last_of_hours = {at[:13]: (at, left) for at, left in between}
    assert after == [*last_of_hours.values(), *before[-9:]]
    assert deleted == len(before) - len(after)
    assert thinned(current_db) == 0


def test_there_are_never_more_rows_than_that(current_db: Path) -> None:
    noted(current_db, *(limits(NOW - timedelta(minutes=number), 1, model=f"m{number}") for number in range(30)))
    thinned(current_db, most=10)
    assert ask(current_db, "SELECT count(*), min(minute) FROM quota") == [(10, "2026-12-01T11:51")]


def test_the_pace_of_the_last_hour_says_when_a_window_is_empty(current_db: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    minute, resets = timedelta(minutes=1), now + timedelta(hours=4)
    noted(current_db, *(limits(now - back * minute, 60 + back, resets=resets) for back in (120, 30, 20, 10, 0)))
    ((model, used, percent, remaining, resets_at, empty_at),) = headroom(current_db)
    assert (model, used, percent, remaining, resets_at) == ("gpt-5", 40.0, 40.0, 60.0, timestamps.bound(resets))
    assert abs(datetime.fromisoformat(str(empty_at)) - (now + 60 * minute)) < timedelta(seconds=2)


@pytest.mark.parametrize(
    ("remaining", "resets_in_hours"),
    [((60, 60, 60), 4), ((90, 80, 70), 0.5), ((10, 100, 100), 4), ((100,), 4)],
    ids=["nothing used", "resets before", "refilled", "said once"],
)
def test_a_window_that_does_not_run_empty_before_it_resets_has_no_such_moment(
    current_db: Path, remaining: tuple[float, ...], resets_in_hours: float
) -> None:
    now = datetime.now(UTC)
    resets = now + timedelta(hours=resets_in_hours)
    said = [
        limits(now - timedelta(minutes=9 * back), left, resets=resets) for back, left in enumerate(reversed(remaining))
    ]
    noted(current_db, *said)
    assert [(row[3], row[5]) for row in headroom(current_db)] == [(remaining[-1], None)]


def test_only_windows_that_still_last_are_listed(current_db: Path) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    noted(
        current_db,
        limits(now - hour / 2, 1, model="reset since", resets=now - hour / 4),
        limits(now - hour / 2, 2, model="a minute's", resets=now - hour / 2 + timedelta(seconds=20)),
        limits(now - 5 * hour, 3, model="a minute's, long ago", resets=now - 5 * hour),
        limits(now - 5 * hour, 4, model="seen long ago", resets=now + hour),
        limits(now, 5, model="no reset, no limit", of=None),
        limits(now, None, model="no limit at all"),
    )
    found = {row[0]: row[1:4] for row in headroom(current_db)}
    assert found == {
        "a minute's": (98.0, 98.0, 2.0),
        "seen long ago": (96.0, 96.0, 4.0),
        "no reset, no limit": (None, None, 5.0),
        "no limit at all": (None, None, None),
    }

"""Totals for Prometheus: each row counts once, whatever happens to the database or to the process that counts."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.export import outbox
from llm_metrics_proxy.recorder.export.prometheus import by_label, counting, facts, families, totals
from llm_metrics_proxy.recorder.export.prometheus.by_label import ByLabel
from llm_metrics_proxy.recorder.export.prometheus.counting import NAME, Counting
from llm_metrics_proxy.recorder.export.prometheus.totals import (
    LONGEST,
    OTHER,
    TIME_BOUNDS,
    TOKENS,
    UNKNOWN,
    Kind,
    Labels,
    Totals,
)
from llm_metrics_proxy.recorder.prices.notes import WORDS
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store import exporters, presence
from llm_metrics_proxy.recorder.store.database import reader
from llm_metrics_proxy.recorder.upkeep import prune
from tests.support.database import execute
from tests.support.exporting.metrics_server import HOSTILE, INSERT, price_all
from tests.support.recent_calls import any_calls, call, write

DAY = timedelta(days=1)


def count(path: Path, counter: Counting | None = None) -> Counting:
    """Count all that is there."""
    counter = counter or Counting(path)
    with reader(path) as connection:
        assert counter.count(connection, time.monotonic() + 60)
    return counter


def kept(path: Path) -> str:
    (text,) = execute(path, "SELECT state FROM exporters WHERE name = ?", NAME)[0]
    return str(text)


def calls_of(counter: Counting) -> int:
    return sum(kind.calls for kind in counter.totals.kinds.values())


def as_json(counter: Counting) -> str:
    return counting.as_json(counter.totals, row_id=counter.row_id, cost_id=counter.cost_id, history_id=0)


@pytest.fixture
def _somebody_prices(current_db: Path) -> Iterator[None]:
    """A recorder lives."""
    sign = presence.Presence(current_db, "somebody")
    sign.appear()
    yield
    sign.vanish()


@pytest.fixture
def filled(current_db: Path) -> Path:
    write(current_db, any_calls(1, 500, longest_ago=DAY))
    price_all(current_db)
    return current_db


def test_totals_agree_with_the_database(filled: Path) -> None:
    write(filled, [call(DAY, response_time_ms=bound) for bound in TIME_BOUNDS])
    price_all(filled)
    found = count(filled).totals
    by_kind = execute(
        filled,
        "SELECT ifnull(provider, 'unknown'), ifnull(model, 'unknown'), "
        "CASE WHEN success THEN 'success' ELSE ifnull(error_type, 'unknown') END, count(*), sum(response_time_ms) "
        "FROM completion_requests GROUP BY 1, 2, 3",
    )
    assert {(*kind.key[:2], kind.outcome, kind.calls, kind.duration.total) for kind in found.kinds.values()} == {
        (*key, calls, float(ms)) for *key, calls, ms in by_kind
    }
    sums = ", ".join(f"sum({name})" for name in TOKENS.values())
    (known,) = execute(filled, f"SELECT {sums} FROM completion_requests")  # noqa: S608 - names of our own
    assert [sum(column) for column in zip(*(g.tokens for g in found.groups.values()), strict=True)] == [
        float(n or 0) for n in known
    ]
    ((cost, priceless),) = execute(filled, "SELECT sum(cost_usd), sum(cost_usd IS NULL) FROM completion_requests")
    assert sum(group.cost for group in found.groups.values()) == cost
    assert sum(group.priceless for group in found.groups.values()) == priceless
    failed = dict(execute(filled, "SELECT error_class, count(*) FROM call_errors GROUP BY 1"))
    assert failed
    assert dict(sum((Counter(group.errors) for group in found.groups.values()), Counter())) == failed
    for index, bound in enumerate(TIME_BOUNDS):
        ((below,),) = execute(filled, "SELECT sum(response_time_ms <= ?) FROM completion_requests", bound)
        assert sum(sum(kind.duration.counts[: index + 1]) for kind in found.kinds.values()) == below


def test_the_pieces_make_no_difference_not_even_in_the_last_bit(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(filled, "UPDATE completion_requests SET cost_usd = id / 7.0, response_time_ms = id / 3.0")
    whole = as_json(count(filled))
    monkeypatch.setattr(counting, "AT_ONCE", 7)
    assert as_json(count(filled)) == whole


def test_what_was_saved_is_gone_on_from_and_the_rest_is_counted_again(filled: Path) -> None:
    first = count(filled)
    first.save()
    write(filled, any_calls(2, 100, longest_ago=DAY))
    assert calls_of(count(filled, first)) == 600  # and it is killed before it saves that
    again = count(filled)
    assert calls_of(again) == 600
    price_all(filled)
    assert as_json(count(filled, again)) == as_json(count(filled, first))


def test_another_saving_in_between_is_gone_on_from(filled: Path) -> None:
    first = count(filled)
    second = count(filled)
    write(filled, any_calls(2, 100, longest_ago=DAY))
    count(filled, second).save()
    first.save()  # of less
    assert calls_of(count(filled, first)) == calls_of(count(filled)) == 600
    assert counting.from_json(kept(filled)).row_id == 600  # type: ignore[union-attr] # or the test fails


def test_nothing_is_written_while_nothing_is_new(filled: Path) -> None:
    counter = count(filled)
    counter.save()
    before = execute(filled, "SELECT * FROM exporters")
    count(filled, counter).save()
    assert execute(filled, "SELECT * FROM exporters") == before


def test_it_is_heard_of_now_and_then_so_that_rows_are_kept_for_it(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = count(filled)
    counter.save()
    long_ago = "2026-01-01T00:00:00.000Z"
    execute(filled, "UPDATE exporters SET reached_at = ?", long_ago)
    count(filled, counter)
    monkeypatch.setattr(counting, "HEARTBEAT_SECONDS", 0.0)
    counter.save()
    assert execute(filled, "SELECT reached_at > ? FROM exporters", long_ago) == [(1,)]


def test_pruning_takes_nothing_and_leaves_what_is_not_counted(filled: Path) -> None:
    counter = count(filled)
    counter.save()
    write(filled, any_calls(2, 100, longest_ago=DAY))
    pruned = prune.prune(filled, datetime.now(UTC))
    assert (pruned.rows, pruned.kept) == (500, 100)
    assert calls_of(count(filled, counter)) == calls_of(count(filled)) == 600
    price_all(filled)
    count(filled, counter).save()
    prune.prune(filled, datetime.now(UTC))
    write(filled, any_calls(3, 10, longest_ago=DAY))
    assert calls_of(count(filled, counter)) == calls_of(count(filled)) == 610


def test_costs_are_complete_though_all_rows_are_gone_meanwhile(filled: Path) -> None:
    counter = count(filled)
    write(filled, any_calls(2, 10, longest_ago=DAY))
    count(filled, counter)
    execute(filled, "DELETE FROM completion_requests")
    price_all(filled)
    execute(filled, "UPDATE watermarks SET row_id = 510")
    assert count(filled, counter).cost_id == 510


@pytest.mark.parametrize("rows", [20, 70])  # after which the last row that was counted is not there, or is another
def test_a_backup_that_is_put_back_brings_its_own_totals(filled: Path, tmp_path: Path, rows: int) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    counter = count(filled)
    counter.save()
    write(filled, any_calls(2, 100, longest_ago=DAY))
    kept_aside = backup.create(filled, backup_dir=folder)
    write(filled, any_calls(3, 50, longest_ago=DAY))
    assert calls_of(count(filled, counter)) == 650
    restore(filled, kept_aside, backup_dir=folder)
    write(filled, any_calls(4, rows, longest_ago=DAY))  # with ids that were there before
    price_all(filled)
    assert as_json(count(filled, counter)) == as_json(count(filled))
    assert calls_of(counter) == 600 + rows
    counter.save()
    assert calls_of(count(filled)) == 600 + rows
    restore(filled, kept_aside, backup_dir=folder)  # from before the last saving
    assert calls_of(count(filled, counter)) == 600
    assert counter.calls_are_whole


def test_another_database_in_its_place_is_counted_from_its_beginning(filled: Path, tmp_path: Path) -> None:
    counter = count(filled)
    counter.save()
    other = tmp_path / "other.db"
    Recorder(other).open()
    write(other, any_calls(5, 900, longest_ago=DAY))
    filled.unlink()
    other.rename(filled)
    for end in ("-wal", "-shm"):
        Path(f"{other}{end}").unlink(missing_ok=True)
    counter.save()  # of what is not there any more
    assert execute(filled, "SELECT count(*) FROM exporters") == [(0,)]
    assert calls_of(count(filled, counter)) == 900


@pytest.mark.parametrize(
    "state", ["", "{}", "[]", "\x00", '{"format":1}', "null", '{"format":2', "9" * 400, b"\xff\xfe"]
)
def test_what_nobody_saved_is_not_gone_on_from(filled: Path, state: str | bytes) -> None:
    count(filled).save()
    execute(filled, "UPDATE exporters SET state = ?", state)
    assert calls_of(count(filled)) == 500


@pytest.mark.parametrize(
    ("old", "new"),
    [('"counts":[', '"counts":[1,'), ('"cost":', '"cost":-'), ('"row_id":', '"row_id":-'), ('"model":[', '"x":[')],
)
def test_what_was_changed_by_others_is_not_gone_on_from(filled: Path, old: str, new: str) -> None:
    text = as_json(count(filled))
    assert counting.from_json(text) is not None
    found = counting.from_json(text.replace(old, new))
    assert found is None or old == '"model":['  # labels that nobody has yet are given again


def test_the_first_count_comes_in_pieces_and_shows_nothing_before_its_end(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "AT_ONCE", 100)
    counter = Counting(filled)
    shares = []
    for _ in range(5):
        with reader(filled) as connection:
            counter.count(connection, 0)
        shares.append((counter.share, counter.waiting, counter.calls_are_whole, counter.costs_are_whole))
        counter.save()  # a kill does not take it back to the beginning
        counter = Counting(filled) if len(shares) == 3 else counter
    assert shares == [(n / 5, 500 - n * 100, n == 5, n == 5) for n in range(1, 6)]


@pytest.mark.usefixtures("_somebody_prices")
def test_a_cost_that_comes_later_is_waited_for(filled: Path) -> None:
    counter = count(filled)
    before = sum(group.cost for group in counter.totals.groups.values())
    write(filled, [call(timedelta(0), cost_usd=None) for _ in range(4)])
    count(filled, counter).save()
    assert (counter.row_id, counter.cost_id) == (504, 500)
    execute(filled, "UPDATE completion_requests SET cost_usd = 0.5 WHERE id > 500")
    price_all(filled)
    again = count(filled)
    assert sum(group.cost for group in again.totals.groups.values()) == before + 2
    assert as_json(again) == as_json(count(filled, counter))


@pytest.mark.usefixtures("_somebody_prices")
def test_a_cost_that_nobody_computes_is_not_waited_for(current_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(current_db, [call(timedelta(0), cost_usd=0.25), call(timedelta(0))])
    counter = count(current_db)
    assert (counter.cost_id, counter.calls_are_whole, counter.costs_are_whole) == (0, True, False)
    monkeypatch.setattr(outbox, "PRICED_WITHIN", timedelta(0))
    assert count(current_db, counter).costs_are_whole
    (group,) = counter.totals.groups.values()
    assert (group.cost, group.priceless) == (0.25, 1)


def test_rows_that_come_meanwhile_are_counted_once(current_db: Path) -> None:
    def write_all() -> None:
        for seed in range(30):
            write(current_db, any_calls(seed, 20, longest_ago=DAY))

    writing = threading.Thread(target=write_all)
    writing.start()
    counter = Counting(current_db)
    while writing.is_alive():
        count(current_db, counter).save()
    assert calls_of(count(current_db, counter)) == 600


def test_hostile_texts_become_harmless_labels(current_db: Path) -> None:
    write(current_db, [call(DAY)])
    for text in HOSTILE:
        execute(current_db, INSERT, *[text] * 4)
    execute(current_db, "UPDATE completion_requests SET model = CAST(x'ff41fe' AS TEXT) WHERE id = 1")
    execute(current_db, "UPDATE completion_requests SET provider = x'00ff' WHERE id = 2")
    found = count(current_db).totals
    shown = {text for kind in found.kinds.values() for text in (*kind.key, kind.outcome)}
    assert all(text.isprintable() and 0 < len(text) <= LONGEST for text in shown)
    assert {"\ufffdA\ufffd", "a", r"\u202e", UNKNOWN, "m" * LONGEST} <= shown  # SQLite's texts end at a NUL
    assert calls_of(count(current_db)) == len(HOSTILE) + 1


@pytest.mark.parametrize("value", [-1, -0.5, 9e999, -9e999, 2**53, 1e300, "9 00", b"900", "\x00"])
def test_what_is_no_sound_number_is_unknown(current_db: Path, value: object) -> None:
    write(current_db, [call(DAY, time_to_first_token_ms=5, tokens_per_second=2.0, prompt_tokens=3, cost_usd=1.0)])
    price_all(current_db)
    columns = ("response_time_ms", "time_to_first_token_ms", "tokens_per_second", "cost_usd", *TOKENS.values())
    changes = ", ".join(f"{name} = ?" for name in columns)
    execute(current_db, f"UPDATE completion_requests SET {changes}", *[value] * 9)  # noqa: S608 - names of our own
    found = count(current_db).totals
    (kind,), (group,) = found.kinds.values(), found.groups.values()
    assert (kind.calls, kind.duration.total, sum(kind.duration.counts)) == (1, 0, 0)
    assert (sum(group.first_token.counts), sum(group.rate.counts), group.tokens) == (0, 0, [0.0] * 5)
    assert (group.cost, group.priceless) == (0, 1)


def test_whoever_comes_first_has_a_label_for_good() -> None:
    labels = Labels(2)
    assert [labels.label(text) for text in ("a", "b", "c", "a", None, "c")] == ["a", "b", OTHER, "a", OTHER, OTHER]
    again = Labels(2, labels.known)
    assert [again.label(text) for text in ("c", "b", "a")] == [OTHER, "b", "a"]


def test_there_are_never_more_series_than_it_says() -> None:
    found = Totals({}, (), ())
    for n in range(30_000):
        found.add_calls(
            [(f"p{n % 97}", f"m{n}", f"o{n % 31}", n % 3 == 0, f"e{n % 211}", n % 2, 1, 1, 1.0, None, *[1] * 5)]
        )
        found.add_costs([(f"p{n % 97}", f"m{n}", f"o{n % 31}", 1.0, n % 2, (*WORDS, "x")[n % 10], None)])
    metrics = [*families.of_calls(found), *families.of_costs(found.groups.values())]
    series = sum(len(family.samples) for family in metrics)
    assert sum(kind.calls for kind in found.kinds.values()) == 30_000
    assert sum(group.cost + group.plan_cost for group in found.groups.values()) == 30_000
    assert len(found.kinds) <= totals.MOST_KINDS + 4
    assert len(found.groups) <= totals.MOST_GROUPS + 1
    assert totals.MOST_SERIES // 2 < series <= totals.MOST_SERIES
    assert len({(sample.name, *sample.labels.items()) for family in metrics for sample in family.samples}) == series
    text = counting.as_json(found, row_id=1, cost_id=1, history_id=1)
    assert counting.from_json(text) is not None
    assert len(text) < 1 << 20


def test_a_call_that_has_become_one_of_the_others_stays_there() -> None:
    found = Totals({}, (), ())
    row = ("openai", "late", "chat", True, None, False, *[1] * 3, None, *[1] * 5)
    found.add_calls([("openai", f"m{n}", *row[2:]) for n in range(totals.MOST["model"])])
    found.add_calls([row])
    again = counting.from_json(counting.as_json(found, row_id=1, cost_id=1, history_id=1))
    assert again is not None
    resumed = again.totals()
    resumed.add_calls([row])
    kinds: list[Kind] = [kind for kind in resumed.kinds.values() if kind.key[1] in ("late", OTHER)]
    assert [(kind.key[1], kind.calls) for kind in kinds] == [(OTHER, 2)]


@pytest.mark.usefixtures("_somebody_prices")
def test_the_cursor_waits_for_rows_and_costs_alike(filled: Path) -> None:
    counter = count(filled)
    write(filled, [call(timedelta(0)) for _ in range(4)])
    count(filled, counter).save()
    with reader(filled) as connection:
        (lag,) = exporters.lags(connection)
    assert (lag.name, lag.waiting, lag.sent) == (NAME, 4, 504)


def test_what_the_file_system_does_not_say_is_no_zero(current_db: Path) -> None:
    usual = {metric.name: metric.samples for metric in families.of_surrounding(facts.surrounding(current_db, set()))}
    assert [usual[name][0].value for name in ("llm_metrics_recorders", "llm_metrics_spill_files")] == [0, 0]
    current_db.with_name(f"{current_db.name}.spill").write_text("a file where a folder should be")
    living = facts.living(current_db)
    assert living is None
    found = {metric.name: metric.samples for metric in families.of_surrounding(facts.surrounding(current_db, living))}
    unknown = {"llm_metrics_recorders", "llm_metrics_spill_files", "llm_metrics_spill_size_bytes"}
    assert {name for name, samples in found.items() if not samples} == unknown | {"llm_metrics_rejected_size_bytes"}
    with reader(current_db) as connection:
        assert facts.written(connection, living).in_memory is None


def test_costs_of_plans_and_what_costs_lack_are_counted_apart() -> None:
    found = Totals({}, [], [])
    key = ("openai", "gpt-4o", "chat")
    found.add_costs(
        [
            (*key, 1.5, 0, None, None),
            (*key, 4.0, 1, None, None),
            (*key, 0.25, 0, "output_unknown", None),
            (*key, None, 0, "no_price", None),
            (*key, None, 0, "a client's word", None),
            (*key, None, 0, None, None),
        ]
    )
    (group,) = found.groups.values()
    assert (group.cost, group.plan_cost, group.priceless) == (1.75, 4.0, 3)
    assert group.lacking == {"output_unknown": 1, "no_price": 1, OTHER: 1}


def test_calls_are_counted_by_the_labels_that_were_asked_for(current_db: Path) -> None:
    both = {"labels": '{"env":"prod","team":"a"}', "prompt_tokens": 10, "completion_tokens": 1}
    write(
        current_db, [call(DAY, **both, cost_usd=0.5), call(DAY, **both, success=False, status_code=500, cost_usd=None)]
    )
    write(current_db, [call(DAY, labels='{"team":"b"}', cost_usd=2.0, billing="subscription"), call(DAY)])
    write(current_db, [call(DAY, labels=said) for said in ("{", "7", '{"team":7}', '{"team":""}', "")])
    price_all(current_db)
    counter = count(current_db, Counting(current_db, ["team"]))
    counter.save()
    a, b = count(current_db, Counting(current_db, ["team"])).totals.by_label.all
    assert (a.name, a.value, a.calls, a.failures, a.input_tokens, a.output_tokens) == ("team", "a", 2, 1, 20, 2)
    assert (a.cost, a.plan_cost, a.priceless) == (0.5, 0, 1)
    assert (b.value, b.calls, b.cost, b.plan_cost) == ("b", 1, 0, 2.0)


def test_values_of_a_label_are_bounded_and_those_of_a_later_name_begin_then(current_db: Path) -> None:
    write(current_db, [call(DAY, labels=f'{{"team":"t{number}","env":"e"}}') for number in range(300)])
    price_all(current_db)
    counter = count(current_db, Counting(current_db, ["team"]))
    counter.save()
    found = {one.value: one.calls for one in counter.totals.by_label.all}
    assert len(found) == by_label.MOST_VALUES + 1
    assert found[OTHER] == 200
    write(current_db, [call(DAY, labels='{"team":"t0","env":"e"}')])
    price_all(current_db)
    later = count(current_db, Counting(current_db, ["env", "team"])).totals.by_label
    calls = {(one.name, one.value): one.calls for one in later.all}
    assert (calls["env", "e"], calls["team", "t0"]) == (1, 2)
    shown = {sample.labels["name"] for family in ByLabel(["env"], later.all).of_calls() for sample in family.samples}
    assert shown == {"env"}

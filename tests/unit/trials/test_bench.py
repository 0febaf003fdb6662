"""The bench measures what it says: every workload through every system, with a few requests each."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.support.percentile import percentile
from tests.trials.bench.capacity import Load, carried
from tests.trials.bench.comparison import How, compared, spread
from tests.trials.bench.goals import GOALS, Goal, Standing, standing
from tests.trials.bench.load import BenchFailedError
from tests.trials.bench.measure import must_be_whole, write_lock
from tests.trials.bench.plot import svg
from tests.trials.bench.rounds import Bench, Results, Round, machine
from tests.trials.bench.samples import check
from tests.trials.bench.summary import summary
from tests.trials.bench.systems import SYSTEMS
from tests.trials.bench.traffic import BODIES, SMALL_RESPONSE, STREAM_HEAD, TAIL, Answer, chunks, event
from tests.trials.bench.workloads import WORKLOADS, Workload

_STREAM = STREAM_HEAD + event(17) * Answer.BURST.events + TAIL


# A stream of a second, a start of mitmdump and five seconds of a naive wait for a lock are not spent twice.
_SPARED = {
    "paced10": ("direct", "bare", "floor", "ours"),
    "blocked": ("direct", "ours"),
    "prompt100k": ("floor", "ours"),
    "small16": ("direct", "ours"),
    "paced50": ("direct", "ours"),
    "hold": ("ours",),
    "memory": ("ours",),
    "locked": ("floor", "ours"),
}


def _tiny(workload: Workload) -> Workload:
    return replace(
        workload,
        count=1 if workload.answer is Answer.PACED else 2,
        concurrency=min(workload.concurrency, 2),
        body=min(workload.body, 300_000),
        lock_seconds=workload.lock_seconds / 20,
        beside=workload.beside and replace(workload.beside, body=300_000),
        systems=_SPARED.get(workload.name, ()),
    )


_TINY = [_tiny(workload) for workload in WORKLOADS]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    bench = Bench(tmp_path_factory.mktemp("bench"), _TINY, SYSTEMS, lambda _: None)
    bench.run(1)
    return bench.results


def test_every_workload_goes_through_every_system_that_it_is_meant_for(results: Results) -> None:
    assert results.failures == []
    (measured,) = results.rounds
    for workload in _TINY:
        assert set(measured.figures[workload.name]) == set(workload.systems or (one.name for one in SYSTEMS))


def test_figures_are_plausible(results: Results) -> None:
    (measured,) = results.rounds
    figures = measured.figures
    for workload, systems in figures.items():
        for system, found in systems.items():
            assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"] < 30_000, (workload, system)
            if system != "direct":
                assert 50 < found["cpu_us_per_request"] < 3_000_000
                assert 30 < found["peak_rss_mb"] < 1000
    # The first event is due after 20 ms; a proxy that buffers hands it on with the last, a second later.
    assert 20 <= figures["paced10"]["direct"]["ttft_p50_ms"] < 300
    assert figures["paced10"]["floor"]["ttft_p50_ms"] < 500
    assert figures["paced10"]["bare"]["ttft_p50_ms"] > 900
    assert 0 < figures["paced10"]["direct"]["delay_p50_ms"] <= figures["paced10"]["direct"]["delay_p99_ms"]
    assert figures["small1"]["floor"]["p50_added_ms"] > 0
    for paced in (figures["paced10"][system] for system in ("direct", "floor", "ours")):
        assert 0 <= paced["jitter_p50_ms"] <= paced["jitter_p99_ms"] < 1_000
        assert paced["own_chunk_percent"] == 100
        assert paced["before_next_percent"] > 50
    assert figures["paced10"]["bare"]["own_chunk_percent"] == 0, "it hands on the whole stream in one chunk"
    assert figures["paced10"]["bare"]["before_next_percent"] < 50
    assert figures["small16"]["ours"]["p99_added_ms"] > 0
    assert figures["hold"]["ours"]["worst_hold_ms"] >= figures["hold"]["ours"]["typical_hold_ms"] > 0
    assert figures["locked"]["ours"]["locked_requests_per_s"] > 1


def test_a_foreign_lock_keeps_every_writer_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    with closing(sqlite3.connect(path, timeout=0)) as writer:
        writer.execute("CREATE TABLE calls (at)")
        with write_lock(path), pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("INSERT INTO calls VALUES (1)")
        writer.execute("INSERT INTO calls VALUES (1)")


def test_every_call_of_ours_has_its_row(results: Results) -> None:
    rows = results.rounds[0].rows["ours"]
    assert rows["sent"] == rows["stored"] > 90
    asked = sum(one.concurrency * one.count for one in _TINY if not one.lock_seconds)
    assert rows["sent"] > asked, "what was asked beside a workload is not in it"
    assert rows["lost"] == rows["events_lost"] == 0


@pytest.mark.parametrize("missing", [{"lost": 1, "events_lost": 0}, {"lost": 0, "events_lost": 3}])
def test_a_missing_row_or_event_fails_the_run(missing: dict[str, float]) -> None:
    with pytest.raises(BenchFailedError, match="stored"):
        must_be_whole({"sent": 5, "stored": 5} | missing, "")


def test_the_results_survive_their_file(results: Results) -> None:
    text = msgspec.json.encode(results)
    assert msgspec.json.decode(text, type=Results) == results
    assert json.loads(text)["machine"]["cores"] >= 1


def test_the_summary_has_every_goal_and_the_picture_every_system(results: Results) -> None:
    text, picture = summary(results), svg(results)
    for goal in GOALS:
        assert goal.measure in text
    assert "rows lost" in text
    assert "not measured" in text, "the micro-benchmarks did not run"
    assert picture == svg(results)
    for system in SYSTEMS:
        assert (system.title in picture) == (system.name != "again")


@pytest.mark.parametrize(
    ("message", "answer"), [(SMALL_RESPONSE, Answer.SMALL), (_STREAM, Answer.BURST)], ids=["whole", "stream"]
)
def test_the_client_notices_a_wrong_byte_and_a_missing_one(message: bytes, answer: Answer) -> None:
    check(message, answer)
    place = len(message) - len(TAIL) - 40 if answer.events else len(message) - 10
    for wrong in (message.replace(b"200 OK", b"500 OK"), message[:place] + b"\x01" + message[place + 1 :]):
        with pytest.raises(ValueError, match="instead of"):
            check(wrong, answer)
    if answer.events:
        with pytest.raises(ValueError, match="instead of"):
            check(STREAM_HEAD + event(17) * (answer.events - 1) + TAIL, answer)
        assert len(b"".join(chunks(message[len(STREAM_HEAD) :]))) == len(BODIES[answer])


def test_proxies_on_one_file_are_measured_together_and_lose_nothing(tmp_path: Path) -> None:
    loads = (
        Load("small", 1, Answer.SMALL, 2, 3),
        Load("small", 2, Answer.SMALL, 2, 3),
        Load("streams", 2, Answer.PACED, 2, 1),
    )
    one, two, streams = carried(tmp_path, 1, lambda _: None, loads)
    assert (one.load, two.load, streams.load) == loads
    assert 1 < one.figures["requests_per_s"] < 10_000
    assert 1 < two.figures["requests_per_s"] < 10_000
    assert 20 <= streams.figures["ttft_p50_ms"] <= streams.figures["ttft_p99_ms"] < 1_000
    assert 0 < streams.figures["cores"] < 4
    shared = [path for path in tmp_path.glob("capacity-0-2-*/metrics.db") if not path.is_symlink()]
    assert len(shared) == 1
    text = summary(Results(machine(), capacity=[one, two, streams]))
    assert "CAPACITY" in text


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.5) == 7


def _made(**systems: list[float]) -> Results:
    count = len(next(iter(systems.values())))
    rounds = [
        Round({"w": {system: {"figure": values[number]} for system, values in systems.items()}})
        for number in range(count)
    ]
    return Results(machine(), rounds=rounds)


def test_ratios_are_taken_within_rounds_and_divided_by_what_the_floor_differs_from_itself() -> None:
    made = _made(floor=[1, 2, 4], again=[1.1, 2.2, 4.4], ours=[1.2, 2.2, 5.2])
    found = compared(made, "w", "figure", "ours", How.RATIO)
    assert found is not None
    assert (found.spread.least, found.spread.middle, found.spread.most) == pytest.approx((1.1, 1.2, 1.3))
    assert found.control == pytest.approx(1.1)
    assert found.adjusted == pytest.approx(1.2 / 1.1)
    added = compared(made, "w", "figure", "ours", How.ADDED)
    assert added is not None
    assert added.adjusted == pytest.approx(0.2 - 0.2)
    assert spread(made, "w", "figure", "nobody") is None


@pytest.mark.parametrize(
    ("ours", "at_least", "expected"),
    [
        (0.95, True, Standing.MET),
        (0.85, True, Standing.NOT_MET),
        (0.85, False, Standing.MET),
        (0.95, False, Standing.NOT_MET),
    ],
)
def test_a_goal_is_met_on_its_own_side_of_the_limit(ours: float, at_least: bool, expected: Standing) -> None:  # noqa: FBT001 - a parameter of the case
    made = _made(floor=[1.0], again=[1.0], ours=[ours])
    goal = Goal("", "w", "figure", How.RATIO, 0.9, at_least=at_least)
    assert standing(made, goal) is expected
    assert standing(made, replace(goal, workload="other")) is Standing.NOT_MEASURED

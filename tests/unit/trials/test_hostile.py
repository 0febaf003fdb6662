"""Hostile traffic for some seconds, and that its verdict cannot call a broken promise kept."""

import asyncio
import os
import random
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.conftest import MakeEvent
from tests.support.process_watch import Sample
from tests.support.provider.scenario import End, Request
from tests.support.proxy import ROOT
from tests.support.traffic.client import trusting
from tests.trials import record
from tests.trials.hostile import plants
from tests.trials.hostile.answers import NUMBER, Answers
from tests.trials.hostile.both_ways import trial as both_ways
from tests.trials.hostile.kinds import KINDS, drawn
from tests.trials.hostile.traffic import Traffic
from tests.trials.hostile.verdict import promises, secrets

STEADY = [Sample(calls, 100.0, 10, 3) for calls in range(0, 20_000, 100)]


def test_a_short_run_keeps_every_promise(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.trials.hostile", "--exchanges", "700", "--in-memory", "20", "--seed", "3"]
    command += ["--json", str(found)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=170)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    judged = record.read(found)
    tries = [700 // 50 + len(both_ways.cases(pair, 700 // 50)) for pair in both_ways.PAIRS for _ in range(2)]
    assert [check.tries for check in judged.checks] == [700] * 12 + tries + [20]
    assert {check.result for check in judged.checks} == {"kept"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("hostile-")] == []


def test_a_seed_gives_the_same_exchanges_again_and_all_kinds() -> None:
    first, again = ([drawn(random.Random(f"5 {n}")) for n in range(1000)] for _ in range(2))
    assert first == again
    assert len({exchange.kind for exchange in first}) == len(KINDS)
    assert {exchange.ends for exchange in first} == set(End)


def _broken(
    tmp_path: Path,
    make_event: MakeEvent,
    *events: dict[str, object],
    samples: list[Sample] = STEADY,
    harmed: list[str] | None = None,
    log: str = "",
) -> set[str]:
    """Judge a run of the exchanges h-0 and h-1, which left these rows."""
    recorder = Recorder(tmp_path / "metrics.db")
    recorder.open()
    recorder.start()
    for number, fields in enumerate(events):
        recorder.submit(make_event(event_id=f"{number:032x}", **fields))
    recorder.close()
    traffic = Traffic(0, trusting(), {}, rows={"h-0": 1, "h-1": 1})
    judged = promises(traffic, harmed or [], samples, tmp_path / "metrics.db", log)
    return {promise.what for promise in judged if not promise.kept}


BOTH: tuple[dict[str, object], ...] = ({"session_id": "h-0"}, {"session_id": "h-1"})
ROWS = "every exchange of an LLM's path has its row, once"
BOUNDS = "every value is within its bounds, and steers no terminal"


def test_a_run_in_which_all_went_well_breaks_no_promise(tmp_path: Path, make_event: MakeEvent) -> None:
    assert _broken(tmp_path, make_event, *BOTH) == set()


@pytest.mark.parametrize(
    "events", [BOTH[:1], (*BOTH, BOTH[1]), (*BOTH, {"session_id": "h-2"})], ids=["missing", "double", "strange"]
)
def test_rows_that_are_not_as_they_should_be_are_noticed(
    tmp_path: Path, make_event: MakeEvent, events: tuple[dict[str, object], ...]
) -> None:
    assert _broken(tmp_path, make_event, *events) == {ROWS}


@pytest.mark.parametrize(
    "fields",
    [{"model": "x" * 257}, {"error_message": "\x1b[31m"}, {"origin": "\u202e"}, {"total_tokens": 10**12 + 1}],
    ids=["long", "escape", "bidi", "large"],
)
def test_values_beyond_their_bounds_are_noticed(
    tmp_path: Path, make_event: MakeEvent, fields: dict[str, object]
) -> None:
    assert _broken(tmp_path, make_event, BOTH[0], {**BOTH[1], **fields}) == {BOUNDS}


def test_an_event_that_could_not_be_stored_is_noticed(tmp_path: Path, make_event: MakeEvent) -> None:
    broken = _broken(tmp_path, make_event, *BOTH, {"session_id": "h-2", "total_tokens": 2**63})
    assert broken == {"nothing was dropped or refused, and no fault of ours counted"}


def test_growth_a_traceback_and_a_harmed_provider_are_noticed(tmp_path: Path, make_event: MakeEvent) -> None:
    growing = [Sample(calls, 100 + calls / 100, 10, 3) for calls in range(0, 20_000, 100)]
    broken = _broken(tmp_path, make_event, *BOTH, samples=growing, harmed=["h-1"], log="Traceback (most recent ...")
    assert broken == {
        "memory is bounded",
        "memory does not grow",
        "every provider got what the client sent",
        "the proxy logged no traceback",
    }


@pytest.mark.parametrize("spelling", range(len(plants.QUOTED)))
def test_a_secret_is_found_in_every_spelling(tmp_path: Path, spelling: int) -> None:
    for number in range(20):
        kept = plants.QUOTED[spelling](plants.secret(random.Random(number)))
        (tmp_path / "kept").write_text(f"something {kept} else")
        assert not secrets([tmp_path / "kept"]).kept, kept


def test_a_secret_is_found_where_a_file_is_cut_for_reading_and_in_any_base64(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"x" * ((1 << 20) - 5) + plants.MARK.encode() + b"x" * 10)
    assert not secrets([tmp_path / "kept"]).kept
    for user in ("a", "bb", "ccc"):
        (tmp_path / "kept").write_bytes(b64encode(f"{user}:{plants.PASSWORD}".encode()))
        assert not secrets([tmp_path / "kept"]).kept


def test_what_is_masked_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text(f"You sent [masked] {quote('and no key')}")
    assert secrets([tmp_path / "kept"]).kept


def test_an_answer_that_was_changed_is_noticed() -> None:
    """The client against a provider that sends one byte more, without a proxy between."""

    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nnot what was sent")
        writer.close()

    async def run() -> list[str]:
        server = await asyncio.start_server(lie, "127.0.0.1", 0)
        traffic = Traffic(server.sockets[0].getsockname()[1], trusting(), {})
        await traffic.flow(0, 20, seed=1)
        server.close()
        return traffic.wrong

    assert len(asyncio.run(run())) == 20


def test_a_request_that_was_changed_is_noticed() -> None:
    exchange = drawn(random.Random("5 1"))
    answers = Answers({"h-1": exchange})
    headers = ((NUMBER, "h-1"),)
    answers.answer(Request("POST", exchange.path, exchange.tls, headers, exchange.body))
    assert answers.harmed == []
    answers.answer(Request("POST", exchange.path, exchange.tls, headers, exchange.body + b" "))
    answers.answer(Request("POST", exchange.path, exchange.tls, (*headers, ("X-LLM-Origin", "")), exchange.body))
    assert len(answers.harmed) == 2

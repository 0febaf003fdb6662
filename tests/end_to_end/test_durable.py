"""A call that has ended is in the file within 250 ms, through a real proxy, and nothing is kept of what has ended."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.support.provider import openai_answers
from tests.support.rig import Rig, question, started
from tests.support.waiting import eventually

_COUNT = "SELECT count(*) FROM completion_requests"
_LOOK = """
import json, os
from pathlib import Path
from mitmproxy import ctx

def done():
    ours = ctx.master.addons.get("llm_metrics")
    known, calls = ours._connections, ours.calls
    kept = [len(known._tunnels), len(known._waited_for), len(calls._exchanges), len(calls._waiting)]
    Path(os.environ["TEST_KEPT"]).write_text(json.dumps(kept))
"""


def _seconds_until_durable(rig: Rig) -> float:
    with closing(sqlite3.connect(rig.proxy.database)) as reader:
        (before,) = reader.execute(_COUNT).fetchone()
        rig.ask(question())
        ended = time.monotonic()
        eventually(lambda: reader.execute(_COUNT).fetchone()[0] > before)
        return time.monotonic() - ended


def test_a_call_that_has_ended_is_durable_within_250_ms(rig: Rig) -> None:
    rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
    waited = [_seconds_until_durable(rig) for _ in range(5)]
    rig.rows(5)
    assert min(waited) < 0.25, "the machine may be slow once, but not five times"


def test_nothing_is_kept_of_connections_and_calls_that_have_ended(tmp_path: Path) -> None:
    script, kept = tmp_path / "look.py", tmp_path / "kept.json"
    script.write_text(_LOOK)
    with started(tmp_path, scripts=[script], environment={"TEST_KEPT": str(kept)}) as rig:
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        for _ in range(6):
            rig.ask(question())
        rig.rows(6)
        time.sleep(0.3)  # the hooks of closed connections come after their last answer
    assert json.loads(kept.read_text()) == [0, 0, 0, 0]

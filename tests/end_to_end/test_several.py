"""Several proxies record into one file; those that share a port are in test_workers.py."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.provider import openai_answers
from tests.support.rig import Rig, question, started


def test_two_proxies_on_one_file_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with started(tmp_path / "one") as one:
        (tmp_path / "two" / "metrics.db").symlink_to(one.proxy.database)
        with started(tmp_path / "two") as two:

            def ask(rig: Rig) -> None:
                for _ in range(40):
                    rig.ask(question())

            for rig in (one, two):
                rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
            with ThreadPoolExecutor() as pool:
                list(pool.map(ask, [one, two]))
            assert len({row["event_id"] for row in one.rows(80)}) == 80
            assert one.query("SELECT count(DISTINCT process) AS n FROM recorder_counters") == [{"n": 2}]

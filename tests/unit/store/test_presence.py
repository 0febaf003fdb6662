"""Who lives and who has the database open: the answers end with the process, and hold across processes."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.presence import Presence
from llm_metrics_proxy.recorder.store.spill_folder import folder_of
from tests.support.waiting import wait_until

_LIVE = """
import sys, pathlib, time
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.store.presence import Presence
one = Presence(pathlib.Path(sys.argv[1]), "other")
one.appear()
one.share()
print("there", flush=True)
time.sleep(60)
"""


def test_a_recorder_lives_until_it_ends_and_leaves_no_folder(db_path: Path) -> None:
    one, two = Presence(db_path, "one"), Presence(db_path, "two")
    one.appear()
    two.appear()
    assert presence.living(db_path) == {"one", "two"}
    one.vanish()
    assert presence.living(db_path) == {"two"}
    two.vanish()
    assert presence.living(db_path) == set()
    assert not folder_of(db_path).exists()


def test_a_killed_process_neither_lives_nor_has_the_database_open(db_path: Path) -> None:
    command = [sys.executable, "-c", _LIVE, str(db_path), str(Path(__file__).parents[3])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert presence.living(db_path) == {"other"}
        with (
            pytest.raises(DatabaseRefused, match="is open in other: stop that proxy"),
            presence.exclusively(db_path, 0.1),
        ):
            pass
        process.send_signal(signal.SIGKILL)
    with presence.exclusively(db_path, 0.1):
        assert presence.living(db_path) == set()


def test_several_share_and_nobody_opens_while_one_replaces(db_path: Path) -> None:
    one, two = Presence(db_path, "one"), Presence(db_path, "two")
    one.share()
    two.share()
    with pytest.raises(DatabaseRefused), presence.exclusively(db_path, 0.05):
        pass
    one.unshare()
    two.unshare()
    with presence.exclusively(db_path, 0.05):
        with pytest.raises(DatabaseRefused, match="is being replaced"):
            one.share()
        one.appear()
        one.vanish()
        assert folder_of(db_path).exists(), "the lock went with it"
    one.share()
    one.vanish()


def test_comings_and_goings_at_once_leave_nobody_without_a_folder(db_path: Path) -> None:
    failures: list[BaseException] = []

    def come_and_go(name: str) -> None:
        try:
            for number in range(200):
                one = Presence(db_path, f"{name}-{number}")
                one.appear()
                one.share()
                assert folder_of(db_path).is_dir()
                one.vanish()
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not folder_of(db_path).exists()


def test_work_that_one_does_alone_leaves_no_folder_however_many_come_and_go(db_path: Path) -> None:
    counts, failures = [0] * 4, []

    def work(number: int) -> None:
        try:
            for _ in range(200):
                with presence.alone(db_path, "upkeep") as alone:
                    counts[number] += alone
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(counts) > 0
    assert not folder_of(db_path).exists()


def test_a_recorder_is_seen_while_it_runs(current_db: Path, recorder: Recorder) -> None:
    wait_until(lambda: len(presence.living(current_db)) == 1)
    recorder.close()
    assert presence.living(current_db) == set()

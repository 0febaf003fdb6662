"""Long work says how far it is: nothing within two seconds, then on stderr, on a terminal a line that renews itself."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder.backup import backups
from tests.support.database import write_lock

SCRIPT = """
import sys, time
from llm_metrics_proxy.recorder import progress
with progress.shown("Copying a.db", quiet=0.05):
    progress.doing("pages\\n")
    progress.at(3, 4)
    time.sleep(0.3)
print("done")
"""


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown("Copying a.db"):
        progress.at(1, 2)
    assert capsys.readouterr().err == ""


def test_without_a_terminal_each_line_stays() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "Copying a.db: pages\\n, 75 % (0 s)\n")


def test_on_a_terminal_the_line_is_gone_in_the_end() -> None:
    words = ["script", "-qec", f"{sys.executable} -c '{SCRIPT}'", "/dev/null"]
    said = subprocess.run(words, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    assert said == b"\r\x1b[KCopying a.db: pages\\n, 75 % (0 s)\r\x1b[Kdone\r\n"


def test_work_of_another_thread_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown("Copying a.db", quiet=0.05):
        other = threading.Thread(target=progress.doing, args=("another's",))
        other.start()
        other.join()
        time.sleep(0.2)
    assert capsys.readouterr().err == "Copying a.db (0 s)\n"


def test_a_command_that_takes_longer_says_where_it_is(current_db: Path) -> None:
    command = [str(Path(sys.executable).with_name("llm-metrics")), "prune", "--older-than", "1d", "--yes"]
    with subprocess.Popen(
        [*command, "--db", str(current_db), "--backup-dir", str(current_db.parent)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        with write_lock(current_db):
            said = process.stderr.readline()
        process.communicate(timeout=60)
    assert said.startswith(f"Pruning {current_db}")
    assert backups.found(current_db, current_db.parent)

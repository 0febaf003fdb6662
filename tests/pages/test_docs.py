"""The commands of README, docs/ and the pages beside README run, one after the other, on a database of one call."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.conftest import MakeEvent
from tests.support import cookbook

PAGES = cookbook.PAGES
OURS = ("llm-metrics ", "sqlite-utils ")
ELSEWHERE = tuple(
    f"llm-metrics {name}" for name in ("run", "env", "serve", "export", "dashboard")
)  # they have tests of their own


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks that are commands of ours, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(OURS) and not line.startswith(ELSEWHERE)]


def _record_one_call(path: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(path)
    recorder.open()
    recorder.start()
    recorder.submit(make_event())
    recorder.close()


def test_there_are_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 4


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, make_event: MakeEvent) -> None:
    _record_one_call(tmp_path / "metrics.db", make_event)
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path} | {"TESTING": "false"}  # default places for backups, in this folder
    for command in commands(page):
        shell = ["/bin/sh", "-c", command]
        done = subprocess.run(shell, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python\n" in page.read_text()], ids=lambda page: page.name
)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    _record_one_call(tmp_path / "metrics.db", make_event)
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        done = subprocess.run([sys.executable, "-c", block], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

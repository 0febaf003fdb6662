"""The commands of the pages in docs/ do what the pages say, one after the other, on a database as a proxy leaves it."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.conftest import MakeEvent

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
OURS = ("llm-metrics ", "sqlite-utils ")


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks that are commands of ours, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(OURS)]


def test_there_are_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 4


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(tmp_path / "metrics.db")
    recorder.open()
    recorder.start()
    recorder.submit(make_event())
    recorder.close()
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path} | {"TESTING": "false"}  # default places for backups, in this folder
    for command in commands(page):
        shell = ["/bin/sh", "-c", command]
        done = subprocess.run(shell, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

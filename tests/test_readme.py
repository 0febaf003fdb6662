"""README tells the same story as the code, and its queries run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from addon.settings import OPTIONS
from recorder.events import CompletionRequest
from recorder.worker import Recorder
from tests.conftest import MakeEvent

_README = (Path(__file__).parent.parent / "README.md").read_text()
_QUERIES = re.findall(r'sqlite-utils metrics\.db "(.*?)" -t', _README, re.DOTALL)


def test_there_are_five_queries() -> None:
    assert len(_QUERIES) == 5


@pytest.mark.parametrize("query", _QUERIES)
def test_a_query_runs_on_a_file_that_the_recorder_writes(query: str, tmp_path: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(tmp_path / "metrics.db")
    recorder.open()
    recorder.start()
    recorder.submit(make_event(timestamp="2099-01-01T00:00:00.000Z", success=False, model="m", origin="o"))
    recorder.close()
    command = [sys.executable, "-m", "sqlite_utils", "metrics.db", query, "-t"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert len(printed.splitlines()) == 3  # names, a line, one row


@pytest.mark.parametrize("column", CompletionRequest.__struct_fields__)
def test_every_column_is_explained(column: str) -> None:
    assert re.search(rf"^\|.*`{column}`.*\|", _README, re.MULTILINE)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_explained(option: str) -> None:
    assert f"| `{option}` |" in _README

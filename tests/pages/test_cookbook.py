"""README's questions: every command runs on a database as the recorder writes it, and prints what README shows."""

import re
from pathlib import Path

import pytest

from tests.support import cookbook

BLOCKS = list(cookbook.blocks(cookbook.README.read_text()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where metrics.db is."""
    made = tmp_path_factory.mktemp("cookbook")
    cookbook.make_database(made / "metrics.db")
    return made


def names(output: str) -> list[str]:
    """The first line without its numbers: names of columns, or a title."""
    return re.sub(r"\d+", "0", output.partition("\n")[0]).split()


def test_there_are_twenty_questions() -> None:
    assert len(BLOCKS) >= 20


@pytest.mark.parametrize(("command", "output"), BLOCKS)
def test_a_command_prints_what_readme_shows(command: str, output: str, folder: Path) -> None:
    printed = cookbook.run(command, folder)
    assert names(printed) == names(output)
    assert len(printed.splitlines()) >= 3  # names, a line, one row
    assert len(output.splitlines()) >= 3

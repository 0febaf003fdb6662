"""Every question of README and docs/: its command runs on a recorded database, and prints what the page shows."""

import re
from pathlib import Path

import pytest

from tests.support import cookbook

BLOCKS = [
    pytest.param(*block, id=f"{page.name}-{number}")
    for page in cookbook.PAGES
    for number, block in enumerate(cookbook.blocks(page.read_text()))
]


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


def test_no_command_stands_in_a_block_that_is_not_run() -> None:
    for page in cookbook.PAGES:
        text = page.read_text()
        assert len(re.findall(r"^ *\$ ", text, re.MULTILINE)) == len(list(cookbook.blocks(text))), page


@pytest.mark.parametrize(("command", "output"), BLOCKS)
def test_a_command_prints_what_its_page_shows(command: str, output: str, folder: Path) -> None:
    printed = cookbook.run(command, folder)
    assert names(printed) == names(output)
    assert len(printed.splitlines()) >= 3  # names, a line, one row
    assert len(output.splitlines()) >= 3

"""The tests' own order: the files that begin early are there."""

from pathlib import Path

from tests.conftest import LONG, name_of


def test_each_file_that_begins_early_is_one_file() -> None:
    names = [name_of(file) for file in Path(__file__).parents[1].rglob("test_*.py")]
    assert {name: names.count(name) for name in LONG.split()} == dict.fromkeys(LONG.split(), 1)

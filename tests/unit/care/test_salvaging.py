"""A restore over a damaged database adds the calls that can still be read in it."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.database import ask

_PAGE = 4096
_EARLIER, _LATER = 200, 600


def _fill(path: Path, make_event: Callable[..., CompletionRequest], count: int) -> None:
    connection = open_writer(path)
    dao = CompletionRequestsDAO(connection)
    connection.execute("BEGIN")
    for number in range(count):
        dao.insert_completion_request(make_event(event_id=new_event_id(1_772_366_400_000 + number)))
    connection.execute("COMMIT")
    connection.close()


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _header(path: Path) -> None:
    _overwrite(path, 0, bytes(100))


def _first_page(path: Path) -> None:
    _overwrite(path, 0, os.urandom(_PAGE))


def _some_pages(path: Path) -> None:
    for page in random.Random(7).sample(range(1, path.stat().st_size // _PAGE), 10):
        _overwrite(path, page * _PAGE, os.urandom(_PAGE))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // _PAGE * 3 // 4 * _PAGE)


def _text(path: Path) -> None:
    path.write_text("This is no database.\n" * 9_000)


@pytest.mark.parametrize(
    ("spoil", "at_least"),
    [(_header, _LATER), (_first_page, _LATER), (_some_pages, _LATER // 3), (_cut, 100), (_text, 0)],
)
def test_calls_that_can_still_be_read_are_added_to_those_of_the_backup(
    spoil: Callable[[Path], None],
    at_least: int,
    current_db: Path,
    tmp_path: Path,
    make_event: Callable[..., CompletionRequest],
) -> None:
    _fill(current_db, make_event, _EARLIER)
    saved = backup.create(current_db, backup_dir=tmp_path / "saved")
    _fill(current_db, make_event, _LATER)
    spoil(current_db)
    arguments = ["restore", str(saved), "--db", str(current_db), "--dir", str(saved.parent), "--yes", "--json"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    added = json.loads(result.output)["read_back"]
    assert added >= at_least
    ((rows, different),) = ask(current_db, "SELECT count(*), count(DISTINCT event_id) FROM completion_requests")
    assert rows == different == _EARLIER + added
    assert ask(current_db, "PRAGMA integrity_check") == [("ok",)]
    (aside,) = current_db.parent.glob("corrupt-*")
    assert not list(aside.glob("*readable*"))

"""The secret of a database: made once, private, the same for all recorders, and no part of the database."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import secret


def test_it_is_made_once_private_and_of_each_database_another(tmp_path: Path) -> None:
    one, other = secret.of(tmp_path / "a.db"), secret.of(tmp_path / "b.db")
    assert one != other
    assert secret.of(tmp_path / "a.db") == one
    assert len(one) == secret.BYTES
    assert stat.S_IMODE((tmp_path / "a.db.secret").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db.secret", "b.db.secret"]


def test_recorders_that_start_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(secret.of, [tmp_path / "metrics.db"] * 64))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.db.secret"]


def test_it_is_in_no_file_of_the_database(current_db: Path) -> None:
    found = Recorder(current_db).secret()
    assert found is not None
    others = [path for path in current_db.parent.rglob("*") if path.is_file() and path.suffix != ".secret"]
    assert others
    assert [path for path in others if found in path.read_bytes() or found.hex().encode() in path.read_bytes()] == []


@pytest.mark.parametrize("kind", ["short", "link", "folder", "no folder"])
def test_what_is_no_secret_is_none_and_the_log_says_so(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "metrics.db"
    path = secret.path_of(database)
    if kind == "short":
        path.write_bytes(b"abc")
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"x" * secret.BYTES)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        database = tmp_path / "gone" / "metrics.db"
    assert Recorder(database).secret() is None
    assert "key_id" in caplog.text

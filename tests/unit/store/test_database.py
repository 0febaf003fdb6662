"""Where the database is, and every file that is none: each ends the start with its own sentence."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import get_db_path, open_writer


def test_the_option_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_METRICS_DB", str(tmp_path / "environment.db"))
    assert get_db_path(str(tmp_path / "option.db")) == tmp_path / "option.db"
    assert get_db_path(None) == get_db_path("") == tmp_path / "environment.db"


def test_the_default_is_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTING")
    monkeypatch.chdir(tmp_path)
    assert get_db_path() == tmp_path / "metrics.db"


def test_testing_forbids_the_default() -> None:
    with pytest.raises(DatabaseRefused, match="TESTING is set"):
        get_db_path()


def test_the_home_folder_is_expanded(tmp_path: Path) -> None:
    assert get_db_path("~/m.db") == tmp_path / "home" / "m.db"
    with pytest.raises(DatabaseRefused, match="home folder"):
        get_db_path("~nobody-has-this-name/m.db")


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def damage(path: Path) -> None:
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[5 * 4096 :] = b"\xff" * len(content[5 * 4096 :])
    path.write_bytes(content)


def damage_unseen(path: Path) -> None:
    """So that only a check of all pages sees it: SQLite opens it, and reads the versions and the schema."""
    execute(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
        "INSERT INTO recorder_events (at, process, kind) SELECT hex(randomblob(50)), 'p', 'gap' FROM n",
        f"PRAGMA user_version={CURRENT_SCHEMA_VERSION}",
    )
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[-4096 + 8 : -4096 + 10] = b"\xff\xf0"  # of the last page, a leaf: its first cell lies outside of it
    path.write_bytes(content)


def newer(path: Path) -> None:
    execute(path, "PRAGMA user_version=99")


def orphan_wal(path: Path) -> None:
    path.unlink()
    Path(f"{path}-wal").write_bytes(b"rows")


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


BAD = {
    "folder": (replaced(Path.mkdir), "is a folder"),
    "text": (replaced(lambda path: path.write_text("just some notes\n" * 50)), "is not a SQLite database"),
    "short text": (replaced(lambda path: path.write_text("hello")), "is not a SQLite database"),
    "fifo": (replaced(os.mkfifo), "is not a regular file"),
    "dangling link": (replaced(lambda path: path.symlink_to(path.parent / "gone")), "symbolic link to nothing"),
    "link to itself": (replaced(lambda path: path.symlink_to(path)), "symbolic link to nothing"),
    "truncated": (lambda path: os.truncate(path, 3 * 4096 + 100), "is damaged"),
    "damaged page": (damage, "is damaged"),
    "damaged page of rows": (damage_unseen, "is damaged"),
    "another program's": (lambda path: execute(path, "PRAGMA application_id=252006674"), "of another program"),
    "foreign tables": (replaced(lambda path: execute(path, "CREATE TABLE users (id)")), "of another program"),
    "our table's name, other columns": (
        replaced(lambda path: execute(path, "CREATE TABLE completion_requests (id)")),
        "of another program",
    ),
    "newer": (newer, f"has schema version 99, and this program knows up to {CURRENT_SCHEMA_VERSION}"),
    "versions disagree": (lambda path: execute(path, "DELETE FROM schema_version"), "records of the schema version"),
    "version table gone": (lambda path: execute(path, "DROP TABLE schema_version"), "version tables are gone"),
    "index gone": (lambda path: execute(path, "DROP INDEX completion_requests_event_id"), "event_id is missing"),
    "column dropped": (
        lambda path: execute(path, "ALTER TABLE completion_requests DROP COLUMN usage"),
        "column usage of table completion_requests is missing",
    ),
    "wal without its database": (orphan_wal, "still holds rows of it"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_database_ends_the_start_with_its_sentence_and_stays_as_it_is(case: str, current_db: Path) -> None:
    spoil, phrase = BAD[case]
    spoil(current_db)
    regular = not current_db.is_symlink() and current_db.is_file()
    before = current_db.read_bytes() if regular else None
    with pytest.raises(RecorderError) as refusal:
        Recorder(current_db).open()
    sentence = str(refusal.value)
    assert phrase in sentence
    assert re.fullmatch(r"[^\n]+: [^\n]+\.", sentence), sentence
    assert str(current_db) in sentence
    if before is not None:
        assert current_db.read_bytes() == before


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda folder: folder / "not" / "there" / "metrics.db", "There is no folder"),
        (lambda folder: folder / "nul\0byte.db", "cannot be a path"),
        (lambda folder: folder / ("x" * 300), "cannot be used"),
    ],
)
def test_a_bad_path_ends_the_start_with_its_sentence(make: Callable[[Path], Path], phrase: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match=phrase):
        Recorder(make(tmp_path)).open()
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_database_is_followed(current_db: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(current_db)
    Recorder(link).open()
    assert link.is_symlink()


def test_a_name_with_special_characters_is_just_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&b#c %41.db"
    Recorder(path).open()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_lock_that_is_held_too_long_ends_the_start(current_db: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseRefused, match="is locked by another process"):
            Recorder(current_db, lock_seconds=0.2).open()


def test_a_write_lock_held_too_long_ends_a_migration(version_1: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(version_1, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match="is locked by another process"):
            Recorder(version_1, backup_dir=tmp_path / "saved", lock_seconds=0.2).open()


def without_privileges(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python so that file modes count, also for root."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root without setpriv: file modes have no effect")
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize(
    ("what", "mode", "phrase"),
    [("file", 0o400, "no permission to read and write"), ("folder", 0o500, "no permission to write in")],
)
def test_missing_permissions_end_the_start(current_db: Path, what: str, mode: int, phrase: str) -> None:
    target = current_db if what == "file" else current_db.parent
    target.chmod(mode)
    code = "import sys, pathlib; "
    code += "from llm_metrics_proxy.recorder.recorder import Recorder; Recorder(pathlib.Path(sys.argv[1])).open()"
    result = without_privileges(code, current_db)
    target.chmod(0o700)
    assert result.returncode == 1
    assert phrase in result.stderr.splitlines()[-1]


def test_the_writer_syncs_every_commit(current_db: Path) -> None:
    with closing(open_writer(current_db)) as writer:
        settings = {
            name: writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "synchronous",
                "journal_mode",
                "foreign_keys",
                "journal_size_limit",
                "trusted_schema",
                "mmap_size",
            )
        }
    assert settings == {
        "synchronous": 2,
        "journal_mode": "wal",
        "foreign_keys": 0,  # of users: see test_users_edits.py
        "journal_size_limit": 4194304,
        "trusted_schema": 1,
        "mmap_size": 0,
    }


def test_a_writer_never_creates_a_file(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        open_writer(tmp_path / "missing.db")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_schema_of_which_sqlite_speaks_no_text_is_a_sentence(version_1: Path) -> None:
    content = bytearray(version_1.read_bytes())
    at = content.index(b"completion_requestsCREATE") if b"completion_requestsCREATE" in content else 0
    at = at or content.index(b"CREATE TABLE completion_requests")
    name = content.rindex(b"completion_requests", 0, at + len(b"completion_requests"))
    content[name] = content[at + 1] = content[at + 2] = 0xD0
    version_1.write_bytes(content)
    with pytest.raises(DatabaseRefused, match=r"is damaged|is not a SQLite database|cannot be used"):
        Recorder(version_1).open()

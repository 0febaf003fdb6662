"""The commands about backups: what they print, what a program reads of it, and one sentence when they cannot."""

import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.commands.backup import backup, backups, restore

NAME = re.compile(r"metrics\.db\.\d{8}_\d{6}_\d{3}\.backup")


def run(command: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def refused(command: click.Command, *arguments: object, code: int = 1) -> str:
    """The sentence with which it was refused."""
    result = run(command, *arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    assert sentence.endswith(".")
    return sentence


def read(command: click.Command, *arguments: object) -> dict[str, object]:
    result = run(command, *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.isascii()
    document: dict[str, object] = json.loads(result.stdout)
    return document


def kinds(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT kind, detail FROM recorder_events").fetchall()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "saved").mkdir()
    return tmp_path / "saved"


def test_a_backup_is_made_where_it_was_asked_for(current_db: Path, folder: Path) -> None:
    result = run(backup, "--db", current_db, "--to", folder)
    assert result.exit_code == 0
    (saved,) = folder.glob("*.backup")
    assert result.stdout == f"{saved} ({saved.stat().st_size:,} bytes, verified)\n"
    document = read(backup, "--db", current_db, "--to", folder)
    assert NAME.fullmatch(Path(str(document["path"])).name)
    assert Path(f"{document['path']}.sha256").read_text().startswith(str(document["sha256"]))
    assert document["bytes"] == saved.stat().st_size
    assert document["removed"] == []


@pytest.mark.usefixtures("nothing_is_young")
def test_without_a_folder_the_default_place_is_used_and_kept_small(
    current_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "TESTING is set" in refused(backup, "--db", current_db)
    monkeypatch.delenv("TESTING")
    made = [read(backup, "--db", current_db)["path"] for _ in range(6)]
    assert read(backup, "--db", current_db)["removed"] == [made[1]]
    assert len(list((current_db.parent / "backups").glob("*.backup"))) == 5


def test_the_environment_names_the_database(current_db: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_METRICS_DB", str(current_db))
    assert read(backup, "--to", folder)["database"] == str(current_db)


def test_what_is_not_there_cannot_be_backed_up(db_path: Path, folder: Path) -> None:
    assert "There is no database at" in refused(backup, "--db", db_path, "--to", folder)
    assert not db_path.exists()


def test_backups_are_listed_newest_first(current_db: Path, folder: Path) -> None:
    made = [str(read(backup, "--db", current_db, "--to", folder)["path"]) for _ in range(2)]
    lines = run(backups, "--db", current_db, "--dir", folder).stdout.splitlines()
    assert lines[0].split() == ["made", "at", "bytes", "schema", "verified", "name", "place"]
    assert [line.split()[-2:] for line in lines[1:]] == [[Path(one).name, str(folder)] for one in made[::-1]]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in lines[1:])
    document = read(backups, "--db", current_db, "--dir", folder, "--verify")
    assert isinstance(document["backups"], list)
    assert [(one["path"], one["schema_version"], one["verified"]) for one in document["backups"]] == [
        (one, CURRENT_SCHEMA_VERSION, True) for one in made[::-1]
    ]


def test_backups_are_listed_although_the_database_is_gone(current_db: Path, folder: Path) -> None:
    read(backup, "--db", current_db, "--to", folder)
    current_db.unlink()
    assert len(run(backups, "--db", current_db, "--dir", folder).stdout.splitlines()) == 2
    assert not current_db.exists()


def test_a_list_may_be_empty(current_db: Path, folder: Path) -> None:
    assert run(backups, "--db", current_db, "--dir", folder).stdout == f"There are no backups of {current_db}.\n"
    assert read(backups, "--db", current_db, "--dir", folder)["backups"] == []
    assert "cannot be listed" in refused(backups, "--db", current_db, "--dir", folder / "nothing")
    assert "TESTING is set" in refused(backups, "--db", current_db)


def test_a_backup_that_cannot_be_put_back_is_named_with_its_reason(current_db: Path, folder: Path) -> None:
    saved = Path(str(read(backup, "--db", current_db, "--to", folder)["path"]))
    os.truncate(saved, 8192)
    assert run(backups, "--db", current_db, "--dir", folder).exit_code == 0
    result = run(backups, "--db", current_db, "--dir", folder, "--verify")
    assert result.exit_code == 1
    assert " NO " in result.stdout
    assert f"{saved.name} is no longer what it was" in result.stderr


@pytest.mark.parametrize("how", ["name", "path", "latest"])
def test_a_restore_says_where_the_safety_backup_is(current_db: Path, folder: Path, how: str) -> None:
    saved = Path(str(read(backup, "--db", current_db, "--to", folder)["path"]))
    argument = {"name": saved.name, "path": saved, "latest": "latest"}[how]
    result = run(restore, argument, "--db", current_db, "--dir", folder, "--yes")
    assert result.exit_code == 0, result.output
    (safety,) = set(folder.glob("*.backup")) - {saved}
    assert result.stdout == (f"{current_db} holds what {saved.name} held.\nWhat it held before is in {safety}.\n")
    assert kinds(current_db) == [("restore", saved.name)]


def test_a_restore_can_be_read_by_a_program(current_db: Path, folder: Path) -> None:
    saved = str(read(backup, "--db", current_db, "--to", folder)["path"])
    current_db.write_text("no database\n" * 1000)
    document = read(restore, saved, "--db", current_db, "--dir", folder, "--yes")
    assert document["safety_backup"] is None
    assert (Path(str(document["set_aside"])) / "metrics.db").read_text().startswith("no database")
    assert (document["backup"], document["schema_version"]) == (saved, CURRENT_SCHEMA_VERSION)


def test_a_restore_that_cannot_be_done_is_one_sentence(current_db: Path, folder: Path) -> None:
    arguments = ("--db", current_db, "--dir", folder, "--yes")
    assert "There are no backups of" in refused(restore, "latest", *arguments)
    assert "There is no backup called nothing" in refused(restore, "nothing", *arguments)
    assert "There is no backup at" in refused(restore, folder / "nothing", *arguments)
    assert "is the live database itself" in refused(restore, current_db, *arguments)
    assert "TESTING is set" in refused(restore, "latest", "--db", current_db, "--yes")


def test_where_nobody_can_be_asked_a_restore_needs_yes(current_db: Path, folder: Path) -> None:
    saved = read(backup, "--db", current_db, "--to", folder)["path"]
    assert "add --yes" in refused(restore, str(saved), "--db", current_db, "--dir", folder, code=2)
    assert kinds(current_db) == []


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_on_a_terminal_a_restore_asks(current_db: Path, folder: Path, answer: str, code: int) -> None:
    saved = Path(str(read(backup, "--db", current_db, "--to", folder)["path"]))
    root = str(Path(__file__).parents[3])
    program = f"import sys; sys.path.insert(0, {root!r}); "
    program += "from llm_metrics_proxy.recorder.commands.backup import restore; restore()"
    command = [sys.executable, "-c", program, saved.name, "--db", str(current_db), "--dir", str(folder)]
    controller, terminal = pty.openpty()
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown, ends = b"", time.monotonic() + 20
        while b"[y/N]" not in shown:
            assert time.monotonic() < ends, shown
            if select.select([controller], [], [], 1)[0]:
                shown += os.read(controller, 4096)
        os.write(controller, f"{answer}\n".encode())
        try:
            while process.poll() is None or select.select([controller], [], [], 0)[0]:
                if select.select([controller], [], [], 0.05)[0]:
                    shown += os.read(controller, 4096)
        except OSError:  # the other end was closed
            pass
    os.close(controller)
    assert process.returncode == code, shown
    assert kinds(current_db) == ([("restore", saved.name)] if code == 0 else [])


def test_a_path_cannot_steer_the_terminal(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "\x1b[31m.db"
    assert "\x1b" not in refused(backup, "--db", path, "--to", folder)
    assert "\x1b" not in run(backups, "--db", path, "--dir", folder).stdout


@pytest.mark.parametrize("command", [backup, backups, restore])
def test_help_says_what_it_does_and_its_exit_codes(command: click.Command) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Exit codes:" in result.stdout
    assert "--db PATH" in result.stdout

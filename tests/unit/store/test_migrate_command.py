"""`llm-metrics migrate`: what a start does, for a person who wants to see it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result
from sqlite_utils import Database

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.commands.migrate import migrate
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.unit.store.migrated import assert_version


def command(*arguments: object) -> Result:
    return CliRunner().invoke(migrate, [str(one) for one in arguments])


def test_it_says_from_which_version_to_which_and_where_the_backup_is(version_1: Path, tmp_path: Path) -> None:
    result = command("--db", version_1, "--backup-dir", tmp_path / "saved")
    assert (result.exit_code, result.stderr) == (0, "")
    (saved,) = (tmp_path / "saved").glob("*.backup")
    assert result.stdout == (
        f"{version_1} was brought from schema version 1 to {CURRENT_SCHEMA_VERSION}. The backup is {saved}.\n"
    )
    assert_version(version_1, CURRENT_SCHEMA_VERSION)
    again = command("--db", version_1, "--backup-dir", tmp_path / "saved")
    assert again.stdout == f"{version_1} has schema version {CURRENT_SCHEMA_VERSION} already.\n"


def test_a_dry_run_changes_nothing(version_1: Path, tmp_path: Path) -> None:
    before = version_1.read_bytes()
    result = command("--db", version_1, "--dry-run")
    said = f"with 2 calls would be backed up, and brought from schema version 1 to {CURRENT_SCHEMA_VERSION} ("
    assert said in result.stdout
    assert version_1.read_bytes() == before
    assert "would be created" in command("--db", tmp_path / "new.db", "--dry-run").stdout
    assert not (tmp_path / "new.db").exists()


def test_a_database_that_is_not_there_is_created(db_path: Path) -> None:
    assert f"was created with schema version {CURRENT_SCHEMA_VERSION}" in command("--db", db_path).stdout
    assert_version(db_path, CURRENT_SCHEMA_VERSION)


def test_the_json_document_has_the_plan_and_the_backup(version_1: Path, tmp_path: Path) -> None:
    document = json.loads(command("--db", version_1, "--backup-dir", tmp_path / "saved", "--json").stdout)
    (saved,) = (tmp_path / "saved").glob("*.backup")
    assert document["backup_file"] == str(saved)
    assert (document["from_version"], document["to_version"]) == (1, CURRENT_SCHEMA_VERSION)
    assert (document["rows"], document["dry_run"]) == (2, False)


def test_what_another_program_changed_is_repaired_on_request(current_db: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(current_db)) as connection:
        Database(connection).table("completion_requests").transform(types={"origin": int})
        connection.commit()
    (tmp_path / "saved").mkdir()
    refused = command("--db", current_db, "--backup-dir", tmp_path / "saved")
    assert (refused.exit_code, "llm-metrics migrate --repair" in refused.stderr) == (1, True)
    done = command("--db", current_db, "--backup-dir", tmp_path / "saved", "--repair")
    assert done.exit_code == 0, done.output
    assert "completion_requests of" in done.stdout
    Recorder(current_db).open()


def test_without_a_place_for_a_backup_it_is_one_sentence(version_1: Path, tmp_path: Path) -> None:
    for arguments in ((), ("--backup-dir", tmp_path / "not" / "there")):
        result = command("--db", version_1, *arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert_version(version_1, 1)

"""What is written is for its owner alone, whatever the umask; what was open before is closed, or named."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.addon.starting.greeting import guard
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.commands.status import check
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing.spill import files
from tests.conftest import MakeEvent
from tests.support.rig import Rig, at_once, question, started
from tests.support.waiting import eventually

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
KEYS = ("mitmproxy-ca.pem", "mitmproxy-ca.p12")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[str]:
    """What others may read or write of what we write; of the CA, what is no certificate."""
    ours = [*folder.glob("metrics.db*"), *folder.glob("metrics.db.spill/*"), *folder.glob("backups/**")]
    ours += [folder / "mitmproxy" / name for name in KEYS]
    found = [f"{path.relative_to(folder)} {mode_of(path):04o}" for path in ours if mode_of(path) & OTHERS]
    authority = [folder / "mitmproxy", *(folder / "mitmproxy").iterdir()]
    return found + [f"{path.name} {mode_of(path):04o}" for path in authority if mode_of(path) & OTHERS_WRITE]


@contextmanager
def under(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def one_call(rig: Rig) -> None:
    rig.answer(at_once(b'{"model":"gpt-5.5","choices":[]}'))
    rig.ask(question())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_database_wal_backups_and_the_cas_key_are_private(umask: int, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with under(umask), started(tmp_path, options=[f"metrics_backup_dir={tmp_path / 'backups'}"]) as rig:
        one_call(rig)
        rig.row()
        backup.create(rig.proxy.database, backup_dir=tmp_path / "backups")
        assert {path.name for path in tmp_path.glob("metrics.db*")} >= {
            "metrics.db",
            "metrics.db-wal",
            "metrics.db-shm",
        }
        assert len(list((tmp_path / "backups").iterdir())) >= 2
        assert open_to_others(tmp_path) == []
    assert open_to_others(tmp_path) == []


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_kept_aside_is_private(umask: int, tmp_path: Path) -> None:
    (tmp_path / "metrics.db").write_text("These are the metrics that I would like to keep.\n")
    (tmp_path / "metrics.db").chmod(0o600)
    with under(umask), started(tmp_path, options=["metrics_on_database_error=spill"]) as rig:
        one_call(rig)
        assert eventually(lambda: files(spill_folder.folder_of(rig.proxy.database)))
        assert open_to_others(tmp_path) == []


def test_rejected_events_are_private(db_path: Path, make_event: MakeEvent) -> None:
    with under(0o000):
        recorder = Recorder(db_path)
        recorder.open()
        recorder.start()
        recorder.submit(make_event(prompt_tokens=2**63))
        recorder.close()
    (kept,) = spill_folder.folder_of(db_path).glob("rejected*")
    assert mode_of(kept) == 0o600


def test_a_database_that_is_open_to_others_stays_so_and_is_named(db_path: Path, make_event: MakeEvent) -> None:
    Recorder(db_path).open()
    db_path.chmod(0o644)
    recorder = Recorder(db_path)
    recorder.open()
    recorder.start()
    recorder.submit(make_event())
    recorder.close()
    assert mode_of(db_path) == 0o644
    said = CliRunner().invoke(check, ["--db", str(db_path)])
    assert said.stdout == f"{db_path} has mode 0644, so that other users have access: chmod 600 {db_path}.\n"


def test_an_empty_file_that_is_open_to_others_is_closed(db_path: Path) -> None:
    db_path.touch()
    db_path.chmod(0o666)
    Recorder(db_path).open()
    assert mode_of(db_path) == 0o600


def test_a_spill_folder_that_is_open_to_others_is_closed(db_path: Path) -> None:
    folder = spill_folder.folder_of(db_path)
    folder.mkdir()
    (folder / "something").touch()
    folder.chmod(0o777)
    Recorder(db_path).open()
    assert mode_of(folder) == 0o700


def test_a_ca_that_everybody_could_replace_is_protected(tmp_path: Path) -> None:
    certificate, bystander = tmp_path / "mitmproxy-ca-cert.pem", tmp_path / "notes"
    for file in (certificate, bystander):
        file.touch()
        file.chmod(0o666)
    tmp_path.chmod(0o777)
    assert list(guard(tmp_path)) == []
    assert (mode_of(tmp_path), mode_of(certificate), mode_of(bystander)) == (0o755, 0o644, 0o666)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_of_the_ca_that_others_can_read_is_named_once(tmp_path: Path, name: str) -> None:
    with started(tmp_path) as rig:
        key = rig.proxy.ca.with_name(name)
    key.chmod(0o640)
    with started(tmp_path) as rig:
        rig.proxy.stop()
        warning = f"Others can read the CA's key {key}, and so what clients send: chmod 600 {key}"
        assert rig.proxy.log.count(warning) == 1


def test_a_link_in_the_place_of_the_ca_changes_no_mode_elsewhere(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    victim.chmod(0o666)
    (tmp_path / "ca").mkdir(mode=0o700)
    (tmp_path / "ca" / "mitmproxy-ca-cert.pem").symlink_to(victim)
    assert list(guard(tmp_path / "ca")) == []
    assert mode_of(victim) == 0o666

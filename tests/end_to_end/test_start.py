"""A start that cannot go on says one sentence and serves nobody; one that can says what to type next."""

import contextlib
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.spill_folder import folder_of
from llm_metrics_proxy.recorder.writing import spill
from tests.support.ports import free_port
from tests.support.provider import openai_answers
from tests.support.proxy import ADDON, ROOT, clean_environment
from tests.support.rig import question, started
from tests.support.waiting import PATIENCE, eventually
from tests.support.warm import ADDON as OUR_ADDON
from tests.support.warm import MITMDUMP, warm


def answer_of(port: int) -> bytes:
    """Ask for a tunnel, to a name: mitmproxy listens before it loads its scripts, and goes on while it looks one up."""
    with socket.socket() as client, contextlib.suppress(OSError):
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", port))
        if client.getsockname() != client.getpeername():  # a port that nobody listens on can be connected with itself
            client.sendall(b"CONNECT localhost:9 HTTP/1.1\r\n\r\n")
            return client.recv(1000)
    return b""


def refusal(folder: Path, *settings: str, **variables: str) -> str:
    """Start mitmdump, see that it ends with 1, has served nobody and has printed one sentence; return that."""
    port = free_port()
    words = ["--listen-host", "127.0.0.1", "--listen-port", str(port), "-s", str(ADDON)]
    words += [word for setting in (f"confdir={folder}/confdir", *settings) for word in ("--set", setting)]
    environment = clean_environment(folder) | variables
    with (folder / "said.log").open("w+") as said, (folder / "complained.log").open("w+") as complaints:
        process = warm(*MITMDUMP, OUR_ADDON).start(words, environment, folder, said, complaints)
        ends = time.monotonic() + PATIENCE
        answer = b""
        while process.poll() is None and not answer and time.monotonic() < ends:
            answer = answer_of(port)
            time.sleep(0.005)
        process.kill()
        assert (process.wait(PATIENCE), answer) == (1, b"")
        complaints.seek(0)
        complained = complaints.read()
        said.seek(0)
        assert "listening" not in said.read()
    assert complained.endswith(".\n")
    assert complained.count("\n") == 1, complained
    return complained


BAD_SETTINGS = [
    (["metrics_dbb=x"], "There is no option metrics_dbb: the options are metrics_db, "),
    (["metrics_db=a.db", "metrics_db=b.db"], "metrics_db is given 2 times: give it once."),
    (["metrics_db"], "metrics_db has no value: write --set metrics_db=VALUE."),
    (["metrics_hosts="], "metrics_hosts has no value: write --set metrics_hosts=VALUE."),
    (["metrics_intercept_all=banana"], "metrics_intercept_all must be true or false, not 'banana'."),
    (["metrics_queue_size=many"], "metrics_queue_size must be a whole number from 1 to "),
    (["metrics_queue_size=0"], "metrics_queue_size must be a whole number from 1 to "),
    (["metrics_queue_size=-5"], "metrics_queue_size must be a whole number from 1 to "),
    (["metrics_hosts=(a"], "metrics_hosts must be a regular expression, and '(a' is none ("),
    (["metrics_retention=5y"], "metrics_retention is '5y', which is no length of time: write it like 90d or 12h."),
    (["metrics_backup_interval=daily"], "metrics_backup_interval is 'daily', which is no length of time: "),
    (["metrics_on_database_error=ignore"], "metrics_on_database_error must be exit or spill, not 'ignore'."),
    (["metrics_log_format=xml"], "metrics_log_format must be text or json, not 'xml'."),
    (["metrics_published=localhost"], "metrics_published must be a host and a port, such as 127.0.0.1:8080, not "),
    (
        ["metrics_published=127.0.0.1:70000"],
        "metrics_published must be a host and a port, such as 127.0.0.1:8080, ",
    ),
    (["metrics_db=nowhere/metrics.db"], "There is no folder "),
    (["metrics_db=text.db"], "/text.db is not a SQLite database: move that file away, or "),
    (["metrics_db=folder"], "/folder is a folder: set metrics_db to a file, such as "),
    (["metrics_db=foreign.db"], "/foreign.db is the database of another program: "),
    (["metrics_db=newer.db"], f"schema version 99, and this program knows up to {CURRENT_SCHEMA_VERSION}: "),
    (
        ["metrics_prices=nowhere.toml"],
        "There is no file of prices at nowhere.toml: give the path of one, or leave it out.",
    ),
    (["metrics_prices=text.db"], "text.db is no TOML ("),
    (["metrics_backup_dir=text.db"], "No backups can be made in text.db ("),
]


@pytest.mark.parametrize(
    ("settings", "sentence"), BAD_SETTINGS, ids=[" ".join(settings) for settings, _ in BAD_SETTINGS]
)
def test_a_start_that_cannot_go_on_says_why_in_one_sentence(tmp_path: Path, settings: list[str], sentence: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("These are the metrics that I would like to keep.\n" * 200)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as foreign:
        foreign.execute("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")
    Recorder(tmp_path / "newer.db").open()
    with closing(sqlite3.connect(tmp_path / "newer.db")) as newer:
        newer.execute("PRAGMA user_version=99")
    before = {path: path.read_bytes() for path in tmp_path.glob("*.db") if path.is_file()}
    if not any(setting.startswith("metrics_db") for setting in settings):
        settings = [*settings, "metrics_db=metrics.db"]
    assert sentence in refusal(tmp_path, *settings)
    assert {path: path.read_bytes() for path in before} == before


def test_under_testing_there_is_no_default_database(tmp_path: Path) -> None:
    assert "TESTING is set, which forbids the default database" in refusal(tmp_path, TESTING="true")
    assert not (tmp_path / "metrics.db").exists()


def test_options_in_the_configuration_file_may_be_true_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "mitmproxy").mkdir()
    config = "metrics_intercept_all: true\nmetrics_queue_size: 50\nmetrics_hosts: llm\\.lan\n"
    (tmp_path / "mitmproxy" / "config.yaml").write_text(config)
    with started(tmp_path) as rig:
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        rig.ask(question(), host="anything.example.org")
        assert rig.row()["host"] == "anything.example.org:443"


@pytest.mark.parametrize("line", ["metrics_queue_size: many", "metrics_intercept_all: 3", "metrics_nosuch: true"])
def test_a_bad_option_in_the_configuration_file_ends_the_start_too(tmp_path: Path, line: str) -> None:
    (tmp_path / "confdir").mkdir()
    (tmp_path / "confdir" / "config.yaml").write_text(f"{line}\n")
    assert line.partition(":")[0] in refusal(tmp_path, "metrics_db=metrics.db")


def test_a_public_address_without_a_password_is_warned_of_once(tmp_path: Path) -> None:
    warning = ", where others can reach it: let it listen on 127.0.0.1, or add --set proxyauth=USER:PASSWORD."
    for options, count in (([], 1), (["proxyauth=any"], 1), (["proxyauth=a:b"], 0)):
        with started(tmp_path, mode="regular@0.0.0.0:0", options=options) as rig:
            rig.proxy.stop()
            assert rig.proxy.log.count(warning) == count, rig.proxy.log
            rig.proxy.log_file.unlink()


def test_the_very_first_start_names_a_bundle_that_exists(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"]
    command += ["--listen-host", "127.0.0.1", "--listen-port", "0", "-s", str(ADDON)]
    command += ["--set", f"metrics_db={tmp_path}/metrics.db"]
    environment = clean_environment(tmp_path) | {"PYTHONPATH": str(ROOT)}  # its home has no CA yet
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = next(line for line in process.stdout if "SSL_CERT_FILE" in line)
        process.terminate()
        process.stdout.read()
    bundle = Path(said.strip().partition("=")[2])
    assert bundle == tmp_path / ".mitmproxy" / "llm-metrics-ca-bundle.pem"
    assert bundle.read_text().count("BEGIN CERTIFICATE") > 50


def test_a_start_may_go_on_without_its_database_and_loses_nothing(tmp_path: Path) -> None:
    database = tmp_path / "metrics.db"
    database.write_text("These are the metrics that I would like to keep.\n")
    with started(tmp_path, options=["metrics_on_database_error=spill"]) as rig:
        rig.answer(openai_answers.plain("gpt-5.5", at_ms=0))
        for _ in range(3):
            rig.ask(question())
        assert eventually(lambda: spill.files(folder_of(database)))
        assert "is not a SQLite database" in rig.proxy.log
        database.unlink()
        assert eventually(lambda: database.exists() and not spill.files(folder_of(database)), within=3 * PATIENCE)
        rig.rows(3)
    assert not folder_of(database).exists()

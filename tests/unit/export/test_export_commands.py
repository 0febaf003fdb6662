"""The commands of exporters: what they need, what they say, and that bad input is one sentence."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.export.run import Report
from llm_metrics_proxy.recorder.export.telling import telling
from tests.support.proxy import ROOT
from tests.support.waiting import eventually

_MAIN = "from llm_metrics_proxy.recorder.commands.cli import main; main()"


def run(*arguments: str, without: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as if the package `without` were not installed."""
    code = f"import sys; sys.modules[{without!r}] = None; {_MAIN}" if without else _MAIN
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("psycopg", ("export", "postgres", "postgresql://nobody@127.0.0.1:9/nothing")),
        ("tenacity", ("export", "postgres", "postgresql://nobody@127.0.0.1:9/nothing")),
        ("opentelemetry", ("export", "otlp", "http://127.0.0.1:9")),
        ("prometheus_client", ("serve", "--prometheus", "127.0.0.1:0")),
    ],
)
def test_without_the_extra_one_sentence_says_what_to_install(
    missing: str, command: tuple[str, ...], current_db: Path
) -> None:
    done = run(*command, "--db", str(current_db), without=missing)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: The Python package {missing} is missing: install llm-metrics-proxy with its extra `export`.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "phrase"),
    [
        (("postgres", "nonsense"), 1, "The DSN cannot be read"),
        (("otlp", "nonsense"), 1, "give the base URL of the receiver"),
        (("postgres",), 2, "Missing argument 'DSN'"),
        (("postgres", "dbname=x", "--rate", "0"), 2, "0 is not in the range"),
        (("postgres", "host=127.0.0.1 port=9", "--db", "/does/not/exist.db"), 1, "There is no database at"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], code: int, phrase: str, current_db: Path) -> None:
    done = run("export", *arguments, *(() if "--db" in arguments else ("--db", str(current_db))))
    assert (done.returncode, phrase in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_one_that_follows_says_why_it_waits_and_ends_at_a_signal(current_db: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", _MAIN, "export", "postgres", "postgresql://u:geheim@127.0.0.1:9/nothing"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--follow", "--db", str(current_db)], cwd=ROOT, stdout=file, stderr=file)
        assert eventually(lambda: "It waits and tries again" in log.read_text()), log.read_text()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert time.monotonic() - began < 3
    assert "0 rows were sent to postgres 127.0.0.1:9/nothing, 0 wait." in log.read_text()
    assert "geheim" not in log.read_text()
    assert [one.name for one in current_db.parent.iterdir() if "spill" in one.name] == []


def test_what_is_new_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with telling("Exporting") as told:
        for report in (
            Report(10, 0, 90),
            Report(10, 0, 90, "it sleeps"),
            Report(10, 0, 90, "it sleeps"),
            Report(19, 1, 80),
            Report(28, 2, 70),
            Report(37, 3, 60),
        ):
            told(report)
    assert capsys.readouterr().err.splitlines() == [
        "It waits and tries again: it sleeps.",
        "It goes on.",
        "1 rows were refused: llm-metrics status shows why, as export_refused.",
        "3 rows were refused: llm-metrics status shows why, as export_refused.",
    ]

"""`llm-metrics dashboard` starts the page in an environment of its own, and says how to get one where it cannot."""

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.proxy import ROOT, clean_environment

LLM_METRICS = Path(sys.executable).with_name("llm-metrics")
SCRIPT = ROOT / "deploy" / "dashboard" / "start.py"


def dashboard(path: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(folder) | {"PATH": path, "PYTHONPATH": str(folder)}
    words = [str(LLM_METRICS), "dashboard", *options]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def program(folder: Path, name: str) -> Path:
    """A program that says with what words, and with which Python path, it was started."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text('#!/bin/sh\necho "$0" "$@" "path=$PYTHONPATH"\n')
    file.chmod(0o755)
    return file


def test_without_a_database_there_is_one_sentence_and_no_file(tmp_path: Path) -> None:
    done = dashboard("", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"There is no database at {tmp_path}/metrics.db: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_make_an_environment_one_sentence_says_what_can(tmp_path: Path) -> None:
    (tmp_path / "metrics.db").write_text("x")
    done = dashboard("", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "install uv (pip install uv) or pipx" in done.stderr


def test_uv_comes_first_then_pipx_and_neither_gets_our_modules(tmp_path: Path) -> None:
    (tmp_path / "metrics.db").write_text("x")
    rest = f"{SCRIPT} --port 8002 -- {tmp_path}/metrics.db path=\n"
    pipx = program(tmp_path / "pipx", "pipx")
    uv = program(tmp_path / "uv", "uv")
    assert dashboard(str(pipx.parent), tmp_path, "--port", "8002").stdout == f"{pipx} run {rest}"
    both = f"{pipx.parent}:{uv.parent}"
    assert dashboard(both, tmp_path, "--port", "8002").stdout == f"{uv} run --no-project --script {rest}"


def test_the_script_asks_for_what_the_pinned_environment_has() -> None:
    header = SCRIPT.read_text().partition("# /// script\n")[2].partition("# ///\n")[0]
    asked = tomllib.loads("\n".join(line.removeprefix("# ") for line in header.splitlines()))
    assert sorted(asked["dependencies"]) == sorted((SCRIPT.parent / "requirements.in").read_text().split())

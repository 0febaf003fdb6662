"""The fleet's trial in short, and that it notices what it is there to notice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.exporting.postgres_server import binaries
from tests.support.proxy import ROOT
from tests.trials import record
from tests.trials.fleet.verdict import compared

pytestmark = pytest.mark.skipif(
    binaries() is None and not os.environ.get("CI"), reason="needs PostgreSQL: apt install postgresql"
)


@pytest.mark.timeout(180)
def test_every_row_of_every_sidecar_arrives_once_amid_kills_and_outages(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.trials.fleet",
        "--sidecars",
        "2",
        "--seconds",
        "8",
        "--outage",
        "2",
        "--seed",
        "3",
        "--json",
        str(tmp_path / "fleet.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 5
    assert "killed" in done.stdout
    found = record.read(tmp_path / "fleet.json")
    assert [(check.result, check.tries) for check in found.checks] == [("kept", found.tries)] * 5


def test_a_row_that_is_missing_additional_or_different_is_found() -> None:
    here: dict[str, tuple[object, ...]] = {"a": (1, None), "b": (2, "x")}
    assert compared("same", {"host": here}, {"host": dict(here)}).kept
    assert not compared("missing", {"host": here}, {"host": {"a": (1, None)}}).kept
    assert not compared("more", {"host": here}, {"host": here | {"c": (3, None)}}).kept
    assert not compared("different", {"host": here}, {"host": here | {"b": (2, None)}}).kept

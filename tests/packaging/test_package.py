"""One package under one name: a module that is loaded under two names is two modules with a state each."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import rig
from tests.support.proxy import ADDON
from tests.support.waiting import eventually

PARTS = ("addon", "recorder", "migrations")
# A script for mitmdump, loaded after the addon: which files its modules come from, and their names.
LOADED_TWICE = """
import pathlib, sys

def running():
    names = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and "llm_metrics_proxy" in name + file:
            names.setdefault(str(pathlib.Path(file).resolve()), []).append(name)
    twice = [names for names in names.values() if len(names) > 1]
    top = [name for name in ("addon", "recorder", "migrations") if name in sys.modules]
    pathlib.Path("modules.txt").write_text(f"{len(names)} {twice} {top}")
"""


def test_the_tests_load_no_part_by_itself() -> None:
    assert not set(PARTS) & set(sys.modules)


def test_mitmdump_loads_no_module_under_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "loaded.py"
    script.write_text(LOADED_TWICE)
    monkeypatch.chdir(tmp_path)
    said = tmp_path / "modules.txt"
    with rig.started(tmp_path, scripts=[script]):
        found = eventually(lambda: said.is_file() and said.read_text()) or ""
    count, _, rest = found.partition(" ")
    assert int(count) > 50
    assert rest == "[] []"


@pytest.mark.parametrize("part", PARTS)
def test_no_part_can_be_imported_by_itself_from_another_folder(part: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {part}"], cwd=tmp_path, capture_output=True, check=False)
    assert b"No module named" in done.stderr


@pytest.mark.parametrize(
    ("options", "lacking", "cure"),
    [((), "sys.modules['fcntl'] = None", "WSL"), (("-S",), "pass", "make setup")],
    ids=["Windows", "not installed"],
)
def test_a_mitmdump_that_lacks_a_module_says_in_one_sentence_what_to_do(
    options: tuple[str, ...], lacking: str, cure: str, tmp_path: Path
) -> None:
    code = f"import runpy, sys; {lacking}; runpy.run_path({str(ADDON)!r})"
    command = [sys.executable, *options, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("llm-metrics: ")
    assert done.stderr.count("\n") == 1
    assert cure in done.stderr

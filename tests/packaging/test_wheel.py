"""The wheel has all that runs: installed in an empty folder it records a call."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import rig
from tests.support.proxy import ROOT

DATA = {
    "llm_metrics_proxy/migrations/views/model_summary.sql",
    "llm_metrics_proxy/recorder/report/page.html",
    "llm_metrics_proxy/addon/main.py",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def test_everything_that_is_read_at_run_time_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= DATA
    assert not [name for name in names if name.startswith(("tests/", "bench/", "demo/"))]


def test_installed_in_an_empty_folder_it_records_a_call(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)  # or Python finds the checkout first
    environment = {"PYTHONPATH": str(place)}
    where = [
        sys.executable,
        "-c",
        "from llm_metrics_proxy.addon import capture; print(capture.__file__)",
    ]
    found = subprocess.run(where, env=environment, check=True, capture_output=True, text=True).stdout
    assert Path(found.strip()).is_relative_to(place)
    addon = place / "llm_metrics_proxy" / "addon" / "main.py"
    with rig.started(tmp_path, addon=addon, environment=environment) as rigged:
        rigged.answer(rig.at_once(b'{"model":"gpt-5.5","choices":[{"message":{"content":"x"}}]}'))
        rigged.ask(rig.question())
        assert rigged.row()["model"] == "gpt-5.5"
        assert rigged.query("SELECT requests FROM model_summary_last_hour") == [{"requests": 1}]

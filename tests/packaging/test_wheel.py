"""The packages have all that runs: installed in an empty folder the wheel records a call, prices it and shows it."""

import hashlib
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from llm_metrics_proxy import __version__
from tests.support import rig
from tests.support.provider import openai_answers
from tests.support.provider.server import Provider
from tests.support.proxy import REDIRECT, ROOT, clean_environment

DATA = {
    "llm_metrics_proxy/migrations/views/model_summary.sql",
    "llm_metrics_proxy/recorder/report/page.html",
    "llm_metrics_proxy/addon/main.py",
    "llm_metrics_proxy/addon/callers/agents.toml",
    "llm_metrics_proxy/addon/providers/hosts.csv",
    "llm_metrics_proxy/deploy/dashboard/page.yaml",
    "llm_metrics_proxy/deploy/dashboard/start.py",
    "llm_metrics_proxy/deploy/dashboard/static/page.css",
}
CALL = """
import urllib.request
request = urllib.request.Request("https://api.openai.com/v1/chat/completions",
    headers={"content-type": "application/json"},
    data=b'{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why?"}]}')
urllib.request.urlopen(request, timeout=20).read()
"""


def built(source: Path, folder: Path) -> Path:
    """The wheel of a folder with the sources, by the build backend of this environment."""
    folder.mkdir(exist_ok=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(source)], check=True, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_source_package_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    again = built(tmp_path / source.name.removesuffix(".tar.gz"), tmp_path / "again")
    contents = []
    for made in (wheel, again):
        with zipfile.ZipFile(made) as archive:
            contents.append({name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()})
    assert contents[0] == contents[1]


def test_an_index_is_told_what_it_is_and_may_take_it(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["Version"] == __version__
    assert found.get_all("Project-URL")
    assert found["Keywords"]
    assert not [one for one in found.get_all("Classifier") or [] if one.startswith("Private")]


def test_the_readme_of_an_index_leads_to_no_file_of_the_repository(wheel: Path) -> None:
    found = metadata(wheel)
    assert found["Description-Content-Type"] == "text/markdown"
    text = str(found.get_payload())
    assert text.lstrip().startswith("# ")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links, "the links to other sites stay"
    assert not [link for link in links if not link.startswith(("https://", "#"))]


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The folder of programs of a fresh environment, which needs no network: what we need comes from this one's."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/*/site-packages")
    # Of a folder that is only named here Python reads no .pth, so the checkout is not on the path.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--ignore-installed", str(wheel)], check=True, cwd=tmp_path)
    return environment / "bin"


def test_from_the_wheel_to_the_first_row_is_one_command(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "client.py").write_text(CALL)
    with Provider(lambda _request: openai_answers.plain("gpt-5-mini", at_ms=0)) as upstream:
        ca = upstream.authority.write(tmp_path / "upstream-ca.pem")
        environment = clean_environment(tmp_path) | {
            "TEST_PROVIDER_PORT": str(upstream.port),
            "TEST_LISTENING_FILE": str(tmp_path / "listening.json"),
            "XDG_RUNTIME_DIR": str(tmp_path),
        }
        options = ["--port", "0", "--set", f"scripts={REDIRECT}", "--set", f"ssl_verify_upstream_trusted_ca={ca}"]

        def done(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)

        version = done(str(installed / "llm-metrics"), "--version").stdout
        assert version == f"llm-metrics, version {__version__}\n"
        program = [str(installed / "python"), "client.py"]
        said = done(str(installed / "llm-metrics"), "run", *options, "--", *program).stderr
        assert said.startswith("llm-metrics: 1 call, 0 failed, tokens ")
        assert "$0.0" in said
        top = done(str(installed / "python"), "-m", "sqlite_utils", "llm-top", "metrics.db", "--json").stdout
        assert "gpt-5-mini" in top
        query = "SELECT sum(calls) AS n FROM rollup_calls WHERE span = 'hour'"
        rolled_up = done(str(installed / "python"), "-m", "sqlite_utils", "metrics.db", query).stdout
        assert json.loads(rolled_up) == [{"n": 1}]
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("metrics.db")) == ["client.py"]


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

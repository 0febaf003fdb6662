"""compose.yaml is what the compose specification allows, and keeps every wall that docs/containers.md promises."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.addon.starting.settings import OPTIONS
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support import container
from tests.support.proxy import ROOT

# Ours: those of others are run as their makers made them.
EXPORTERS = ["postgres-export", "metrics", "otlp-export"]
OWN = ["proxy", "dashboard", "ollama-proxy", *EXPORTERS]


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - a function
    """Ask check-jsonschema, which brings the schema; in a venv of its own, since nothing else needs it."""
    venv = tmp_path_factory.mktemp("schema") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(venv)]
    subprocess.run([*pip, "install", "check-jsonschema"], check=True, stderr=subprocess.DEVNULL)

    def ask(file: Path) -> subprocess.CompletedProcess[str]:
        command = [str(venv / "bin" / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return ask


TYPOS = [
    ("stop_grace_period:", "stop_grace_periode:"),
    ("cap_drop:", "cap-drop:"),
    ("condition: service_healthy", "condition: healthy"),
    ("    ports:\n", "    ports: 8080\n    x-ports:\n"),
    ("retries: 3", "retries: [3]"),
]


@pytest.mark.timeout(180)
def test_the_file_follows_the_specification_and_typos_do_not(validate: Any, tmp_path: Path) -> None:  # noqa: ANN401
    good = validate(ROOT / "compose.yaml")
    assert good.returncode == 0, good.stdout + good.stderr
    text = (ROOT / "compose.yaml").read_text()
    for right, wrong in TYPOS:
        broken = tmp_path / "compose.yaml"
        assert right in text
        broken.write_text(text.replace(right, wrong, 1))
        assert validate(broken).returncode == 1, wrong


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = container.compose()["services"]
    return found


@pytest.mark.parametrize("name", services())
def test_every_port_is_published_on_this_machine_alone(name: str) -> None:
    for published in services()[name].get("ports", []):
        assert published.startswith("127.0.0.1:")
    told = services()[name].get("environment", {}).get("METRICS_PUBLISHED", "127.0.0.1:")
    assert told.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["proxy", "ollama-proxy"])
def test_a_proxy_is_told_where_it_is_published(name: str) -> None:
    service = services()[name]
    (published,) = service["ports"]
    assert service["environment"]["METRICS_PUBLISHED"] == published.rpartition(":")[0]


@pytest.mark.parametrize("name", OWN)
def test_every_container_of_ours_is_walled_in(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]  # noqa: S108 - the container's
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "user"} & service.keys()


@pytest.mark.parametrize("stage", ["proxy", "dashboard"])
def test_the_images_are_not_roots_and_their_base_has_a_version(stage: str) -> None:
    assert container.stages()[stage].user == "10001:10001"
    assert len(container.stages()[stage].steps) == 1
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.13\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", bases[0])
    assert set(bases[1:]) == {"base"}


@pytest.mark.parametrize("name", ["proxy", "ollama-proxy"])
def test_a_proxy_has_longer_to_end_than_the_recorder_takes(name: str) -> None:
    deadline = inspect.signature(Recorder.close).parameters["deadline"].default
    assert float(services()[name]["stop_grace_period"].removesuffix("s")) >= 2 * deadline


def test_without_a_profile_there_is_only_the_proxy() -> None:
    assert [name for name, service in services().items() if "profiles" not in service] == ["proxy"]


def test_all_that_record_share_one_volume() -> None:
    for name in OWN:
        assert services()[name]["volumes"] == ["data:/data"]


def test_every_setting_is_an_option_of_the_addon() -> None:
    for name in ("proxy", "ollama-proxy"):
        given = {one.lower() for one in services()[name]["environment"] if one.startswith("METRICS_")}
        assert given <= OPTIONS.keys()


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_exporter_is_a_command_that_there_is(name: str) -> None:
    program, *words = services()[name]["command"]
    assert program == "llm-metrics"
    result = CliRunner().invoke(main, [*words, "--help"])
    assert (result.exit_code, "Usage:" in result.stdout) == (0, True), result.output


def test_every_file_that_a_container_gets_is_there() -> None:
    for name, config in container.compose()["configs"].items():
        assert "content" in config or (ROOT / config["file"]).is_file(), name


def test_what_the_environment_says_is_filled_in() -> None:
    filled = container.compose(PROXY_PORT="8081", METRICS_RETENTION="90d")["services"]["proxy"]
    assert filled["ports"] == ["127.0.0.1:8081:8080"]
    assert filled["environment"]["METRICS_PUBLISHED"] == "127.0.0.1:8081"
    assert filled["environment"]["METRICS_RETENTION"] == "90d"
    assert filled["environment"]["METRICS_HOSTS"] == ""


def test_no_database_and_no_key_reaches_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    for line in lines[1:]:
        assert line == "**/__pycache__" or (ROOT / line.removeprefix("!")).exists(), line

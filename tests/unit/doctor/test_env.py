"""What `llm-metrics env` prints does in each shell what it says, and sends a real client through a real proxy."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import certifi
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from llm_metrics_proxy.recorder.client_setup.authority import CA_NAME
from llm_metrics_proxy.recorder.client_setup.bundle import BUNDLE_NAME
from llm_metrics_proxy.recorder.client_setup.proxy_url import without_password
from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, STATUS_PATH, read
from llm_metrics_proxy.recorder.client_setup.variables import ADDING, LINES, LOCAL, REPLACING
from llm_metrics_proxy.recorder.commands.cli import main
from tests.support.proxy import clean_environment
from tests.support.rig import Rig

URL = "http://team:x@127.0.0.1:8080"
NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "http_proxy", *REPLACING, ADDING, "NODE_USE_ENV_PROXY", "NO_PROXY")
# Each is harmless in a path, and steers one shell or another.
FOLDERS = [
    "plain",
    "with space",
    "it's",
    '$HOME `x` "y" $(z)',
    "back\\slash\\",
    "\u2018typographic\u2019",
    "ü;&|#",
    "%a!b",
]
PRINTENV = "import json, os; print(json.dumps(dict(os.environ)))"
_LLM_METRICS = Path(sys.executable).with_name("llm-metrics")


def printed(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["env", *map(str, arguments)])


def lines(folder: Path, shell: str, url: str = URL) -> str:
    folder.mkdir()
    (folder / CA_NAME).write_text("the proxy's\n")
    result = printed("--shell", shell, "--proxy", url, "--ca", folder / CA_NAME)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def expected(folder: Path, url: str = URL) -> dict[str, str]:
    bundle = str(folder / BUNDLE_NAME)
    files = dict.fromkeys(REPLACING, bundle) | {ADDING: str(folder / CA_NAME)}
    urls = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "http_proxy"), url)
    return {**urls, **files, "NODE_USE_ENV_PROXY": "1", "NO_PROXY": LOCAL}


def without_comment(printed: str) -> list[str]:
    *commands, comment = printed.splitlines()
    assert comment.startswith("# NO_PROXY: ")
    return commands


def evaluated(shell: str, script: str, home: Path) -> dict[str, str]:
    """Run the lines in a shell, and return what a program that it starts sees of them."""
    program = f"{script}\n'{sys.executable}' -c '{PRINTENV}'"
    done = subprocess.run(
        [shell, "-c", program], env=clean_environment(home), capture_output=True, text=True, check=True
    )
    environment = json.loads(done.stdout)
    return {name: environment[name] for name in NAMES}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("shell", [one for one in ("sh", "dash", "bash", "zsh") if shutil.which(one)])
def test_the_lines_for_sh_do_what_they_say(shell: str, folder: str, tmp_path: Path) -> None:
    place = tmp_path / folder
    assert evaluated(shell, lines(place, "sh"), tmp_path) == expected(place)


@pytest.mark.skipif(not (shutil.which("fish") or os.environ.get("CI")), reason="needs fish: apt install fish")
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lines_for_fish_do_what_they_say(folder: str, tmp_path: Path) -> None:
    place = tmp_path / folder
    assert evaluated("fish", lines(place, "fish"), tmp_path) == expected(place)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lines_for_fish_follow_its_rules_of_quoting(folder: str, tmp_path: Path) -> None:
    """In single quotes fish knows two escapes: of the quote, and of the backslash."""
    place, found = tmp_path / folder, {}
    for line in without_comment(lines(place, "fish")):
        match = re.fullmatch(r"set -gx (\w+) '((?:[^'\\]|\\['\\])*)'", line)
        assert match, line
        found[match[1]] = re.sub(r"\\(['\\])", r"\1", match[2])
    assert found == expected(place)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lines_for_powershell_follow_its_rules_of_quoting(folder: str, tmp_path: Path) -> None:
    """In single quotes PowerShell knows one escape: a quote, of whichever of its kinds, is doubled."""
    place, found = tmp_path / folder, {}
    quote = "['\u2018\u2019\u201a\u201b]"
    for line in without_comment(lines(place, "powershell")):
        match = re.fullmatch(rf"\$env:(\w+) = '((?:(?!{quote}).|({quote})\3)*)'", line)
        assert match, line
        found[match[1]] = re.sub(rf"({quote})\1", r"\1", match[2])
    assert found == expected(place)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_block_for_compose_is_yaml_and_mounts_no_key(folder: str, tmp_path: Path) -> None:
    place, url = tmp_path / folder, "http://proxy:8080"
    service = YAML(typ="safe").load(lines(place, "compose", url))
    values = {name: value.replace("$$", "$") for name, value in service["environment"].items()}
    assert values == expected(place, url)
    assert all(re.fullmatch(r"([^$]|\$\$)*", value) for value in service["environment"].values())
    mounted = [volume["source"].replace("$$", "$") for volume in service["volumes"]]
    assert mounted == [str(place / BUNDLE_NAME), str(place / CA_NAME)]
    assert all(volume["read_only"] and volume["target"] == volume["source"] for volume in service["volumes"])


def test_a_service_is_not_sent_to_its_own_loopback_without_a_word(tmp_path: Path) -> None:
    (tmp_path / CA_NAME).write_text("the proxy's\n")
    result = printed("--shell", "compose", "--ca", tmp_path / CA_NAME)
    assert result.exit_code == 0
    assert result.stderr == "In a container 127.0.0.1 is the container itself: give --proxy http://SERVICE:8080.\n"


def test_the_bundle_holds_public_roots_and_the_ca_and_a_good_one_is_left_alone(tmp_path: Path) -> None:
    bundle = tmp_path / BUNDLE_NAME
    (tmp_path / CA_NAME).write_text("the proxy's\n")
    printed("--ca", tmp_path / CA_NAME)
    assert bundle.read_bytes() == Path(certifi.where()).read_bytes().rstrip() + b"\n\nthe proxy's\n"
    assert bundle.stat().st_mode & 0o777 == 0o644
    bundle.write_text("private roots of the proxy's own\nthe proxy's\n")
    printed("--ca", tmp_path / CA_NAME)
    assert bundle.read_text() == "private roots of the proxy's own\nthe proxy's\n"
    (tmp_path / CA_NAME).write_text("a new one's\n")
    printed("--ca", tmp_path / CA_NAME)
    assert bundle.read_bytes().endswith(b"\n\na new one's\n")


def test_without_a_ca_there_is_one_sentence_and_no_line(tmp_path: Path) -> None:
    result = printed("--ca", tmp_path / CA_NAME)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "start the proxy once, which makes it, or give its path with --ca." in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h:x", "http://u:geheim@[", "http://a b"])
def test_what_is_no_proxys_url_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    (tmp_path / CA_NAME).write_text("the proxy's\n")
    result = printed("--proxy", url, "--ca", tmp_path / CA_NAME)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "write it like http://127.0.0.1:8080." in result.stderr
    assert "geheim" not in result.stderr


def test_where_no_bundle_can_be_written_the_ca_serves_and_a_word_says_so(tmp_path: Path) -> None:
    (tmp_path / CA_NAME).write_text("the proxy's\n")
    (tmp_path / BUNDLE_NAME).mkdir()
    result = printed("--ca", tmp_path / CA_NAME)
    assert result.exit_code == 0
    assert "public roots" in result.stderr
    assert BUNDLE_NAME not in result.stdout


def test_a_home_folder_is_found(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".mitmproxy"  # where the isolation of all tests has HOME
    home.mkdir(parents=True)
    (home / CA_NAME).write_text("the proxy's\n")
    assert f"SSL_CERT_FILE={home / BUNDLE_NAME}\n" in printed().stdout


def test_passwords_are_taken_out_of_every_url_in_a_text() -> None:
    assert (
        without_password("a http://u:p@h:1 b https://:q@x, http://u@h")
        == "a http://u:***@h:1 b https://:***@x, http://u@h"
    )


def test_shells_and_their_lines_are_those_of_the_help() -> None:
    assert "|".join([*LINES, "compose"]) in printed("--help").stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="asks the real curl")
@pytest.mark.parametrize("shell", [one for one in ("sh", "bash", "fish") if shutil.which(one)])
def test_one_pasted_line_sends_curl_through_the_proxy(rig: Rig, tmp_path: Path, shell: str) -> None:
    name = shell if shell in LINES else "sh"
    command = f"'{_LLM_METRICS}' env --shell {name} --proxy {rig.proxy.url} --ca '{rig.proxy.ca}'"
    paste = f"{command} | source" if shell == "fish" else f'eval "$({command})"'
    asking = f"{paste}\ncurl --silent --show-error https://{STATUS_HOST}{STATUS_PATH}"
    done = subprocess.run([shell, "-c", asking], env=clean_environment(tmp_path), capture_output=True, check=False)
    assert done.stderr == b""
    assert read(done.stdout) is not None

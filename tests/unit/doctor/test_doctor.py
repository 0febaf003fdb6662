"""`llm-metrics doctor` names what keeps rows away, by trying it: real proxies, clients and strangers on the port."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.client_setup.bundle import bundle_of
from llm_metrics_proxy.recorder.client_setup.variables import variables
from llm_metrics_proxy.recorder.doctor import (
    Check,
)
from tests.support.certificates import Authority
from tests.support.proxy import clean_environment
from tests.support.rig import Rig
from tests.unit.doctor.examined import HOST, levels

LLM_METRICS = str(Path(sys.executable).with_name("llm-metrics"))


def environment(rig: Rig, folder: Path) -> dict[str, str]:
    """The lines of llm-metrics env, and nothing else."""
    bundle = bundle_of(rig.proxy.ca)
    assert bundle is not None
    return clean_environment(folder) | variables(rig.proxy.url, bundle, rig.proxy.ca)


def run(*arguments: object, env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [LLM_METRICS, "doctor", *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)


def checks(rig: Rig, folder: Path, env: dict[str, str], *arguments: object) -> tuple[int, dict[str, Check]]:
    """Run it as a user does; return the exit code and what was found by name."""
    of_proxy = ["--db", rig.proxy.database, "--ca", rig.proxy.ca, "--python", sys.executable, "--json"]
    done = run(*of_proxy, *arguments, env=env, folder=folder)
    assert done.stderr == ""
    return done.returncode, {found["name"]: Check(**found) for found in json.loads(done.stdout)["checks"]}


def test_nothing_fails_where_all_is_well(place: Rig, tmp_path: Path) -> None:
    code, found = checks(place, tmp_path, environment(place, tmp_path), HOST)
    assert code == 0
    named = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "port", "CA file", "Python", "httpx2", "CONNECT", "database")
    assert {name: found[name].level for name in named} == dict.fromkeys(named, "ok")
    assert "goes through the proxy and trusts its CA" in found["Python"].what
    assert found["recorder"].what == f"The proxy records into {place.proxy.database}."
    assert found["last row"].level == "warn"
    assert "its CA signed the certificate" in found["CONNECT"].what


@pytest.mark.skipif(shutil.which("curl") is None, reason="asks the real curl")
def test_each_client_that_does_not_trust_the_ca_is_named_and_its_fix_is_the_line_to_paste(
    place: Rig, tmp_path: Path
) -> None:
    bare = clean_environment(tmp_path) | {"HTTPS_PROXY": place.proxy.url, "NODE_USE_ENV_PROXY": "1"}
    code, found = checks(place, tmp_path, bare, HOST)
    distrusting = [name for name in ("Python", "httpx2", "curl", "Node") if found[name].level != "untried"]
    assert code == 3
    for name in distrusting:
        assert "does not trust the proxy's CA" in found[name].what, name
        assert found[name].level == "fail"
    assert (found["Python"].fix or "").startswith("export SSL_CERT_FILE=")
    assert (found["curl"].fix or "").startswith("export CURL_CA_BUNDLE=")
    lines = "\n".join(check.fix or "" for check in found.values() if (check.fix or "").startswith("export"))
    pasted = subprocess.run(["/bin/sh", "-c", f"{lines}\nenv -0"], env=bare, capture_output=True, text=True, check=True)
    repaired = dict(line.split("=", 1) for line in pasted.stdout.split("\0") if line)
    code, found = checks(place, tmp_path, repaired, HOST)
    assert code == 0, found
    for name in distrusting:
        assert "trusts" in found[name].what, name


def test_a_wrong_bundle_that_a_machine_sets_by_itself_is_named(place: Rig, tmp_path: Path) -> None:
    other = Authority().write(tmp_path / "corporate.pem")
    env = environment(place, tmp_path) | {"SSL_CERT_FILE": str(other)}
    code, found = checks(place, tmp_path, env)
    assert code == 3
    assert found["Python"].what.endswith(f"It decides by SSL_CERT_FILE, which is {other}.")
    assert found["SSL_CERT_FILE"].level == "warn"  # it holds one certificate


def test_all_proxy_alone_leads_only_some_clients_there(place: Rig, tmp_path: Path) -> None:
    env = environment(place, tmp_path)
    env["ALL_PROXY"] = env.pop("HTTPS_PROXY")
    code, found = checks(place, tmp_path, env)
    assert code == 3
    assert found["HTTPS_PROXY"].what.startswith("Only ALL_PROXY is set")
    assert "does not get to the proxy" in found["Python"].what
    assert found["httpx2"].level == "ok"
    if shutil.which("curl"):
        assert found["curl"].level == "ok"


def test_a_star_in_no_proxy_is_named_and_clients_show_it(place: Rig, tmp_path: Path) -> None:
    code, found = checks(place, tmp_path, environment(place, tmp_path) | {"NO_PROXY": "*"}, HOST)
    assert code == 3
    assert found["NO_PROXY"].what == f"NO_PROXY has the entry *, so calls to {HOST} go around the proxy."
    assert found["NO_PROXY"].fix == "unset NO_PROXY"
    assert "does not get to the proxy" in found["Python"].what
    assert "NO_PROXY" in (found["Python"].fix or "")


def test_clients_that_are_not_installed_are_not_judged(place: Rig, tmp_path: Path) -> None:
    env = environment(place, tmp_path) | {"PATH": str(tmp_path)}
    code, found = checks(place, tmp_path, env)
    assert code == 0
    assert levels(found)["curl"] == levels(found)["Node"] == levels(found)["CONNECT"] == "untried"
    assert found["curl"].what.startswith("It is not installed here. It decides by CURL_CA_BUNDLE, which is ")


def test_what_is_no_python_could_not_be_asked(place: Rig, tmp_path: Path) -> None:
    _, found = checks(place, tmp_path, environment(place, tmp_path), "--python", shutil.which("true") or "/bin/true")
    assert found["Python"].level == "warn"
    assert "could not be asked" in found["Python"].what


def test_files_of_the_folder_it_runs_in_are_not_imported(place: Rig, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    _, found = checks(place, tmp_path, environment(place, tmp_path))
    assert found["Python"].level == "ok"


def test_a_host_that_is_no_llms_is_said_to_leave_no_rows(place: Rig, tmp_path: Path) -> None:
    code, found = checks(place, tmp_path, environment(place, tmp_path), "https://llm.example.org/v1")
    assert code == 3
    assert found["CONNECT"].what.startswith("llm.example.org:443 is passed on unread")
    assert found["CONNECT"].fix == r"if it is one, start the proxy with --set 'metrics_hosts=^llm\.example\.org$'"


def test_a_host_that_cannot_be_reached_is_named_with_the_proxys_reason(rig: Rig, tmp_path: Path) -> None:
    code, found = checks(rig, tmp_path, environment(rig, tmp_path), "refused.openai.azure.com")
    assert code == 3
    assert re.match(
        r"The proxy cannot connect to refused.openai.azure.com:443 \(HTTP/1.1 502 .*", found["CONNECT"].what
    )
    assert rig.row()["origin"] == "llm-metrics-doctor"


def test_another_database_than_the_proxys_is_found_out(place: Rig, current_db: Path, tmp_path: Path) -> None:
    code, found = checks(place, tmp_path, environment(place, tmp_path), "--db", current_db)
    assert code == 3
    assert found["recorder"].what == f"The proxy does not record into {current_db}, but elsewhere."


def test_nothing_is_changed_by_looking(place: Rig, tmp_path: Path) -> None:
    def state() -> list[tuple[str, int]]:
        folder = place.proxy.database.parent
        return sorted((str(one), one.stat().st_size) for one in folder.rglob("*") if one.name != "mitmdump.log")

    before, rows = state(), place.query("SELECT count(*) FROM completion_requests")
    checks(place, tmp_path, environment(place, tmp_path))
    assert [name for name, _ in state()] == [name for name, _ in before]
    assert place.query("SELECT count(*) FROM completion_requests") == rows
    assert not (tmp_path / "metrics.db").exists()


def test_people_read_one_line_a_check_and_one_a_fix(place: Rig, tmp_path: Path) -> None:
    done = run("--proxy", place.proxy.url, "--ca", place.proxy.ca, env=clean_environment(tmp_path), folder=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 3
    assert lines[0] == "FAIL  HTTPS_PROXY         It is not set: programs started here do not use the proxy."
    assert lines[1].strip() == f"fix: export HTTPS_PROXY={place.proxy.url}"
    assert re.fullmatch(r"\d+ checks: [1-9]\d* failed, \d+ to think about, \d+ not tried\.", lines[-1])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--proxy", "ftp://x"], 1, "'ftp://x' is no URL of an HTTP proxy"),
        (["--proxy", "http://u:geheim@h:99999"], 1, "'http://u:***@h:99999' is no URL of a proxy"),
        (["two words"], 2, "'two words' is no host"),
        (["http://plain.example"], 2, "'http://plain.example' is no host"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    done = run(*arguments, env=clean_environment(tmp_path) | {"LLM_METRICS_DB": "m.db"}, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_used_by_all_and_shown_by_none(guarded: Rig, tmp_path: Path) -> None:
    url = f"http://team:geheim@127.0.0.1:{guarded.proxy.port}"
    env = environment(guarded, tmp_path) | {"HTTPS_PROXY": url, "HTTP_PROXY": url}
    done = run(HOST, "--db", guarded.proxy.database, "--ca", guarded.proxy.ca, env=env, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "trusts its CA" in done.stdout
    assert "team:***@" in done.stdout
    assert "geheim" not in done.stdout + done.stderr

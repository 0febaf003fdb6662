"""`llm-metrics doctor` names what keeps rows away, by trying it: real proxies, clients and strangers on the port."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, override

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from llm_metrics_proxy.recorder.client_setup.bundle import bundle_of
from llm_metrics_proxy.recorder.client_setup.proxy_url import parse
from llm_metrics_proxy.recorder.client_setup.signature import Signature
from llm_metrics_proxy.recorder.client_setup.variables import sh_line, variables
from llm_metrics_proxy.recorder.doctor import (
    Check,
    Circumstances,
    authority,
    examination,
    ok,
    port,
    proxy_variables,
    speaking,
    storage,
)
from llm_metrics_proxy.recorder.doctor.port import Found
from llm_metrics_proxy.recorder.store import spill_folder
from tests.support.certificates import Authority
from tests.support.proxy import clean_environment
from tests.support.rig import Rig, started
from tests.support.waiting import PATIENCE

LLM_METRICS = str(Path(sys.executable).with_name("llm-metrics"))
URL = "http://127.0.0.1:8080"
HOST = "api.openai.com"
UNKNOWN = Found(ok("port", ""))
NOBODY = 65534


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("doctor")) as rig:
        yield rig
        assert rig.new_rows() == []
        assert rig.provider.served == []
        rig.proxy.stop()
        assert "Traceback" not in rig.proxy.log


@pytest.fixture
def place(running: Rig) -> Rig:
    return running


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


def levels(found: dict[str, Check]) -> dict[str, str]:
    return {name: check.level for name, check in found.items()}


def at(folder: Path, env: dict[str, str] | None = None, **how: Any) -> Circumstances:  # noqa: ANN401 - its fields
    given: dict[str, Any] = {
        "url": URL,
        "authority": folder / "ca.pem",
        "database": folder / "metrics.db",
        "patience": 1.0,
    } | how
    return Circumstances(environment=env or {}, **given)


def certificate(folder: Path, *, days: int = 10) -> Path:
    """Make a CA that is valid for so many days from now, or was until so many days ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mitmproxy")])
    ends = datetime.now(UTC) + timedelta(days=days)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=20))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "ca.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


# --- as a whole


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
    assert lines[0] == "FAIL  HTTPS_PROXY         It is not set: what is started here does not use the proxy."
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


# --- a proxy with a password


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("guarded"), options=["proxyauth=team:geheim"]) as rig:
        yield rig


def test_a_password_is_used_by_all_and_shown_by_none(guarded: Rig, tmp_path: Path) -> None:
    url = f"http://team:geheim@127.0.0.1:{guarded.proxy.port}"
    env = environment(guarded, tmp_path) | {"HTTPS_PROXY": url, "HTTP_PROXY": url}
    done = run(HOST, "--db", guarded.proxy.database, "--ca", guarded.proxy.ca, env=env, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "trusts its CA" in done.stdout
    assert "team:***@" in done.stdout
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.parametrize(("user", "says"), [("", "wants a user and a password"), ("team:falsch@", "does not take the")])
def test_a_missing_or_wrong_password_is_named(guarded: Rig, tmp_path: Path, user: str, says: str) -> None:
    found = port.ask(at(tmp_path, url=f"http://{user}127.0.0.1:{guarded.proxy.port}"))
    assert found.signature is None
    assert found.check.level == "fail"
    assert says in found.check.what
    assert "falsch" not in found.check.what


# --- who answers at the port


@contextmanager
def stranger(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Another program on a port, which does something with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        ends = threading.Event()

        def serve() -> None:
            while not ends.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            ends.set()
            thread.join()


def _said(text: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(text)

    return answer


@pytest.mark.parametrize("length", [b"Content-Length: 4", b"content-length:4 "])
def test_a_refusal_is_read_to_its_end_though_the_proxy_stays_on_the_line(length: bytes) -> None:
    left = threading.Event()

    def refuse(connection: socket.socket) -> None:
        _said(b"HTTP/1.1 502 Bad Gateway\r\n" + length + b"\r\n\r\nwhy?")(connection)
        assert left.wait(PATIENCE)

    with stranger(refuse) as number, ExitStack() as stack:
        stack.callback(left.set)
        began = time.monotonic()
        answer, connection = speaking.connected(parse(f"http://127.0.0.1:{number}"), HOST, 443, PATIENCE)
        connection.close()
        assert time.monotonic() - began < PATIENCE
    assert (answer.status, answer.body) == (502, b"why?")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok", "HTTP 200 OK, Server: nginx"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{"a"', "HTTP 200 OK"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"llm_metrics_proxy": 2}', "HTTP 200 OK"),
        (b"HTTP/1.1 502 Bad\x1b[31m Gateway\r\nContent-Length: 0\r\n\r\n", "HTTP 502 Bad"),
    ],
    ids=["ssh", "nginx", "half", "almost", "escape"],
)
def test_another_program_is_told_from_the_proxy_whatever_its_status(text: bytes, shown: str, tmp_path: Path) -> None:
    with stranger(_said(text)) as number:
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{number}"))
    assert found.signature is None
    assert found.check.level == "fail"
    assert f"127.0.0.1:{number} is another program" in found.check.what
    assert shown in found.check.what
    assert found.check.what.isprintable()
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in found.check.what


def test_a_program_that_hangs_up_and_one_that_is_silent_are_told_apart(tmp_path: Path) -> None:
    with stranger(lambda _connection: None) as number:
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{number}"))
        assert "closed the connection without a word" in found.check.what
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{server.getsockname()[1]}", patience=0.2))
        assert "says nothing for 0.2 s" in found.check.what


def test_a_port_where_nobody_listens_is_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = port.ask(at(tmp_path, url=f"http://127.0.0.1:{closed.getsockname()[1]}"))
    assert found.check.what.startswith("Nothing listens on 127.0.0.1:")


def test_mitmproxy_without_the_addon_is_told_from_other_programs(tmp_path: Path) -> None:
    with started(tmp_path, addon=None) as plain:
        found = port.ask(at(tmp_path, url=plain.proxy.url))
        healthy = health(plain.proxy.url)
    assert "is mitmproxy, but without this addon" in found.check.what
    assert found.certificate is not None
    assert healthy.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_process_behind_a_port_is_found_and_nobody_is_invented() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        assert (port.process_at(number) or "").endswith(f", process {os.getpid()}")
    assert port.process_at(number) is None


# --- health, for containers


def health(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llm_metrics_proxy.recorder.care.health", *arguments]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)


def test_a_proxy_with_the_addon_is_healthy(place: Rig) -> None:
    for done in (health(place.proxy.url), health(LLM_METRICS_PROXY=place.proxy.url)):
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_proxy_with_a_password_is_healthy_for_who_has_it(guarded: Rig) -> None:
    assert health(f"http://team:geheim@127.0.0.1:{guarded.proxy.port}").returncode == 0
    without = health(guarded.proxy.url)
    assert without.returncode == 1
    assert "wants a user and a password" in without.stderr


class _Fine(BaseHTTPRequestHandler):
    @override
    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>all is well</html>")


def test_another_program_that_answers_with_200_is_not_healthy() -> None:
    with HTTPServer(("127.0.0.1", 0), _Fine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            done = health(f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 1
    assert "is another program, or mitmproxy without this addon (HTTP 200)" in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense://x", "http://does-not-exist.invalid:1"])
def test_what_cannot_be_asked_is_not_healthy(url: str) -> None:
    done = health(url)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_the_health_check_imports_nothing_that_takes_time() -> None:
    heavy = ("click", "sqlite3", "sqlite_utils", "mitmproxy", "msgspec", "asyncio", "certifi")
    code = "import sys; from llm_metrics_proxy.recorder.care import health; "
    code += f"sys.exit(','.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- variables


def _only(found: Iterator[Check], name: str = "HTTPS_PROXY") -> Check:
    return next(check for check in found if check.name == name)


@pytest.mark.parametrize(
    ("env", "level", "says"),
    [
        ({}, "fail", "It is not set"),
        ({"HTTPS_PROXY": URL}, "ok", "HTTPS_PROXY is http://127.0.0.1:8080."),
        ({"https_proxy": "localhost:8080"}, "ok", "https_proxy is localhost:8080."),
        ({"HTTPS_PROXY": "http://127.0.0.1:8081"}, "fail", "which is not the proxy at"),
        ({"HTTP_PROXY": URL}, "fail", "Only HTTP_PROXY is set"),
        ({"http_proxy": URL}, "fail", "Only http_proxy is set"),
        ({"ALL_PROXY": URL}, "fail", "Only ALL_PROXY is set"),
        ({"Https_Proxy": URL}, "fail", "Https_Proxy is set in a spelling"),
        ({"HTTPS_PROXY": URL, "https_proxy": "http://corp:3128"}, "fail", "clients prefer the lower case"),
        ({"HTTPS_PROXY": "http://corp:3128", "https_proxy": URL}, "fail", "clients prefer the lower case"),
        ({"HTTPS_PROXY": "nonsense://x"}, "fail", "which is not the proxy at"),
        ({"HTTPS_PROXY": "", "HTTP_PROXY": URL}, "fail", "Only HTTP_PROXY is set"),
    ],
)
def test_every_way_to_set_the_variable_is_told(env: dict[str, str], level: str, says: str, tmp_path: Path) -> None:
    check = _only(proxy_variables.look(at(tmp_path, env)))
    assert check.level == level
    assert says in check.what


def test_what_steers_a_terminal_is_shown_as_an_escape(tmp_path: Path) -> None:
    check = _only(proxy_variables.look(at(tmp_path, {"HTTPS_PROXY": "http://\x1b]0;owned\x07h:1"})))
    assert r"\x1b]0;owned\x07h:1" in check.what
    assert check.what.isprintable()


@pytest.mark.parametrize(
    ("entries", "host", "level", "left"),
    [
        ("localhost,127.0.0.1", HOST, "ok", None),
        ("*", HOST, "fail", "unset NO_PROXY"),
        ("localhost, .openai.com ,x", HOST, "fail", "export NO_PROXY=localhost,x"),
        ("openai.com", HOST, "fail", "unset NO_PROXY"),
        ("API.OpenAI.com", HOST, "fail", "unset NO_PROXY"),
        ("api.openai.com:443", HOST, "fail", "unset NO_PROXY"),
        ("*.openai.com", HOST, "warn", "unset NO_PROXY"),
        ("notopenai.com,penai.com", HOST, "ok", None),
        ("anthropic.com", None, "fail", "unset NO_PROXY"),
        ("localhost", "localhost", "fail", "unset NO_PROXY"),
    ],
)
def test_no_proxy_is_judged_as_clients_do(
    entries: str, host: str | None, level: str, left: str | None, tmp_path: Path
) -> None:
    (check,) = proxy_variables.look_at_no_proxy(at(tmp_path, {"NO_PROXY": entries}, host=host))
    assert (check.level, check.fix) == (level, left)


def test_the_lower_case_of_no_proxy_wins(tmp_path: Path) -> None:
    (check,) = proxy_variables.look_at_no_proxy(at(tmp_path, {"NO_PROXY": "x", "no_proxy": HOST}, host=HOST))
    assert check.what.startswith("no_proxy has the entry")
    assert check.fix == "unset no_proxy; unset NO_PROXY"


def test_variables_that_name_no_certificates_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    env = {"SSL_CERT_FILE": str(tmp_path / "gone.pem"), "CURL_CA_BUNDLE": str(tmp_path / "empty.pem")}
    found = {check.name: check for check in authority.look_at_files(at(tmp_path, env))}
    assert levels(found) == {"SSL_CERT_FILE": "fail", "CURL_CA_BUNDLE": "fail"}
    assert "cannot be read (No such file" in found["SSL_CERT_FILE"].what
    assert found["CURL_CA_BUNDLE"].fix == sh_line("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))


# --- the CA


def test_the_ca_that_the_proxy_signs_with_is_fine(tmp_path: Path) -> None:
    content = certificate(tmp_path).read_bytes()
    check = authority.look(at(tmp_path), Found(UNKNOWN.check, Signature(None), content))
    assert check.level == "ok"
    assert "is the one that the proxy signs with, valid until" in check.what


def test_a_ca_that_could_not_be_compared_is_not_said_to_be_the_proxys(tmp_path: Path) -> None:
    certificate(tmp_path)
    assert "whether the proxy signs with it is not known" in authority.look(at(tmp_path), UNKNOWN).what


def test_an_expired_ca_is_named_with_its_day(tmp_path: Path) -> None:
    certificate(tmp_path, days=-1)
    check = authority.look(at(tmp_path), UNKNOWN)
    assert check.level == "fail"
    assert "was valid until" in check.what


def test_another_ca_a_missing_one_and_none_at_all_are_named(tmp_path: Path) -> None:
    signing = Found(UNKNOWN.check, Signature(None), certificate(tmp_path).read_bytes())
    certificate(tmp_path)
    assert "is another CA than the one that the proxy signs with" in authority.look(at(tmp_path), signing).what
    (tmp_path / "ca.pem").write_text("-----BEGIN NOTHING-----")
    assert "holds no certificate" in authority.look(at(tmp_path), signing).what
    (tmp_path / "ca.pem").unlink()
    check = authority.look(at(tmp_path), signing)
    assert "There is no " in check.what
    assert f"curl -x {URL} http://mitm.it/cert/pem -o {tmp_path}/ca.pem" in (check.fix or "")


# --- the database


def _stored(folder: Path, found: Found = UNKNOWN, **how: Any) -> dict[str, Check]:  # noqa: ANN401 - those of `at`
    return {check.name: check for check in storage.look(at(folder, **how), found)}


def test_a_missing_database_fails_unless_the_proxy_has_another(tmp_path: Path) -> None:
    assert _stored(tmp_path)["database"].level == "fail"
    assert levels(_stored(tmp_path, Found(UNKNOWN.check, Signature("x")))) == {"database": "warn"}
    given = _stored(tmp_path, Found(UNKNOWN.check, Signature("x")), database_is_given=True)
    assert given["database"].level == "fail"
    assert not (tmp_path / "metrics.db").exists()


@pytest.mark.usefixtures("current_db")
def test_a_disk_that_gets_full_is_told_in_time(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert _stored(tmp_path, least_free=0, little_free=0)["disk"].level == "ok"
    assert _stored(tmp_path, least_free=0, little_free=free * 2)["disk"].level == "warn"
    assert _stored(tmp_path, least_free=free * 2)["disk"].level == "fail"


def test_a_locked_database_is_told(current_db: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        check = _stored(tmp_path)["database"]
    assert check.level == "fail"
    assert "locked" in check.what
    assert _stored(tmp_path)["database"].level == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not write")
def test_a_database_that_may_only_be_read_is_told(current_db: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(current_db, folder / "metrics.db")
        (folder / "metrics.db").chmod(0o644)
        os.seteuid(NOBODY)
        try:
            check = _stored(folder)["database"]
        finally:
            os.seteuid(0)
    assert check.level == "fail"
    assert check.fix


def test_events_that_wait_are_told(current_db: Path, tmp_path: Path) -> None:
    folder = spill_folder.make(current_db)
    (folder / "host-1-2-1.jsonl").write_text("{}\n")
    assert _stored(tmp_path)["kept aside"].what.startswith("3 bytes of events are kept aside in")


def test_events_that_were_lost_are_told_by_cause(current_db: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(current_db, isolation_level=None)) as connection:
        connection.execute("INSERT INTO recorder_counters VALUES ('p', 'dropped_queue_full', 1234, '2026-01-01')")
    assert _stored(tmp_path)["dropped"].what == "Events were lost (queue_full 1,234)."


@pytest.mark.parametrize(("version", "count"), [("12.2.0", 1), ("11.1.3", 1), ("12.2.1", 0), ("13.0.0.dev0", 0)])
def test_mitmproxys_that_cut_long_thoughts_are_known(version: str, count: int) -> None:
    assert len(examination.defects_of(version)) == count

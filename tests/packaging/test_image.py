"""The proxy's image is made by its own steps, and runs as compose.yaml says: no engine, but the same walls.

Making it takes about half a minute, that of the live page as long, and all tests of this file about two minutes.
"""

import http.client
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import container
from tests.support.container import APP, Container, Image, Network
from tests.support.provider import openai_answers
from tests.support.provider.server import Provider
from tests.support.proxy import ROOT
from tests.support.rig import CHAT, OPENAI, question
from tests.support.waiting import PATIENCE, eventually

PORT = 8080  # within a container
TABLE = "http://127.0.0.1:8001/metrics/completion_requests.json"
REDIRECTED = ("-s", "/extra/redirect.py", "--set", "ssl_verify_upstream_trusted_ca=/extra/provider-ca.pem")
WRITABLE = {"/": False, APP: False, "/etc": False, "/data": True, "/tmp": True}  # noqa: S108 - the container's
STARTS_WITHIN, SLOW = 30.0, 3.0
STRANGER = """
import http.server
class Friendly(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{\\"status\\": \\"ok\\"}")
http.server.HTTPServer(("127.0.0.1", 8080), Friendly).serve_forever()
"""

WHY_NOT = container.missing()
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(WHY_NOT) and not os.environ.get("CI"), reason=f"no container can be made: {WHY_NOT}"),
]


def make(folder: Path, stage: str, *files: str) -> Image:
    """The image of a stage; the packages that `files` name are fetched first, and checked by both."""
    folder.chmod(0o755)  # the user of the container has to pass through
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    command += ["--no-deps", "--require-hashes", f"--dest={wheels}"]
    for requirements in files:
        subprocess.run([*command, "-r", ROOT / requirements], check=True, stderr=subprocess.DEVNULL)
    return Image(folder, stage, wheels)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return make(tmp_path_factory.mktemp("image"), "proxy", "requirements.txt", "requirements-build.txt")


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def provider(network: Network) -> Iterator[Provider]:
    with network.within(Provider)(lambda _request: openai_answers.plain("gpt-5.5", at_ms=0)) as serving:
        yield serving


@contextmanager
def proxy(
    image: Image,
    network: Network,
    folder: Path,
    provider: Provider,
    *command: str,
    log: Path | None = None,
    **variables: str,
) -> Iterator[Container]:
    """The service `proxy` with `variables` in its environment, in front of `provider`."""
    extra = folder / "extra"
    extra.mkdir(exist_ok=True)
    (extra / "redirect.py").write_text((ROOT / "tests" / "support" / "redirect.py").read_text())
    provider.authority.write(extra / "provider-ca.pem")
    service = container.compose()["services"]["proxy"]
    environment = {"TEST_PROVIDER_PORT": str(provider.port), "TEST_LISTENING_FILE": "/tmp/listening.json"} | variables  # noqa: S108 - the container's
    arguments = (*REDIRECTED, *command)
    with Container(
        image, network, folder / "data", service, command=arguments, environment=environment, extra=extra, log=log
    ) as running:
        yield running


def is_healthy(running: Container) -> bool:
    return running.run(*container.health(container.compose()["services"]["proxy"])).returncode == 0


def start(running: Container) -> None:
    """Wait for its first line, since each check costs as much as a tenth of a start; then it has to be healthy."""
    asked = container.health(container.compose()["services"]["proxy"])
    assert eventually(lambda: running.log, within=STARTS_WITHIN), "it says nothing"
    assert eventually(lambda: is_healthy(running), within=STARTS_WITHIN), f"{running.run(*asked)}: {running.log}"


def call(volume: Path, user: str | None = None) -> int:
    """One call through the proxy, as a client that trusts its CA."""
    context = ssl.create_default_context(cafile=volume / "ca" / "mitmproxy-ca-cert.pem")
    credentials = {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"} if user else {}
    with closing(http.client.HTTPSConnection("127.0.0.1", PORT, timeout=PATIENCE, context=context)) as connection:
        connection.set_tunnel(OPENAI, 443, credentials)
        connection.request("POST", CHAT, question(), {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            response.read()
            return response.status


def rows(volume: Path) -> int:
    with closing(sqlite3.connect(f"file:{volume}/metrics.db?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM completion_requests WHERE success").fetchone()[0])


def events(log: str) -> dict[str, dict[str, Any]]:
    return {one["event"]: one for one in map(json.loads, log.splitlines())}


def test_a_container_becomes_healthy_records_and_ends_in_time_with_every_call_written(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with proxy(image, network, tmp_path, provider) as running:
        assert not is_healthy(running)  # nothing listens yet
        start(running)
        with ThreadPoolExecutor(8) as clients:
            calls = [clients.submit(network.within(call), running.volume) for _ in range(200)]
            assert {one.result() for one in calls} == {200}
        code, seconds = running.stop()  # the last calls have ended a moment ago
        assert code == 0
        assert seconds < SLOW
        assert rows(running.volume) == 200
        said = events(running.log)
    assert set(said) == {"started"}  # so no warning of an address that others can reach, either
    assert said["started"]["database"] == "/data/metrics.db"
    assert said["started"]["environment"]["HTTPS_PROXY"] == "http://127.0.0.1:8080"
    assert {path.stat().st_uid for path in running.volume.rglob("*")} == {10001}
    private = {path.name: path.stat().st_mode & 0o077 for path in running.volume.rglob("*") if path.is_file()}
    assert {"metrics.db", "mitmproxy-ca.pem"} <= private.keys()
    assert {name for name, others in private.items() if others} <= {"llm-metrics-ca-bundle.pem"}
    assert running.volume.stat().st_mode & 0o777 == 0o700


def test_a_stream_that_is_open_at_the_end_is_recorded_as_cut(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    provider.answer = lambda _request: openai_answers.plain("gpt-5.5", at_ms=60_000)
    with proxy(image, network, tmp_path, provider) as running, ThreadPoolExecutor(1) as clients:
        start(running)
        cut = clients.submit(network.within(call), running.volume)
        assert eventually(lambda: provider.served)
        code, seconds = running.stop()
        provider.closing.set()
        assert isinstance(cut.exception(PATIENCE), OSError | http.client.HTTPException)
    assert (code, seconds < SLOW) == (0, True)
    with closing(sqlite3.connect(f"file:{running.volume}/metrics.db?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT error_type FROM completion_requests").fetchall()
    assert found == [("proxy_shutdown",)]


def test_the_health_check_is_not_taken_in_by_another_process(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with proxy(image, network, tmp_path, provider) as running:
        start(running)
        os.kill(running.pid(), signal.SIGSTOP)  # it is there, and answers nobody
        assert not is_healthy(running)
    service = container.compose()["services"]["proxy"] | {"command": ["python", "-c", STRANGER]}
    with Container(image, network, tmp_path / "data", service) as stranger:
        answers = ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080')"]
        assert eventually(lambda: stranger.run(*answers).returncode == 0), stranger.log
        asked = stranger.run(*container.health(service))
    assert asked.returncode == 1
    assert "another program" in asked.stderr


def test_what_runs_can_change_nothing_but_its_volume(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with proxy(image, network, tmp_path, provider) as running:
        start(running)
        status = (Path("/proc") / str(running.pid()) / "status").read_text()
        tries = {place: running.run("touch", f"{place}/x").returncode == 0 for place in WRITABLE}
        asked = running.run("llm-metrics", "status", "--json")
        plugins = running.run("sqlite-utils", "plugins")
    assert tries == WRITABLE
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert json.loads(asked.stdout)["database"]["path"] == "/data/metrics.db"
    assert [plugin["name"] for plugin in json.loads(plugins.stdout)] == ["llm-metrics-proxy"]


def test_options_come_from_the_environment_and_the_command_wins(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    command = ("--set", "metrics_queue_size=50")
    given = proxy(image, network, tmp_path, provider, *command, METRICS_QUEUE_SIZE="many", PROXY_AUTH="billing:secret")
    with given as running:
        start(running)  # so the health check has the password, too
        assert network.within(call)(running.volume, "billing:secret") == 200
        with pytest.raises(OSError, match="407"):
            network.within(call)(running.volume)
        running.stop()
        with closing(sqlite3.connect(f"file:{running.volume}/metrics.db?mode=ro", uri=True)) as connection:
            assert connection.execute("SELECT origin FROM completion_requests").fetchall() == [("billing",)]
    with proxy(image, network, tmp_path, provider, METRICS_RETENTON="90d") as running:
        assert running.wait(STARTS_WITHIN) == 1
        assert "There is no option metrics_retenton" in events(running.log)["start_refused"]["message"]


def test_the_second_start_goes_on_with_the_same_database_and_ca(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    seen = []
    for _ in range(2):
        with proxy(image, network, tmp_path, provider) as running:
            start(running)
            assert network.within(call)(running.volume) == 200
            running.stop()
            seen.append(((running.volume / "ca" / "mitmproxy-ca-cert.pem").read_bytes(), rows(running.volume)))
    assert [count for _, count in seen] == [1, 2]
    assert seen[0][0] == seen[1][0]


def test_the_live_page_runs_beside_it_from_the_same_volume(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "page").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    page = make(tmp_path / "page", "dashboard", "deploy/dashboard/requirements.txt")
    service = container.compose()["services"]["dashboard"]
    with proxy(image, network, tmp_path, provider) as running:
        start(running)
        assert network.within(call)(running.volume) == 200
        with Container(page, network, running.volume, service, log=tmp_path / "page.log") as shown:
            healthy = eventually(lambda: shown.run(*container.health(service)).returncode == 0, within=STARTS_WITHIN)
            assert healthy, shown.log
            asked = shown.run("python", "-c", f"from urllib.request import urlopen; print(urlopen({TABLE!r}).read())")
            assert "gpt-5.5" in asked.stdout, asked
            assert shown.stop()[0] == 0
        assert network.within(call)(running.volume) == 200
        running.stop()
        assert rows(running.volume) == 2


NOBODY_ANSWERS = {
    "LLM_METRICS_POSTGRES": "postgresql://nobody@127.0.0.1:9/nothing",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
}


def test_the_exporters_run_beside_it_from_the_same_volume(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    services = container.compose()["services"]
    with proxy(image, network, tmp_path, provider) as running:
        start(running)
        assert network.within(call)(running.volume) == 200
        with Container(image, network, running.volume, services["metrics"], log=tmp_path / "metrics.log") as serving:
            asked = container.health(services["metrics"])
            assert eventually(lambda: serving.run(*asked).returncode == 0, within=STARTS_WITHIN), serving.log
            scrape = (
                "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9464/metrics').read().decode())"
            )
            counted = eventually(
                lambda: "\nllm_calls_total{" in serving.run("python", "-c", scrape).stdout, within=STARTS_WITHIN
            )
            assert counted, serving.log
            assert serving.stop()[0] == 0
        for name in ("postgres-export", "otlp-export"):
            with Container(
                image, network, running.volume, services[name], environment=NOBODY_ANSWERS, log=tmp_path / f"{name}.log"
            ) as exporting:
                waits = partial(_says, exporting, "waits and tries again")
                assert eventually(waits, within=STARTS_WITHIN), exporting.log
                assert exporting.stop()[0] == 0


def _says(running: Container, words: str) -> bool:
    return words in running.log


def test_a_container_may_have_several_workers(
    image: Image, network: Network, provider: Provider, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with proxy(image, network, tmp_path, provider, WORKERS="2") as running:
        start(running)

        def both_have_written() -> bool:
            assert network.within(call)(running.volume) == 200
            return processes(running.volume) == 2

        assert eventually(both_have_written, within=STARTS_WITHIN), running.log
        code, seconds = running.stop()
    assert (code, seconds < SLOW) == (0, True)
    assert set(events(running.log)) == {"started"}
    with proxy(image, network, tmp_path, provider, WORKERS="many") as running:
        assert running.wait(STARTS_WITHIN) == 1
        assert running.log == "llm-metrics: 'many' is no number of workers: write 1 to 64, or auto.\n"


def processes(volume: Path) -> int:
    """How many recorders have written calls."""
    with closing(sqlite3.connect(f"file:{volume}/metrics.db?mode=ro", uri=True)) as connection:
        written = "SELECT count(DISTINCT process) FROM recorder_counters WHERE name = 'written' AND value > 0"
        return int(connection.execute(written).fetchone()[0])

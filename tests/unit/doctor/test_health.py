"""The health check of a container: a proxy with the addon is healthy, all else is not."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import override

import pytest

from tests.support.rig import Rig
from tests.unit.doctor.examined import health


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

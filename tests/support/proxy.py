"""A real mitmdump with the addon, in a folder of its own, as a context manager."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ClassVar, Self

from tests.support.warm import ADDON as OUR_ADDON
from tests.support.warm import MITMDUMP, Forked, warm

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "addon" / "main.py"
REDIRECT = ROOT / "tests" / "support" / "redirect.py"
PATIENCE_SECONDS = 30  # for a start and for a stop
# The caller's other variables (proxies, CA files, database paths, API keys) would change what is measured.
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ")


class ProxyFailedError(Exception):
    """mitmdump did not start or did not stop in time; the message ends with what it printed."""

    def __init__(self, log: str, exit_code: int | None) -> None:
        """Keep the whole log and the exit code, None for one that had to be killed."""
        how = f"took more than {PATIENCE_SECONDS} s" if exit_code is None else f"ended at once with {exit_code}"
        super().__init__(f"mitmdump {how}; it printed:\n{log[-2000:]}")
        self.log = log
        self.exit_code = exit_code


class Proxy:
    """mitmdump on a free port of 127.0.0.1. Everything that it writes lies below `folder`."""

    is_warm: ClassVar[bool] = False  # tests set it, trials do not

    def __init__(  # noqa: PLR0913 - each is one thing that a test varies
        self,
        folder: Path,
        provider_port: int,
        provider_ca: Path,
        *,
        addon: Path | None = ADDON,
        mode: str = "regular",
        options: Iterable[str] = (),
        scripts: Iterable[Path] = (),
        environment: Mapping[str, str] | None = None,
        python: Path | str = sys.executable,
    ) -> None:
        """Prepare a start; `options` are further `--set`s, `scripts` further addons, `environment` further variables.

        With `addon` None it is mitmproxy alone, to compare with. `python` is that of another environment.
        """
        self.database = folder / "metrics.db"
        self.ca = folder / "mitmproxy" / "mitmproxy-ca-cert.pem"
        self.log_file = folder / "mitmdump.log"
        self.port = 0  # known once it serves
        self.exit_code: int | None = None
        self._listening_file = folder / "listening.json"
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._python = str(python)
        self._imported = MITMDUMP if addon is None else (*MITMDUMP, OUR_ADDON)
        sets_python = any(name.startswith("PYTHON") for name in environment or ())
        self._is_another_python = sets_python or self._python != sys.executable
        self._environment = clean_environment(folder) | {
            "TEST_PROVIDER_PORT": str(provider_port),
            "TEST_LISTENING_FILE": str(self._listening_file),
            **(environment or {}),
        }
        settings = [
            f"confdir={self.ca.parent}",
            f"ssl_verify_upstream_trusted_ca={provider_ca}",
            "termlog_verbosity=warn",
            "flow_detail=0",
            *([f"metrics_db={self.database}"] if addon else []),
            *options,
        ]
        self.command = ["--listen-host", "127.0.0.1", "--listen-port", "0", "--mode", mode]
        self.command += [word for setting in settings for word in ("--set", setting)]
        self.command += [word for script in (addon, REDIRECT, *scripts) if script for word in ("-s", str(script))]

    @property
    def url(self) -> str:
        """The proxy's URL, for HTTPS_PROXY."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that mitmdump and the addon have printed up to now."""
        return self.log_file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of mitmdump."""
        return self._started().pid

    def __enter__(self) -> Self:
        """Start it, and wait until it serves and its CA can be trusted."""
        self._listening_file.unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = self._start(log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self._listening_file.exists() and self.ca.exists()):
            if self._process.poll() is not None:
                raise ProxyFailedError(self.log, self._process.returncode)
            if time.monotonic() > deadline:
                self.kill()
                raise ProxyFailedError(self.log, None)
            time.sleep(0.02)
        self.port = json.loads(self._listening_file.read_text())["port"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop it, unless that has happened already."""
        if self.exit_code is None:
            self.stop()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and return its exit code; what it has recorded is in the database then."""
        process = self._started()
        process.send_signal(how)
        try:
            self.exit_code = process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProxyFailedError(self.log, None) from None
        return self.exit_code

    def kill(self) -> None:
        """End it as a power cut would."""
        process = self._started()
        process.kill()
        self.exit_code = process.wait()

    def _start(self, log: BinaryIO) -> subprocess.Popen[bytes] | Forked:
        if self.is_warm and not self._is_another_python:
            return warm(*self._imported).start(self.command, self._environment, Path.cwd(), log, log)
        command = [self._python, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()", *self.command]
        return subprocess.Popen(
            command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )

    def _started(self) -> subprocess.Popen[bytes] | Forked:
        if self._process is None:
            msg = "the proxy was not started"
            raise RuntimeError(msg)
        return self._process


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a machine on which nothing is set, with `home` as the home folder."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {"HOME": str(home)}


def client_environment(proxy: Proxy, home: Path, label: str = "") -> dict[str, str]:
    """Return what a client has to set, the variables that docs/running.md names; `label` says who it is."""
    url = f"http://{label}:x@127.0.0.1:{proxy.port}" if label else proxy.url
    ca = str(proxy.ca)
    return clean_environment(home) | {
        "HTTPS_PROXY": url,
        "HTTP_PROXY": url,
        "SSL_CERT_FILE": ca,
        "REQUESTS_CA_BUNDLE": ca,
        "CURL_CA_BUNDLE": ca,
    }

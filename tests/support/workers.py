"""`llm-metrics run --workers N` for a test: its processes, and what it serves."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, override

from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, STATUS_PATH
from llm_metrics_proxy.recorder.store import presence
from tests.support.provider.scenario import Scenario
from tests.support.provider.server import Provider
from tests.support.proxy import REDIRECT, Proxy
from tests.support.rig import Rig
from tests.support.waiting import PATIENCE, eventually

LLM_METRICS = str(Path(sys.executable).with_name("llm-metrics"))
_STARTS_WITHIN = 30.0


class Workers(Proxy):
    """A proxy of `count` workers on a free port."""

    def __init__(  # noqa: PLR0913 - each is one thing that a test varies
        self,
        folder: Path,
        provider_port: int,
        provider_ca: Path,
        *,
        count: int = 2,
        drain: float = 20,
        scripts: Iterable[Path] = (),
        modes: Iterable[str] = (),
    ) -> None:
        super().__init__(folder, provider_port, provider_ca, addon=None)
        self.count = count
        settings = [f"confdir={self.ca.parent}", f"ssl_verify_upstream_trusted_ca={provider_ca}"]
        settings += [f"scripts={script}" for script in (REDIRECT, *scripts)]
        self.command = [LLM_METRICS, "run", "--port", str(free_port()), "--workers", str(count)]
        self.command += ["--drain", str(drain), "--db", str(self.database)]
        self.command += [word for setting in settings for word in ("--set", setting)]
        self.command += [word for mode in modes for word in ("--mode", mode)]

    @override
    def _start(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )

    def pids(self) -> set[int]:
        """The workers that record now, by the marks of their recorders."""
        return {int(name.split("-")[-2]) for name in presence.living(self.database)}

    def all_there(self, without: Iterable[int] = ()) -> set[int]:
        """Wait until as many workers record as were asked for, none of these among them."""
        gone = set(without)

        def complete() -> set[int]:
            found = self.pids()
            return found if len(found) == self.count and not found & gone else set()

        found = eventually(complete, within=_STARTS_WITHIN)
        assert found, f"{self.pids()} without {gone}\n{self.log}"
        # A recorder is there a moment before its worker takes connections.
        assert eventually(
            lambda: {self.asked()["worker"] for _ in range(2 * self.count)} == {*range(1, self.count + 1)}
        )
        return found

    def asked(self) -> dict[str, int]:
        """The answer of the reserved name, of one worker."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"http://{STATUS_HOST}{STATUS_PATH}")
            found: dict[str, int] = json.loads(connection.getresponse().read())
            return found


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, **how: Any) -> Iterator[tuple[Rig, Workers]]:  # noqa: ANN401 - those of `Workers`
    """Start a provider and workers before it; all of them are there."""
    with Provider(lambda _request: Scenario()) as provider:
        ca = provider.authority.write(folder / "provider-ca.pem")
        with Workers(folder, provider.port, ca, **how) as workers:
            try:
                workers.all_there()
                yield Rig(provider, workers), workers
            finally:
                with suppress(ProcessLookupError):
                    os.kill(workers.pid, signal.SIGCONT)

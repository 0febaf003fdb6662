"""LiteLLM's proxy, in a virtual environment of its own below `.bench/`, to compare with.

It speaks plain HTTP on both sides, which spares it what TLS costs the others.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.ports import free_port
from tests.support.proxy import ROOT, clean_environment
from tests.trials.bench.commands import Target
from tests.trials.bench.load import BenchFailedError
from tests.trials.bench.traffic import Answer

_KEPT = ROOT / ".bench"
_START_SECONDS = 120


class LiteLLM:
    """Installed once; `serving` starts it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._venv = _KEPT / "litellm"

    def install(self) -> str | None:
        """Install it unless it is there; return why that failed, None if it did not."""
        _KEPT.mkdir(exist_ok=True)
        (_KEPT / ".gitignore").write_text("*\n")
        if (self._venv / "bin" / "litellm").exists():
            return None
        for command in (
            [sys.executable, "-m", "venv", str(self._venv)],
            [str(self._venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "litellm[proxy]"],
        ):
            ran = subprocess.run(command, check=False, capture_output=True, text=True)
            if ran.returncode:
                return f"it could not be installed: {ran.stderr.strip().splitlines()[-1:]}"
        return None

    @contextmanager
    def serving(self, provider_port: int) -> Iterator[tuple[int, Target]]:
        """Start it, and yield its process id and where it serves."""
        port, config = free_port(), self._folder / "litellm.yaml"
        base = f"http://127.0.0.1:{provider_port}/v1"
        models = [
            f"  - model_name: bench-{answer}\n    litellm_params:\n      model: openai/bench-{answer}\n"
            f"      api_base: {base}\n      api_key: sk-bench\n"
            for answer in Answer
        ]
        config.write_text("model_list:\n" + "".join(models) + "litellm_settings:\n  telemetry: false\n")
        command = [str(self._venv / "bin" / "litellm"), "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = clean_environment(self._folder) | {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no look into the internet
            "LITELLM_LOG": "ERROR",
            "REPEATED_STREAMING_CHUNK_LIMIT": "1000000",  # it ends streams that say the same thing again and again
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # loopback only
        }
        with (self._folder / "litellm.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait_for(port, process)
            yield process.pid, Target(port, None, tunnel=False, rewrites=True)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    msg = "it ended at once" if process.poll() is not None else f"it did not serve within {_START_SECONDS} s"
    raise BenchFailedError(msg)

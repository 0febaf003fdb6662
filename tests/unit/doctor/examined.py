"""Circumstances of the doctor's checks, and the health check as a process, for tests of both."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from llm_metrics_proxy.recorder.doctor import Check, Circumstances, ok
from llm_metrics_proxy.recorder.doctor.port import Found

URL = "http://127.0.0.1:8080"
HOST = "api.openai.com"
UNKNOWN = Found(ok("port", ""))


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


def health(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llm_metrics_proxy.recorder.care.health", *arguments]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)

"""The load client's process as the bench sees it: commands go in, reports come back."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.support.proxy import ROOT, clean_environment
from tests.trials.bench.commands import Command, Failed, Report


class BenchFailedError(Exception):
    """The measurement means nothing: an answer was wrong, or a row is missing."""


class LoadClient:
    """`python -m tests.trials.bench.client`, as a context manager."""

    def __init__(self, home: Path) -> None:
        self._environment = clean_environment(home)
        self._process: subprocess.Popen[bytes] | None = None
        self._decoder = msgspec.json.Decoder(Report | Failed)

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.trials.bench.client"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()

    def do(self, command: Command) -> Report:
        """Have it do something.

        Raises:
            BenchFailedError: it could not, or an answer was wrong.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            msg = "the load client was not started"
            raise RuntimeError(msg)
        process.stdin.write(msgspec.json.encode(command) + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            msg = "the load client has ended"
            raise BenchFailedError(msg)
        report: Report | Failed = self._decoder.decode(line)
        if isinstance(report, Failed):
            raise BenchFailedError(report.reason)
        return report

"""A receiver's process on the loopback interface, and when it can be asked."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.proxy import clean_environment
from tests.support.waiting import eventually

_START_SECONDS = 120.0  # Phoenix makes its database first
_STOP_SECONDS = 20


class NotStartedError(Exception):
    """It ended or could not be reached; the message has its last words."""


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], ready: Callable[[], bool]
) -> Iterator[None]:
    """Run it in `folder`, with these variables and no others that matter, from `ready` on."""
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [os.fspath(word) for word in command],
            cwd=folder,
            env={**clean_environment(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        eventually(lambda: process.poll() is not None or ready(), within=_START_SECONDS)
        if process.poll() is not None or not ready():
            msg = f"{Path(command[0]).name} did not start:\n{log.read_text(errors='replace')[-2000:]}"
            raise NotStartedError(msg)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

"""A look every 45 seconds for calls that wait for their cost or for the roll-up; if there are any, upkeep.py is run.

A process of its own, since the list of prices takes 30 MB and the arithmetic would hold up the proxy. Of several
recorders that share a database one runs it. A failure is logged, and it is tried again with growing pauses. So is what
it says of models that answered in place of others.
"""

import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Final

import msgspec

import llm_metrics_proxy
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.reporting import Reporter, own_fault, printable, say
from llm_metrics_proxy.recorder.store import database, presence, watermarks

INTERVAL: Final = 45.0  # seconds between two looks, so that a cost is there within a minute

_LONGEST_PAUSE: Final = 3600.0
_TIMEOUT: Final = 300.0  # seconds; it ends by itself after less
_CURE: Final = ", and is tried again: run llm-metrics recost to see why."
_POLL: Final = 0.05
_MOST_TOLD: Final = 20  # lines at once
_SUBSTITUTED: Final = (
    "%(provider)s answers with %(answered)s where %(asked)s was asked for: %(calls)d calls on %(day)s. The view "
    "substitutions has them all; if both are one model, an [[alias]] in prices.toml says so."
)
_LONGEST_REASON: Final = 500  # characters
_ROOT: Final = Path(llm_metrics_proxy.__file__).resolve().parent.parent
# All that it needs of the environment: no key, no proxy, nothing else that stands there.
_INHERITED: Final = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONUTF8", "SQLITE_TMPDIR", "TMPDIR")


class UpkeepProcess:
    """Has the calls of the database at `path` priced and added up: start(), stop()."""

    def __init__(
        self,
        path: Path,
        prices: Path | None = None,
        *,
        interval: float = INTERVAL,
        timeout: float = _TIMEOUT,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        """`prices` is the file of own prices that was chosen; without it, the one beside the database counts.

        Nothing is done while the folder of the database not `is_ours`: another one stands in its place.
        """
        self._is_ours = is_ours
        self._path = path
        arguments = [path, *([prices] if prices else [])]
        self._command = [
            sys.executable,
            "-P",
            "-m",
            "llm_metrics_proxy.recorder.upkeep.upkeep",
            *(str(one.absolute()) for one in arguments),
        ]
        self._interval = interval
        self._timeout = timeout
        self._stop = threading.Event()
        self._reporter = Reporter()
        self._thread = threading.Thread(target=self._run, name="llm-metrics-upkeep", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the process if there is one; what it has not committed, the next one does. Waits for a moment at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_POLL * 4)

    def look(self) -> bool:
        """Price and add up what waits, unless another recorder is at it; whether that went well."""
        try:
            if not self._is_ours() or not self._waiting():
                return True
        except (sqlite3.Error, RecorderError):
            return True  # it cannot be read now, which the recorder itself notices and says
        try:
            with presence.alone(self._path, "upkeep") as alone:
                failure = self._keep_up() if alone else None
        except (OSError, RecorderError) as error:
            failure = printable(str(error))
        if failure is not None and not self._stop.is_set():
            self._reporter.warn("upkeep_failed", "%(error)s", error=failure)
        return failure is None

    def _run(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            try:
                went_well = self.look()
            except Exception as error:  # noqa: BLE001 - the thread goes on
                self._reporter.warn("upkeep_failed", "%(error)s", error=own_fault(error))
                went_well = False
            pause = self._interval if went_well else min(pause * 2, _LONGEST_PAUSE)

    def _waiting(self) -> bool:
        with closing(database.open_reader(self._path)) as connection:
            followed = (watermarks.PRICING, watermarks.ROLLUP, watermarks.ANSWERS)
            return any(watermarks.waiting(connection, name) for name in followed)

    def _keep_up(self) -> str | None:
        """Run the process to its end; why it failed, or None."""
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
            process = subprocess.Popen(  # noqa: S603 - a command of our own
                self._command,
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=said,
                start_new_session=True,  # what a terminal sends to the proxy is not for it
            )
            code = self._end_of(process)
            _tell(told)
            if code == 0:
                return None
            return _reason(said) or f"The process that prices calls and adds them up ended with {code}{_CURE}"

    def _end_of(self, process: subprocess.Popen[bytes]) -> int:
        ends = time.monotonic() + self._timeout
        try:
            while (code := process.poll()) is None and time.monotonic() < ends:
                if self._stop.wait(_POLL):
                    break
        finally:
            if process.poll() is None:
                process.kill()  # its transaction is rolled back
            code = process.wait()
        return code


def _environment() -> dict[str, str]:
    """Its modules are those of this process, wherever it runs."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    modules = os.pathsep.join([str(_ROOT), *(str(Path(folder).resolve()) for folder in given if folder)])
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"PYTHONPATH": modules}


def _tell(told: IO[bytes]) -> None:
    """Log which models answered in place of others."""
    told.seek(0)
    for line in told.read(1 << 20).splitlines()[:_MOST_TOLD]:
        with suppress(msgspec.MsgspecError):  # it was killed in the middle of a line
            values = msgspec.json.decode(line, type=dict[str, str | int])
            shown = {name: printable(value) if isinstance(value, str) else value for name, value in values.items()}
            say(
                logging.WARNING,
                "model_substituted",
                _SUBSTITUTED,
                day=shown["day"],
                provider=shown["provider"],
                asked=shown["asked"],
                answered=shown["answered"],
                calls=shown["calls"],
            )


def _reason(said: IO[bytes]) -> str:
    """The last line of what the process wrote."""
    said.seek(0)
    lines = said.read(1 << 16).decode(errors="replace").split("\n")
    return printable(next((line for line in reversed(lines) if line.strip()), "")[:_LONGEST_REASON])

"""Workers that ended unasked: one line of the log for each, and one row in `recorder_events`.

The calls that such a worker had in flight have no row, as those of any proxy that is killed: the row here says how many
connections it had. Events that it had written or kept aside are there (recorder/writing/replay.py).
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.events import timestamp_of
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.running.line import Ready
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.account import Account
from llm_metrics_proxy.recorder.store.database import connect, get_db_path

EVENT: Final = "worker_lost"
"""The kind in `recorder_events`, and the event of the log line."""

COUNTER: Final = "workers_lost"

_BUSY_SECONDS = 5.0


class Losses:
    """Tells of the workers of one parent."""

    def __init__(self) -> None:
        """Nothing is known of the database, or of how lines are to be written, before a worker serves."""
        self._database: Path | None = None
        self._writes_json = False
        self._process = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns() // 1_000_000}"
        self._lost = 0

    def learn(self, ready: Ready) -> None:
        """A worker says where it records, and how it logs."""
        self._database = get_db_path(ready.database)
        self._writes_json = ready.writes_json

    def of_a_worker(self, number: int, pid: int, code: int, connections: int, pause: float) -> None:
        """A worker has ended, with so many connections, and another one starts after a pause."""
        how = how_it_ended(code)
        what = f"Worker {number} (process {pid}) {how}, and {connections} connections with it"
        then = "another one takes its place" + (f" in {pause:g} s" if pause else "")
        self._say("warning", EVENT, f"{what}: {then}.", worker=number, process=pid, connections=connections)
        self._lost += 1
        if self._database is not None:
            row = f"worker {number}, process {pid}, {how}", connections, self._lost
            asyncio.get_running_loop().run_in_executor(None, self._note, self._database, *row)

    def of_a_start(self, number: int, error: OSError) -> None:
        """There is no process for a worker."""
        said = f"Worker {number} cannot be started ({error.strerror}): the others serve on."
        self._say("error", "worker_not_started", said, worker=number)

    def of_a_restart(self, number: int, pid: int, code: int) -> None:
        """A newer worker did not start."""
        what = f"The restart was given up: the new worker {number} (process {pid}) {how_it_ended(code)}"
        said = f"{what}. The others serve on."
        self._say("error", "restart_given_up", said, worker=number, process=pid)

    def of_workers_that_hang(self, pids: list[int]) -> None:
        """Workers had to be killed at the end."""
        said = f"Workers did not end in time, and were killed: processes {', '.join(map(str, pids))}."
        self._say("error", "workers_killed", said, processes=pids)

    def _say(self, level: str, event: str, message: str, **fields: object) -> None:
        if self._writes_json:
            begin = {"timestamp": timestamp_of(time.time_ns()), "level": level, "event": event, "message": message}
            line = json.dumps(begin | fields)
        else:
            line = f"LLM metrics: {printable(message)}"
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this process has no other log

    def _note(self, database: Path, detail: str, connections: int, lost: int) -> None:
        """Write it down; a database that takes nothing costs this row, and nothing else."""
        with (
            suppress(Exception),
            presence.sharing(database),
            closing(connect(database, timeout=_BUSY_SECONDS)) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            account = Account(connection, self._process)
            account.note_event(EVENT, detail, connections)
            account.write_counters({COUNTER: lost})
            connection.execute("COMMIT")


def how_it_ended(code: int) -> str:
    """Say how a process ended, by its exit code or minus the number of a signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"

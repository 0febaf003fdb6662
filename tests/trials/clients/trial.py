"""One run of a client's program, and whether the recorder tells of it what is true."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_metrics_proxy.recorder.reporting import printable
from tests.support.provider.scenario import Served
from tests.support.proxy import clean_environment
from tests.support.rig import Rig, Row
from tests.support.waiting import eventually
from tests.trials.clients.answers import Answers, Case
from tests.trials.clients.client import Client

PROGRAM_SECONDS = 60
_ROW_SECONDS = 5.0
_SETTLE_SECONDS = 0.4  # a call that has ended is on disk within 250 ms
_LATE_MS = 1  # columns are whole milliseconds


@dataclass(frozen=True)
class Trial:
    """The result of one run."""

    rows: int
    problems: tuple[str, ...]  # why this is not a client that works and is recorded
    last_words: str  # the last line on its standard error that names an error

    @property
    def recorded(self) -> bool:
        """Everything was as it should be."""
        return not self.problems


@dataclass(frozen=True)
class Attempts:
    """The common part of all runs of a client; each has a home folder of its own below `folder`."""

    client: Client
    command: list[str]
    rig: Rig
    folder: Path

    def run(self, variables: Mapping[str, str], origin: str) -> Trial:
        """Run the program with these variables and its keys; `origin` is how that of its rows begins."""
        answers = Answers(self.client.calls)
        self.rig.provider.answer = answers.answer
        home = Path(tempfile.mkdtemp(prefix=self.client.id, dir=self.folder))
        code, said, complaints = _run(self.command, {**clean_environment(home), **self.client.keys, **variables}, home)
        rows = _rows(self.rig, len(self.client.calls) if code == 0 else 0)
        problems = [
            *([] if code == 0 else [f"its program ended with {code}" if code else "its program took too long"]),
            *([] if said == b"".join(map(_said, answers.cases)) else [f"its program printed {said[-200:]!r}"]),
            *([] if len(rows) == len(self.client.calls) else [f"{len(rows)} rows instead of {len(self.client.calls)}"]),
            *(f"it asked for {request}" for request in answers.unexpected),
        ]
        for case, row in zip(answers.cases, rows, strict=False):
            served = next((one for one in self.rig.provider.served if one.request is case.request), None)
            problems += _wrong(case, served, row, origin)
        return Trial(len(rows), tuple(problems), _last_words(complaints.decode(errors="replace")))


def _run(command: list[str], environment: Mapping[str, str], home: Path) -> tuple[int | None, bytes, bytes]:
    """Run it, and end it with everything that it started when it takes too long."""
    with subprocess.Popen(
        command,
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            said, complaints = process.communicate(timeout=PROGRAM_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return (None, *process.communicate())
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said, complaints


def _rows(rig: Rig, expected: int) -> list[Row]:
    """Take the rows that came, and wait a moment for one too many."""
    eventually(lambda: len(rig.new_rows()) >= expected, within=_ROW_SECONDS)
    time.sleep(_SETTLE_SECONDS)
    found = len(rig.new_rows())
    return rig.rows(found) if found else []


def _last_words(complaints: str) -> str:
    lines = [printable(line.strip()) for line in complaints.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"curl: |[\w.]*(?:Error|Exception)\b.*:", line)]
    return next(iter(errors[-1:] or lines[-1:]), "")[:160]


def _said(case: Case) -> bytes:
    return case.answer.body if case.says is None else f"{case.says}\n".encode()


def _wrong(case: Case, served: Served | None, row: Row, origin: str) -> Iterator[str]:
    """Yield one sentence for each value that is not the true one."""
    for name, value in case.row.items():
        if row[name] != value:
            yield f"{name} is {row[name]!r} instead of {value!r}"
    if not str(row["origin"]).startswith(origin):
        yield f"origin is {row['origin']!r} instead of {origin!r}"
    first = row["time_to_first_token_ms"]
    if case.stream is None or served is None:
        if first is not None:
            yield f"there is a first token, after {first} ms"
        return
    earliest, latest = (served.step_ms(case.stream[which]) for which in ("first", "last"))
    if first is None or not earliest - _LATE_MS <= first < latest:
        yield f"the first token is after {first} ms, in truth after {earliest:.0f}"

"""One run of an agent, and whether the rows tell of it what is true."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.proxy import clean_environment
from tests.support.rig import Rig, Row
from tests.support.waiting import eventually
from tests.trials.clients.agents.agent import MORE, SAID, Agent, Compaction
from tests.trials.clients.agents.model import DELEGATE, ENDLESS, FULL, TOOL, Call, Model

RUN_SECONDS: Final = 90
_END_SECONDS = 20  # after an interruption, before it is ended by force
_ROW_SECONDS = 5.0
_SETTLE_SECONDS = 0.5  # a call that has ended is on disk within 250 ms
_PROGRAMS = Path(__file__).parents[1] / "programs"
_UPGRADE_REFUSED = 403  # not 426, which any client is believed
_LAST_WORDS = 300  # characters
_WORK = "work"
_RAN = "ran.txt"


@dataclass(frozen=True)
class Outcome:
    """The result of one run."""

    calls: int
    problems: tuple[str, ...]
    kinds: frozenset[str | None] = frozenset()
    last_words: str = ""  # of what it printed


@dataclass(frozen=True)
class Attempts:
    """The common part of all runs of an agent; each has a home folder of its own below `folder`."""

    agent: Agent
    rig: Rig
    folder: Path
    values: Mapping[str, str]  # every variable that it may need
    versions: Mapping[str, str]
    located: Callable[[tuple[str, ...]], tuple[list[str], dict[str, str]]]
    """Makes a command line whose first word is a program of its environment, and the variables that it needs."""

    def tool(self, trusted: str) -> Outcome:
        """Have it run a command."""
        return self._run(TOOL, trusted, self.agent.kinds, runs=True)

    def broken_off(self, trusted: str) -> Outcome:
        """Interrupt it in the middle of an answer."""
        return self._run(ENDLESS, trusted, None, interrupts=True)

    def compaction(self, trusted: str, how: Compaction) -> Outcome:
        """Fill its context while it works."""
        return self._run(FULL, trusted, how.kinds, runs=True, how=how)

    def delegation(self, trusted: str) -> Outcome:
        """Have it start another agent that runs a command."""
        return self._run(DELEGATE, trusted, self.agent.kinds | {"subagent"}, runs=True)

    def without_websocket(self, trusted: str) -> Outcome:
        """Refuse its WebSocket: it goes on by HTTP, and nothing of that is a failed call."""
        return self._run(TOOL, trusted, self.agent.kinds - {"prewarm"}, runs=True, refuses=_UPGRADE_REFUSED)

    def _run(  # noqa: PLR0913 - each is one thing that a run differs in
        self,
        mark: str,
        trusted: str,
        kinds: frozenset[str | None] | None,
        *,
        runs: bool = False,
        interrupts: bool = False,
        how: Compaction | None = None,
        refuses: int = 0,
    ) -> Outcome:
        agent = self.agent
        model = Model(plain=not agent.has_tools, room=how.room if how else 0, refuses_upgrades=refuses, also=agent.also)
        self.rig.provider.answer = model.answer
        home = Path(tempfile.mkdtemp(prefix=agent.id, dir=self.folder))
        printed, problems = self._talk(model, home, f"Please {mark}", trusted, interrupts=interrupts, how=how)
        eventually(lambda: len(self.rig.new_rows()) >= len(model.calls), within=_ROW_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        rows = self.rig.rows(len(found)) if (found := self.rig.new_rows()) else []
        if runs and not (home / _WORK / _RAN).is_file():
            problems.append("it did not run the command")
        if not model.calls:
            problems.append("it made no call")
        if interrupts and not any(call.is_cut for call in model.calls):
            problems.append("nothing was broken off")
        if len(rows) != len(model.calls):
            problems.append(f"{len(rows)} rows instead of {len(model.calls)}")
        problems += self._wrong(model.calls, rows, printed)
        seen = frozenset(row["request_kind"] for row in rows)
        if kinds is not None and seen != kinds:
            problems.append(f"the kinds are {_listed(seen)} instead of {_listed(kinds)}")
        return Outcome(len(rows), tuple(dict.fromkeys(problems)), seen, printed.strip()[-_LAST_WORDS:])

    def _talk(  # noqa: PLR0913 - as above
        self, model: Model, home: Path, said: str, trusted: str, *, interrupts: bool, how: Compaction | None
    ) -> tuple[str, list[str]]:
        """Run it as its catalogue says; return what it printed, and what went wrong."""
        agent, work = self.agent, home / _WORK
        work.mkdir()
        for name, text in agent.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        names = (*agent.needs, trusted, "NO_PROXY")
        variables = {name: self.values[name] for name in names if name in self.values}
        variables |= how.variables if how else {}
        more = how.words if how else ()
        words = tuple(
            piece for word in agent.command for piece in (more if word == MORE else (said if word == SAID else word,))
        )
        try:
            self._quietly(agent.before, home, variables)
            return self._told(words, home, variables, model if interrupts else None)
        finally:
            self._quietly(agent.after, home, variables)

    def _told(
        self, words: tuple[str, ...], home: Path, variables: Mapping[str, str], interrupted: Model | None
    ) -> tuple[str, list[str]]:
        """Run it to its end, or interrupt it in an answer that has none; return what it printed and what went wrong."""
        line, environment = self._line(words, home, variables)
        with subprocess.Popen(
            line,
            cwd=home / _WORK,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                if interrupted is not None:
                    interrupted.began.wait(RUN_SECONDS)
                    time.sleep(_SETTLE_SECONDS)
                    os.killpg(process.pid, signal.SIGINT)
                printed, _ = process.communicate(timeout=_END_SECONDS if interrupted else RUN_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                printed, _ = process.communicate()
                return printed.decode(errors="replace"), [] if interrupted else ["it took too long"]
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        problems = [f"it ended with {process.returncode}"] if process.returncode and not interrupted else []
        return printed.decode(errors="replace"), problems

    def _quietly(self, commands: tuple[tuple[str, ...], ...], home: Path, variables: Mapping[str, str]) -> None:
        for words in commands:
            line, environment = self._line(words, home, variables)
            subprocess.run(line, cwd=home, env=environment, capture_output=True, stdin=subprocess.DEVNULL, check=False)

    def _line(
        self, words: tuple[str, ...], home: Path, variables: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        words = tuple(str(_PROGRAMS / word) if word.endswith(".py") else word for word in words)
        line, path = self.located(words)
        return line, {**clean_environment(home), **self.agent.keys, **variables, **path}

    def _wrong(self, calls: list[Call], rows: list[Row], printed: str) -> Iterator[str]:
        """Yield one sentence for each value that is not the true one."""
        by_tokens = {call.tokens.input: call for call in calls}
        cut = next((call for call in calls if call.is_cut), None)
        session = re.search(self.agent.session, printed, re.DOTALL) if self.agent.session else None
        for row in rows:
            call = by_tokens.get(row["prompt_tokens"]) or cut
            if call is None:
                yield f"a row has {row['prompt_tokens']} tokens, which no call had"
                continue
            is_subagent = row["request_kind"] == "subagent"
            expected = self._expected(call)
            if session:
                place = "parent_agent_id" if is_subagent and self.agent.own_sessions else "session_id"
                expected[place] = session.group(1)
            yield from _differences(row, expected)
            if self.agent.session and row["session_id"] is None:
                yield "a row has no session"
            if is_subagent and row["agent_id"] is row["parent_agent_id"] is None:
                yield "a sub-agent has no name"

    def _expected(self, call: Call) -> Row:
        expected: Row = {
            **self.agent.says,
            "model": call.asked.model,
            "agent": self.agent.name,
            "status_code": 200,
            "success": int(not call.is_cut),
            "error_type": "client_disconnect" if call.is_cut else None,
        }
        if not call.is_cut:
            expected |= {"prompt_tokens": call.tokens.input, "completion_tokens": call.tokens.output}
        if self.agent.name and self.agent.has_own_version:
            expected["agent_version"] = self.versions[self.agent.packages[0].partition("[")[0]]
        return expected


def _differences(row: Row, expected: Row) -> Iterator[str]:
    for name, value in expected.items():
        if row[name] != value:
            yield f"{name} is {row[name]!r} instead of {value!r}"


def _listed(kinds: frozenset[str | None]) -> str:
    return ", ".join(sorted(str(kind) for kind in kinds))

"""Running one case, and the table of all."""

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.trials import record
from tests.trials.torture.case import Blocked, Broken, Case, Stage

type Result = Literal["PASSED", "FAILED", "BLOCKED"]

_IN_RECORDS: Final[Mapping[Result, record.Result]] = {"PASSED": "kept", "FAILED": "broken", "BLOCKED": "blocked"}
_HEAD = ("id", "what", "rounds", "result", "seconds", "found")
_MOST = 200  # characters of a reason
_NO_FAULT_FOUND = "the control found nothing, so the test beside it proves nothing"


@dataclass(frozen=True)
class Line:
    """One line of the table; `reason` says why it is not passed, or what a control found."""

    id: str
    what: str
    result: Result
    seconds: float
    rounds: int = 0
    reason: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)


def perform(case: Case, stage: Stage) -> Line:
    """Run it, whatever happens."""
    began = time.monotonic()

    def line(result: Result, reason: str = "", rounds: int = 0, figures: Mapping[str, object] | None = None) -> Line:
        seconds = round(time.monotonic() - began, 1)
        return Line(case.label, case.what, result, seconds, rounds, reason, figures or {})

    try:
        outcome = case.run(stage)
    except Blocked as blocked:
        return line("BLOCKED", str(blocked))
    except Broken as broken:
        return line("PASSED" if case.is_control else "FAILED", str(broken))
    except Exception as error:  # noqa: BLE001 - a harness that fails has shown nothing
        where = traceback.extract_tb(error.__traceback__)[-1]
        return line("FAILED", f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")
    if case.is_control:
        return line("FAILED", _NO_FAULT_FOUND, outcome.rounds)
    return line("PASSED", "", outcome.rounds, outcome.figures)


def table(lines: Sequence[Line]) -> str:
    """Aligned text, and the sums below."""
    rows = [_HEAD, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    text = ["  ".join([*(cell.ljust(n) for cell, n in zip(row, widths, strict=False)), row[-1]]) for row in rows]
    counts = {result: sum(line.result == result for line in lines) for result in ("PASSED", "FAILED", "BLOCKED")}
    sums = ", ".join(f"{n} {result}" for result, n in counts.items())
    return "\n".join([*(one.rstrip() for one in text), "", f"{sums}; {sum(line.seconds for line in lines):.0f} s"])


def as_record(lines: Sequence[Line], seconds: float) -> record.Record:
    """The same for a program. A control has no rounds: it goes on until it finds its weakness, which is one try."""
    checks = [
        record.Check(f"{line.id}: {line.what}", _IN_RECORDS[line.result], max(line.rounds, 1), _found(line))
        for line in lines
    ]
    return record.recorded("torture", seconds, checks, {check.name: check.tries for check in checks})


def _cells(line: Line) -> tuple[str, ...]:
    return line.id, line.what, str(line.rounds or "-"), line.result, f"{line.seconds:.1f}", _found(line)


def _found(line: Line) -> str:
    reason = " ".join(line.reason.split())  # SQLite's findings have several lines
    return "; ".join([*([reason[:_MOST]] if reason else []), *(f"{k} {v}" for k, v in line.figures.items())])

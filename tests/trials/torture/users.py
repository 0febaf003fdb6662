"""T18: people use sqlite-utils on the file while it is being written."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import check, run_once, wait_until

_MIGRATE = "from llm_metrics_proxy.recorder.commands.migrate import migrate; migrate()"
_ROOT = Path(__file__).parents[3]
_RATE = 200
_THEIRS = {
    "timestamp": "2026-01-01T00:00:00.000Z",
    "success": 1,
    "status_code": 200,
    "response_time_ms": 1,
    "is_streaming": 0,
    "model": "by hand",
}
# What is typed after the name of the database; `transform` comes last, since recording into that table ends with it.
ACTIONS: dict[str, Sequence[str]] = {
    "rows": ("rows", "DB", "completion_requests", "--limit", "5"),
    "insert": ("insert", "DB", "completion_requests", "-"),
    "delete": ("query", "DB", "delete from completion_requests where model = 'by hand'"),
    "create-index": ("create-index", "DB", "completion_requests", "http_version"),
    "vacuum": ("vacuum", "DB"),
    "analyze": ("analyze", "DB"),
    "disable-wal": ("disable-wal", "DB"),
    "enable-wal": ("enable-wal", "DB"),
    "optimize": ("optimize", "DB"),
    "migrate": ("migrate", "DB", str(_ROOT / "migrations")),
    "create a table": ("insert", "DB", "theirs", "-"),
}
_TRANSFORM = ("transform", "DB", "completion_requests", "--rename", "server_timing", "timing")


def actions(stage: Stage) -> Outcome:
    """Whatever they type, no event is lost."""
    path = stage.folder / "metrics.db"
    rounds = stage.rounds(2)
    codes: dict[str, int] = {}
    with Recording(Plan(path, rate=_RATE)) as recording:
        for _ in range(rounds):
            for name, words in ACTIONS.items():
                codes[name] = _type(path, words)
                at = recording.last.acknowledged
                wait_until(lambda at=at: recording.last.acknowledged > at + 20, f"recording goes on after {name}")  # type: ignore[misc] # a default
        last = recording.stop()
    run_once(path)
    check([recording], path)
    refused = ", ".join(name for name, code in codes.items() if code)
    figures: dict[str, object] = {"actions": len(ACTIONS), "kept aside": last.counters.get("spilled", 0)}
    return Outcome(rounds, figures | {"waited at most ms": round(last.longest_wait_ms), "refused": refused or "none"})


def transform(stage: Stage) -> Outcome:
    """`sqlite-utils transform` makes another table of ours: events wait in the spill file until it is repaired."""
    path = stage.folder / "metrics.db"
    with Recording(Plan(path, rate=_RATE)) as recording:
        wait_until(lambda: recording.last.acknowledged > _RATE, "events are recorded")
        expect(_type(path, _TRANSFORM) == 0, "transform failed")
        wait_until(lambda: recording.last.counters.get("spilled", 0) > _RATE, "events are kept aside")
        recording.stop()
    check([recording], path, waiting=True)
    figures: dict[str, object] = {"kept aside": recording.last.counters["spilled"]}
    _repair(path)
    run_once(path)
    check([recording], path)
    return Outcome(1, figures)


def _repair(path: Path) -> None:
    """`llm-metrics migrate --repair`."""
    words = [sys.executable, "-c", _MIGRATE, "--repair", "--db", str(path)]
    words += ["--backup-dir", str(path.parent)]
    result = subprocess.run(words, cwd=_ROOT, capture_output=True, text=True, check=False)
    expect(result.returncode == 0, f"llm-metrics migrate --repair: {result.stderr.strip()[-300:]}")


def _type(path: Path, words: Sequence[str]) -> int:
    command = [sys.executable, "-m", "sqlite_utils", *(str(path) if word == "DB" else word for word in words)]
    said = json.dumps([_THEIRS])
    return subprocess.run(command, cwd=path.parent, input=said, capture_output=True, text=True, check=False).returncode

"""Run many commands in forked processes, two at a time: an interpreter that starts anew takes longer than a command.

`python -m tests.support.planted.commands SECONDS` reads a JSON array of {words, folder, environment} from stdin,
and prints one of [code, output]; a command that took longer than SECONDS was killed and has no code.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, Any

from sqlite_utils.cli import cli

from llm_metrics_proxy.recorder.commands.cli import COMMANDS, main

_AT_ONCE = 2


def _become(case: dict[str, Any], output: IO[bytes]) -> None:
    """Run a command in this process, which ends with it."""
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(case["folder"])
    os.environ.clear()
    os.environ.update(case["environment"])
    first, *others = case["words"]
    if first == "sqlite-utils":
        cli(others, prog_name="sqlite-utils")
    main(case["words"], prog_name="llm-metrics")


def _fork(case: dict[str, Any], output: IO[bytes]) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        _become(case, output)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - it is the answer
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_of(child: int, ends: float) -> int | None:
    """The exit code of a child if it has ended, -1 if it still runs; None if it was killed after its time."""
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 70
    if time.monotonic() < ends:
        return -1
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def run(cases: list[dict[str, Any]], seconds: float) -> list[tuple[int | None, str]]:
    """Return the exit code and the output of each."""
    results: list[tuple[int | None, str]] = [(None, "")] * len(cases)
    waiting = list(enumerate(cases))
    running: dict[int, tuple[int, float, IO[bytes]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                number, case = waiting.pop(0)
                output = Path(folder, str(number)).open("w+b")  # noqa: SIM115 - closed when its command has ended
                running[number] = _fork(case, output), time.monotonic() + seconds, output
            for number, (child, ends, said) in list(running.items()):
                if (code := _end_of(child, ends)) == -1:
                    continue
                said.seek(0)
                results[number] = code, said.read().decode(errors="replace")
                said.close()
                del running[number]
            time.sleep(0.002)
    return results


if __name__ == "__main__":
    for module, _name, _help in COMMANDS.values():
        importlib.import_module(f".{module}", "llm_metrics_proxy.recorder.commands")
    for name in ("prices.recost", "report", "top", "care.check"):
        importlib.import_module(f"llm_metrics_proxy.recorder.{name}")
    sys.stdout.write(json.dumps(run(json.load(sys.stdin), float(sys.argv[1]))))

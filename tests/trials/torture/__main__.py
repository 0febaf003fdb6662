"""Run the fault tests.

`python -m tests.trials.torture [--rounds N] [--seconds S] [--megabytes 1000] [--json FILE] [T3 T9 ...]`.

One line for each as it ends, one table at the end; exit code 1 if anything failed. What cannot run here is BLOCKED.
Everything lies in one temporary folder, which is gone in the end, also after Ctrl-C.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.trials.record import added, read
from tests.trials.torture.case import Case, Stage
from tests.trials.torture.catalogue import CASES
from tests.trials.torture.report import Line, as_record, perform, table


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.torture", description="Break the storage, and see what it loses."
    )
    parser.add_argument("cases", nargs="*", metavar="T", help="ids, such as T3; default: all")
    parser.add_argument("--rounds", type=int, help="how often to repeat, instead of each test's own number")
    parser.add_argument("--seconds", type=float, help="how long to keep a load up, instead of each test's own time")
    parser.add_argument("--megabytes", type=int, default=1000, help="the size of the large file")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write a record of the run there; some cases are added to it"
    )
    wanted = parser.parse_args()
    known = {case.id for case in CASES}
    if unknown := [name for name in wanted.cases if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(dict.fromkeys(c.id for c in CASES))}")
    chosen = [case for case in CASES if not wanted.cases or case.id in wanted.cases]
    signal.signal(signal.SIGTERM, _interrupt)
    logging.disable()  # what is said about the faults would bury the results
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    # Nothing outside the folder may be touched: no default locations, and the folder as home.
    os.environ |= {"TESTING": "true", "HOME": str(folder)}
    os.environ.pop("LLM_METRICS_DB", None)
    lines: list[Line] = []
    began = time.monotonic()
    try:
        for number, case in enumerate(chosen):
            print(f"{case.label:12} {case.what} ...", flush=True)
            lines.append(_perform(case, folder / str(number), wanted))
            print(f"{'':12} {lines[-1].result} {lines[-1].reason}", flush=True)
    except KeyboardInterrupt:
        print("\ninterrupted", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{table(lines)}")
    if wanted.json and len(lines) == len(chosen):
        ran = as_record(lines, time.monotonic() - began)
        if wanted.cases and wanted.json.exists():
            ran = added(ran, read(wanted.json), [case.name for case in CASES])
        ran.write(wanted.json)
    return 1 if len(lines) < len(chosen) or any(line.result == "FAILED" for line in lines) else 0


def _perform(case: Case, folder: Path, wanted: argparse.Namespace) -> Line:
    folder.mkdir()
    try:
        return perform(case, Stage(folder, wanted.rounds, wanted.seconds, wanted.megabytes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

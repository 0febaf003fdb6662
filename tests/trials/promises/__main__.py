"""`python -m tests.trials.promises [tests | break] [NAME ...]`: docs/promises.md, made of the last records.

`tests` first runs the tests that prove promises; with names it runs some, and leaves no record. `break` first makes the
one change that breaks each promise, looks if the proof fails, and takes it back; with names it adds to the last record.
"""

import argparse
import signal
import sys
from types import FrameType

from tests.trials.promises.catalogue import catalogue
from tests.trials.promises.page import PAGE, page
from tests.trials.promises.proving import break_each, run_tests
from tests.trials.record import RESULTS, added, read


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.promises", description="Write docs/promises.md.")
    parser.add_argument("what", nargs="?", choices=["tests", "break"], help="run this first")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of promises, as in promises.toml; default: all")
    wanted = parser.parse_args()
    promises = catalogue().promise
    if unknown := set(wanted.names) - {promise.name for promise in promises}:
        parser.error(f"there is no {', '.join(sorted(unknown))} in promises.toml")
    chosen = [promise for promise in promises if not wanted.names or promise.name in wanted.names]
    signal.signal(signal.SIGTERM, _interrupt)  # so that a change of the code is taken back
    ran = {"tests": run_tests, "break": break_each}[wanted.what](chosen) if wanted.what else None
    path = RESULTS / f"{wanted.what}.json"
    if ran and wanted.what == "break" and path.exists():
        ran = added(ran, read(path), [promise.name for promise in promises])
    if ran and (wanted.what == "break" or not wanted.names):
        ran.write(path)
    PAGE.write_text(page())
    return 1 if ran and any(check.result == "broken" for check in ran.checks) else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

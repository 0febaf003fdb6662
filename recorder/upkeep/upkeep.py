"""`python -m llm_metrics_proxy.recorder.upkeep.upkeep DATABASE [PRICES]`: prices the calls that wait and adds them up.

A process of its own, since what it imports takes 30 MB. It reports why it failed, in one sentence on stderr, and which
models answered in place of others, as JSON on stdout, a line for each that nobody was told of today. It ends by itself
after a while even if there is more to do: the next one goes on where it was. Work that needs a CPU has the lowest
priority, except in the thread that writes: one that waits for a CPU while it holds the lock would make the recorder
wait.
"""

import importlib
import sqlite3
import sys
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from llm_metrics_proxy.recorder.errors import BadPrices, RecorderError
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.prices import price_file
from llm_metrics_proxy.recorder.reporting import own_fault
from llm_metrics_proxy.recorder.store import identity
from llm_metrics_proxy.recorder.store.slices import Slices, open_background, wait_for_others

if TYPE_CHECKING:
    from types import ModuleType

LONGEST_RUN: Final = 120.0  # seconds, of the costs and the roll-up; what follows them may take half as long


def main() -> int:
    """Price and add up what waits; the exit code."""
    path, *chosen = map(Path, sys.argv[1:])
    works = {
        "Calls get no cost for now.": partial(_price, path, chosen),
        "The roll-up stays behind for now.": partial(_add_up, path),
        "Nobody looks which models answer for now.": partial(_follow_answers, path, chosen),
    }
    failed = False
    with ThreadPoolExecutor(1, initializer=wait_for_others) as aside:
        for otherwise, work in works.items():
            enough = threading.Event()
            timer = threading.Timer(LONGEST_RUN / 2, enough.set)  # much of the one must not keep out the other
            timer.daemon = True
            timer.start()
            try:
                work(enough, aside)
            except RecorderError as error:
                sys.stderr.write(f"{otherwise} {error}\n")
                failed = True
            except Exception as error:  # noqa: BLE001 - its text may quote what a client wrote
                sys.stderr.write(f"{otherwise} {own_fault(error)}\n")
                failed = True
            finally:
                timer.cancel()
    return int(failed)


def _price(path: Path, chosen: list[Path], enough: threading.Event, aside: Executor) -> None:
    recosting: ModuleType = aside.submit(
        importlib.import_module, "llm_metrics_proxy.recorder.prices.recost"
    ).result()  # 0.3 s of a CPU
    recosting.recost(path, price_file.load(chosen[0] if chosen else None, path), stop=enough)


def _add_up(path: Path, enough: threading.Event, aside: Executor) -> None:
    try:
        with closing(open_background(path)) as connection:
            rollup.bring_up_to_date(connection, path, aside=aside, stop=enough)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error


def _follow_answers(path: Path, chosen: list[Path], enough: threading.Event, aside: Executor) -> None:
    answers: ModuleType = aside.submit(
        importlib.import_module, "llm_metrics_proxy.recorder.upkeep.answers"
    ).result()  # as above
    try:
        own = price_file.load(chosen[0] if chosen else None, path)
    except BadPrices:
        return  # which has been said: calls get no cost
    try:
        with closing(open_background(path)) as connection:
            told = answers.bring_up_to_date(connection, path, Slices(connection, path, stop=enough), own, aside)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    for one in told:
        sys.stdout.write(f"{msgspec.json.encode(one).decode()}\n")


if __name__ == "__main__":
    sys.exit(main())

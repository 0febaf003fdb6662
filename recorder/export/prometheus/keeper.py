"""The one thread that reads the database: it keeps the totals up to date and answers requests for the figures.

The database is opened anew each time. So a file that is moved away, replaced, restored or deleted is noticed, no file
is created, and no reader keeps a recorder's WAL from being cut.
"""

import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.metrics_core import Metric

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.export.prometheus import facts, families
from llm_metrics_proxy.recorder.export.prometheus.counting import Counting, refusal
from llm_metrics_proxy.recorder.reporting import own_fault, printable
from llm_metrics_proxy.recorder.store.database import reader

IDLE_SECONDS: Final = 5.0  # between two looks while nobody asks
SAVE_SECONDS: Final = 60.0
_TURN_SECONDS: Final = 2.0  # for what has come since the last one; much more is added in several turns
_TURN_OF_HISTORY: Final = 0.1
_PATIENCE_SECONDS: Final = 2.0  # for locks, which in WAL only a recovery takes
_ANSWER_SECONDS: Final = 8.0  # Prometheus waits for ten
_END_SECONDS: Final = 0.9

# What is done, as it is told when it is done again.
_READING: Final = "The database is read again."
_SAVING: Final = "The totals are saved again."

_VERSION: Final = version("llm-metrics-proxy")


class Figures(NamedTuple):
    """All families of metrics as of one moment, and whether the database could be read then, which the first says."""

    metrics: Sequence[Metric]
    database_up: bool


class Keeper:
    """Reads the database at `path` from `start` to `stop`."""

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        """Open nothing yet. `names` are those of calls' labels that are counted, too."""
        self._path = path
        self._counting = Counting(path, names)
        self._saved_at: float | None = None  # seconds since 1970
        self._save_next = 0.0  # monotonic
        self._of_database: Sequence[Metric] = ()  # the last that was read
        self._last = Figures([families.database_up(up=False)], database_up=False)
        self._rest = 0.0  # seconds until the next turn, when there is more to add
        self._complaints: dict[str, str | None] = {}
        self._asked = threading.Condition()
        self._askers: list[Future[Figures]] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """End it within a second, with the totals saved if that is possible."""
        self._ends.set()
        with self._asked:
            self._asked.notify()
        self._thread.join(_END_SECONDS)

    def ask(self) -> Figures:
        """The figures of a moment after the call; the last that are known if the database does not answer."""
        asker: Future[Figures] = Future()
        with self._asked:
            self._askers.append(asker)
            self._asked.notify()
        try:
            return asker.result(_ANSWER_SECONDS)
        except TimeoutError:
            _up, *others = self._last.metrics
            return Figures([families.database_up(up=False), *others], database_up=False)

    def _run(self) -> None:
        left = True
        while not self._ends.is_set():
            with self._asked:
                if not self._askers and not self._ends.is_set():
                    self._asked.wait(self._rest if left else IDLE_SECONDS)
                askers, self._askers = self._askers, []
            try:
                left = self._turn(askers)
            except Exception as error:  # noqa: BLE001 - the thread must go on; its text may quote what a client wrote
                self._tell(_READING, own_fault(error))
                for asker in askers:
                    asker.set_exception(error)
            if time.monotonic() >= self._save_next:
                self._save()
        self._save()

    def _turn(self, askers: Sequence[Future[Figures]]) -> bool:
        """Add what is new, answer, and return whether there is more to add."""
        began = time.monotonic()
        up, left = True, False
        living = facts.living(self._path)
        try:
            with reader(self._path, patience=_PATIENCE_SECONDS, is_over=self._ends.is_set) as connection:
                whole = self._counting.calls_are_whole and self._counting.costs_are_whole
                turn = _TURN_SECONDS if whole else _TURN_OF_HISTORY
                left = not self._counting.count(connection, began + turn)
                if askers:
                    self._of_database = tuple(families.of_database(facts.written(connection, living)))
        except RecorderError as error:
            up = False
            self._tell(_READING, str(error))
        except KeyboardInterrupt:  # a statement was ended, since all of it ends
            up = False
        except Exception as error:  # noqa: BLE001 - as above, and what is known is told
            up = False
            self._tell(_READING, own_fault(error))
        else:
            self._tell(_READING, None)
        if askers:
            figures = self._last = self._figures(living, up=up)
            for asker in askers:
                asker.set_result(figures)
        self._rest = time.monotonic() - began  # as long as it worked, when there is more: others need the CPU, too
        return left

    def _figures(self, living: set[str] | None, *, up: bool) -> Figures:
        counting = self._counting
        seen = families.Seen(
            share=counting.share,
            waiting=counting.waiting,
            last_row_id=counting.row_id,
            saved_at=self._saved_at,
            version=_VERSION,
            schema_version=CURRENT_SCHEMA_VERSION,
        )
        metrics = [
            families.database_up(up=up),
            *families.of_counting(seen),
            *families.of_surrounding(facts.surrounding(self._path, living)),
        ]
        metrics += self._of_database
        if counting.calls_are_whole:
            metrics += [*families.of_calls(counting.totals), *counting.totals.by_label.of_calls()]
        if counting.costs_are_whole:
            metrics += families.of_costs(counting.totals.groups.values())
            metrics += counting.totals.by_label.of_costs()
        return Figures(metrics, up)

    def _save(self) -> None:
        self._save_next = time.monotonic() + SAVE_SECONDS
        try:
            self._counting.save()
        except (RecorderError, OSError, sqlite3.Error) as error:
            self._tell(_SAVING, f"The totals cannot be saved for now. {refusal(self._path, error)}")
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(_SAVING, own_fault(error))
        else:
            self._tell(_SAVING, None)
            self._saved_at = time.time()

    def _tell(self, doing: str, complaint: str | None) -> None:
        """Say what is the matter once, and when it is over."""
        if complaint == self._complaints.get(doing):
            return
        self._complaints[doing] = complaint
        with suppress(OSError, ValueError):  # nobody listens, which is no reason to end
            sys.stderr.write(f"{printable(complaint or doing)}\n")
            sys.stderr.flush()

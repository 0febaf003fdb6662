"""Stored calls and their costs of today, read and priced beside the thread that writes them.

A thread does that, or a process of its own for many calls: the second core then prices while the first one writes.
Either runs with the lowest priority. The thread that writes keeps its own: one that waits for a CPU while it holds the
lock would make the recorder wait.
"""

import multiprocessing
import signal
import sqlite3
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from llm_metrics_proxy.recorder.errors import BadPrices, RecorderError
from llm_metrics_proxy.recorder.prices import history, newer_list
from llm_metrics_proxy.recorder.prices.history import Row, Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import UNKNOWN, cost_of
from llm_metrics_proxy.recorder.prices.recost_report import Report
from llm_metrics_proxy.recorder.prices.rollup_costs import CostChange
from llm_metrics_proxy.recorder.store import database
from llm_metrics_proxy.recorder.store.slices import wait_for_others


class Choice(NamedTuple):
    """Calls of a database: those of a span by time, or without it those that wait for a cost.

    These are some that a later answer has completed, and then those with above < id <= newest, in the order of ids.
    """

    path: Path
    newest: int
    above: int = 0
    span: Span | None = None


class Priced(NamedTuple):
    """Some calls that follow each other."""

    changes: list[CostChange]
    report: Report
    looked_at: int
    last: int  # the id of the last call that was looked at
    completed: tuple[int, ...] = ()  # the ids of all of them, if they wait since a later answer has completed them


def priced(choice: Choice, own: OwnPrices) -> Generator[Priced]:
    """Read and price calls, a thousand at a time.

    Raises:
        BadPrices: the list of prices beside the database is damaged.
        sqlite3.Error: the database cannot be read.
    """
    wait_for_others()
    newer_list.use(choice.path)
    with closing(database.open_reader(choice.path)) as connection:
        if choice.span is None:
            if rows := history.completed(connection):
                yield _priced(rows, None, own)._replace(completed=tuple(row.id for row in rows))
            batches = history.pending(connection, choice.above, choice.newest)
        else:
            batches = history.between(connection, choice.span, choice.newest)
        for rows in batches:
            yield _priced(rows, choice.span, own)


def in_a_thread(choice: Choice, own: OwnPrices) -> Generator[Priced]:
    """Yield what `priced` does; nothing is priced while the caller writes.

    Two threads take turns at Python anyway, and one that prices would make the other wait for its turn after each
    statement, while it holds the lock.
    """
    with ThreadPoolExecutor(1, "llm-metrics-prices") as aside:
        batches = priced(choice, own)
        try:
            while (batch := aside.submit(next, batches, None).result()) is not None:
                yield batch
        finally:
            aside.submit(batches.close)  # there, since its connection is of that thread


def in_a_process(choice: Choice, own: OwnPrices) -> Generator[Priced]:
    """Yield what `priced` does; the next calls are priced meanwhile, as many as a pipe holds.

    Raises:
        BadPrices: the process was killed, too.
    """
    spawning = multiprocessing.get_context("spawn")  # a fork would have this process's connections
    receiver, sender = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_send, args=(sender, choice, own), daemon=True)
    process.start()
    sender.close()
    try:
        with receiver:
            while (batch := receiver.recv()) is not None:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
    except EOFError as error:
        process.join()
        what = f"The process that computes costs ended early (exit code {process.exitcode})"
        raise BadPrices(what=what, cure="run the same command again: what is done stays done") from error
    finally:
        process.terminate()
        process.join()


def _send(sender: Connection, choice: Choice, own: OwnPrices) -> None:
    """Send the batches and then None, or the error that ended them; end early if nobody receives any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both: the other process ends this one
    with suppress(BrokenPipeError):
        try:
            for batch in priced(choice, own):
                sender.send(batch)
            sender.send(None)
        except (RecorderError, sqlite3.Error) as error:
            sender.send(error)


def _priced(rows: Sequence[Row], span: Span | None, own: OwnPrices) -> Priced:
    changes, report = [], Report()
    for row_id, timestamp, call, key, before in rows:
        if call is not None and span is not None and not span.has_model(call):
            continue
        now = UNKNOWN if call is None else cost_of(call, own, before)
        report.add(call, before, now)
        if now != before:
            changes.append(CostChange(row_id, timestamp, key, before, now))
    return Priced(changes, report, len(rows), rows[-1].id)

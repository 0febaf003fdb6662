"""Export of rows beyond this machine: the database is the outbox, and each exporter is a process of its own.

This module has the protocol of a `Destination`, and the lock that keeps two exporters from serving the same one.
outbox.py reads the rows, delivery.py sends a batch, run.py is the loop. Each kind of destination is a package: otlp,
postgres, prometheus.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from llm_metrics_proxy.recorder.errors import ExportFailed, RecorderError
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.exporters import Position

type Row = tuple[
    object, ...
]  # values in the order of llm_metrics_proxy.recorder.export.outbox.COLUMNS, as SQLite has them


class Batch(NamedTuple):
    """Rows that the destination does not have yet, or has with other values."""

    rows: Sequence[Row]
    position: Position  # of the destination, once it has these


class Account(NamedTuple):
    """The recorders' account of themselves: rows of `recorder_counters` and `recorder_events`."""

    counters: Sequence[Row]
    events: Sequence[Row]


class Unavailable(Exception):  # noqa: N818 - read as a sentence
    """The destination cannot be reached or is busy just now; the text says why, without secrets. It is tried again."""


class Unacceptable(Exception):  # noqa: N818
    """The destination will never take this batch; the text says why, without secrets and without values of rows.

    It is halved until the row is found that is the matter, which is then left out and counted.
    """


class Destination(Protocol):
    """A place that takes rows; for one thread. Made without any I/O, so that a fault of its arguments shows at once."""

    name: str  # the kind and the place: "postgres db.example:5432/metrics", without secrets
    wants_changes: bool  # whether rows that changed are to be sent again
    wants_account: bool  # whether it is to get what the recorders say of themselves
    rows_at_once: int  # in a batch, at most

    def connect(self, source_id: str) -> Position | None:
        """Be ready to take rows of this source, again after `Unavailable` too; how far it has come, if it knows.

        Raises:
            Unavailable: not now.
            ExportFailed: never, before somebody does something about it.
        """

    def send(self, batch: Batch) -> int:
        """Take these rows: they stay there, whatever happens after the return. Rows may come a second time.

        Returns how many of them it will never take, although it took the others.

        Raises:
            Unavailable: not now; `connect` is called before the next attempt.
            Unacceptable: never as they are.
            ExportFailed: never, before somebody does something about it.
        """

    def send_account(self, account: Account) -> None:
        """Take the present state of these, beside what is there of older ones. Raises as `send` does."""

    def close(self) -> None:
        """Let go of everything."""


@contextmanager
def alone(path: Path, name: str) -> Iterator[bool]:
    """Yield True if this is the only exporter of that name, and keep it so until the end of the block.

    Raises:
        ExportFailed: the folder beside the database, where that is kept, cannot be used.
    """
    with ExitStack() as stack:
        try:
            digest = hashlib.sha256(name.encode()).hexdigest()[:16]
            only_one = stack.enter_context(presence.alone(path, f"export-{digest}"))
        except OSError as error:
            what = f"The folder of {path} cannot be written ({error.strerror})"
            raise ExportFailed(what=what, cure="run this as the user of the proxy") from error
        yield only_one
    with suppress(RecorderError):
        presence.check(path)  # which leaves no empty folder behind

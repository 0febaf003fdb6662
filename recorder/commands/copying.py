"""What the commands that copy a database share."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from llm_metrics_proxy.recorder.store.database import check_is_there, get_db_path

_LONG_BYTES = 50_000_000  # copied in less than a second


def existing_database(option: str | None) -> Path:
    """The database's path with symbolic links resolved.

    Raises:
        DatabaseRefused: nothing stands there.
    """
    path = get_db_path(option).resolve()
    check_is_there(path, cure="give the right path with --db")
    return path


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """What shows on a terminal how far a long copy is; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            if total >= _LONG_BYTES:
                bar.length = total
                bar.update(done - bar.pos)

        yield show
        bar.update((bar.length or 0) - bar.pos)

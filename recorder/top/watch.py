"""`llm-top` as its options say: once, or with `--watch` again and again until Ctrl-C, whatever happens meanwhile.

The database is opened anew for each table. So a file that is moved away, replaced, locked or deleted is reported and
waited for, no file is created, and no reader keeps a recorder's WAL from being cut.
"""

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path

import click
import msgspec
from rich.console import Console

from llm_metrics_proxy.recorder import top
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import database
from llm_metrics_proxy.recorder.store.database import reader
from llm_metrics_proxy.recorder.top import table
from llm_metrics_proxy.recorder.top.display import Display, Lines, Screen
from llm_metrics_proxy.recorder.top.interruptions import Interruptions

_PATIENCE_SECONDS = 0.2  # for locks: Ctrl-C is not heard meanwhile


class Source:
    """The source of the figures: takes them at any time, and notices when the file is another one."""

    def __init__(self, path: Path, window: timedelta, by: top.By, interruptions: Interruptions) -> None:
        """Open nothing yet."""
        self.news: str | None = None  # the last thing that happened to the file
        self._path = path
        self._window = window
        self._by: top.By = by
        self._interruptions = interruptions
        self._inode = database.inode_of(path)

    def take(self) -> top.Top:
        """The figures of this moment.

        Raises:
            DatabaseRefused: there are none.
            KeyboardInterrupt: something ended it.
        """
        with reader(self._path, patience=_PATIENCE_SECONDS, is_over=self._interruptions.is_over) as connection:
            taken = top.collect(connection, self._window, self._by)
        inode = database.inode_of(self._path)  # after the reading: figures of another file never come without the news
        if inode is not None and inode != self._inode:
            self.news = f"Another file stands at {printable(str(self._path))} since {datetime.now(UTC):%H:%M:%S} UTC."
            self._inode = inode
        return taken

    def trouble(self, error: DatabaseRefused) -> str:
        """The sentence to show when `take` raised."""
        if database.inode_of(self._path) is None:
            return f"{printable(str(self._path))} is gone: waiting for it to come back."
        return f"{printable(str(error))} Trying again meanwhile."


def watch(source: Source, display: Display, seconds: float, interruptions: Interruptions) -> int:
    """Show the figures every so many seconds, and return the exit code when something ended that.

    Raises:
        DatabaseRefused: the database could not be read from the beginning.
    """
    with suppress(KeyboardInterrupt):  # of which interruptions knows more
        taken = source.take()
        display.take_terminal()
        try:
            display.show(taken, source.news)
            while not _sleep(seconds, display, interruptions):
                try:
                    taken = source.take()
                except DatabaseRefused as error:
                    display.tell(source.trouble(error))
                else:
                    display.show(taken, source.news)
        finally:
            display.give_back()
    return interruptions.exit_code or 0


def _sleep(seconds: float, display: Display, interruptions: Interruptions) -> bool:
    """Wait, and draw again for a terminal of another size; True if something ended it."""
    until = time.monotonic() + seconds
    while not interruptions.is_over() and (left := until - time.monotonic()) > 0:
        if interruptions.wait(left):
            if interruptions.take_suspension():
                display.give_back()
                interruptions.suspend()
                display.take_terminal()
            display.redraw()
    return interruptions.is_over()


_UNLIMITED = 10_000  # cells: wide enough that nothing is left out of what goes into a file or another program


def once(path: Path, window: timedelta, by: top.By, *, as_json: bool) -> None:
    """Print the figures of this moment.

    Raises:
        DatabaseRefused: there are none.
    """
    with reader(path) as connection:
        taken = top.collect(connection, window, by)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(taken), indent=2))
    else:
        console = _console()
        console.print(table.table(taken, width=console.width))


def again_and_again(path: Path, window: timedelta, by: top.By, seconds: float, *, as_json: bool) -> int:
    """Show the figures every so many seconds until something ends it, and return the exit code.

    Raises:
        DatabaseRefused: the database could not be read from the beginning.
    """
    console = _console()
    with Interruptions() as interruptions:
        whole_screen = console.is_interactive and not as_json
        display: Display = Screen(console, seconds) if whole_screen else Lines(console, as_json=as_json)
        return watch(Source(path, window, by, interruptions), display, seconds, interruptions)


def _console() -> Console:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may have what the encoding has not
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(
        force_terminal=is_terminal,
        width=None if is_terminal else _UNLIMITED,
        highlight=False,
        markup=False,
        emoji=False,
    )

"""`llm-top` as its options say: once, or with `--watch` again and again until Ctrl-C, whatever happens meanwhile.

The database is opened anew for each table. So a file that is moved away, replaced, locked or deleted is reported and
waited for, no file is created, and no reader keeps a recorder's WAL from being cut. Tables are shown on the whole
terminal, or as lines where there is no terminal.
"""

import json
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from llm_metrics_proxy.recorder import top
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import database
from llm_metrics_proxy.recorder.store.database import reader
from llm_metrics_proxy.recorder.top import Top, table
from llm_metrics_proxy.recorder.top.choice import Condition
from llm_metrics_proxy.recorder.top.interruptions import Interruptions

_LINES_BELOW = 3  # the table: a blank one, what happened, when it was drawn

type Display = Screen | Lines


class Asked(NamedTuple):
    """The calls to show: those of the last `window` that fit all conditions, and their grouping."""

    window: timedelta
    by: str
    where: tuple[Condition, ...] = ()


class Screen:
    """The whole terminal, drawn over."""

    def __init__(self, console: Console, seconds: float) -> None:
        """Nothing is drawn yet."""
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._footer = f"every {seconds:g} s, Ctrl-C ends"
        self._drawn_at = datetime.now(UTC)
        self._taken: Top | None = None
        self._told: str | None = None

    def show(self, taken: Top, news: str | None) -> None:
        """Show the figures."""
        self._drawn_at, self._taken, self._told = datetime.now(UTC), taken, news
        self.redraw()

    def tell(self, trouble: str) -> None:
        """Say why there are none."""
        self._drawn_at, self._taken, self._told = datetime.now(UTC), None, trouble
        self.redraw()

    def redraw(self) -> None:
        """Draw again what was shown last."""
        with suppress(OSError):  # the terminal's own word: COLUMNS may say what once was
            size = os.get_terminal_size(self._console.file.fileno())
            if size.columns and size.lines:
                self._console.size = ConsoleDimensions(size.columns, size.lines)
        width, height = self._console.size
        parts: list[RenderableType] = []
        if self._taken is not None:
            parts += [table.table(self._taken, width=width, height=height - _LINES_BELOW), Text()]
        if self._told is not None:
            parts.append(Text(self._told, style="yellow"))
        parts.append(Text(f"{self._drawn_at:%H:%M:%S} UTC, {self._footer}", style="dim"))
        self._live.update(Group(*parts), refresh=True)

    def give_back(self) -> None:
        """Leave the terminal as it was; it may be gone."""
        with suppress(OSError):
            self._live.stop()

    def take_terminal(self) -> None:
        """Take the terminal."""
        self._live.start()


class Lines:
    """Output without a terminal: one table below the other, or one JSON document a line; troubles go to stderr."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        """Nothing is printed yet."""
        self._console = console
        self._as_json = as_json
        self._news: str | None = None
        self._told: str | None = None

    def show(self, taken: Top, news: str | None) -> None:
        """Show the figures."""
        if news is not None and news != self._news:
            click.echo(news, err=True)
        self._news, self._told = news, None
        if self._as_json:
            click.echo(json.dumps(msgspec.to_builtins(taken)))
        else:
            self._console.print(table.table(taken), Text())

    def tell(self, trouble: str) -> None:
        """Say why there are none, once."""
        if trouble != self._told:
            click.echo(trouble, err=True)
        self._told = trouble

    def redraw(self) -> None:
        """Do nothing: printed lines stay as they are."""

    def give_back(self) -> None:
        """There is nothing to give back."""

    def take_terminal(self) -> None:
        """There is nothing to take."""


_PATIENCE_SECONDS = 0.2  # for locks: Ctrl-C is not heard meanwhile


class Source:
    """The source of the figures: takes them at any time, and notices when the file is another one."""

    def __init__(self, path: Path, asked: Asked, interruptions: Interruptions) -> None:
        """Open nothing yet."""
        self.news: str | None = None  # the last thing that happened to the file
        self._path = path
        self._asked = asked
        self._interruptions = interruptions
        self._inode = database.inode_of(path)

    def take(self) -> top.Top:
        """The figures of this moment.

        Raises:
            DatabaseRefused: there are none.
            KeyboardInterrupt: something ended it.
        """
        with reader(self._path, patience=_PATIENCE_SECONDS, is_over=self._interruptions.is_over) as connection:
            taken = top.collect(connection, *self._asked)
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


def once(path: Path, asked: Asked, *, as_json: bool) -> None:
    """Print the figures of this moment.

    Raises:
        DatabaseRefused: there are none.
    """
    with reader(path) as connection:
        taken = top.collect(connection, *asked)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(taken), indent=2))
    else:
        console = _console()
        console.print(table.table(taken, width=console.width))


def again_and_again(path: Path, asked: Asked, seconds: float, *, as_json: bool) -> int:
    """Show the figures every so many seconds until something ends it, and return the exit code.

    Raises:
        DatabaseRefused: the database could not be read from the beginning.
    """
    console = _console()
    with Interruptions() as interruptions:
        whole_screen = console.is_interactive and not as_json
        display: Display = Screen(console, seconds) if whole_screen else Lines(console, as_json=as_json)
        return watch(Source(path, asked, interruptions), display, seconds, interruptions)


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

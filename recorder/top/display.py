"""The screen of `llm-top --watch`: the whole terminal, or lines where there is no terminal."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from llm_metrics_proxy.recorder.top import Top, table

_LINES_BELOW = 3  # the table: a blank one, what happened, when it was drawn

type Display = Screen | Lines


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

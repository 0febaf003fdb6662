"""Where `llm-top --watch` shows its tables: on the whole terminal, or as lines where no terminal is."""

import json
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from recorder import top_table
from recorder.top import Top


class Display(ABC):
    """Where tables are shown, one after the other."""

    @abstractmethod
    def show(self, taken: Top, news: str | None) -> None:
        """Show the figures."""

    @abstractmethod
    def tell(self, trouble: str) -> None:
        """Say why there are none."""

    def redraw(self) -> None:
        """Draw again what was shown last: the terminal has another size."""

    def leave(self) -> None:
        """Leave the terminal as it was before."""

    def come_back(self) -> None:
        """The reverse."""

    def __enter__(self) -> Self:
        """Take the terminal."""
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it, if it is still there."""
        with suppress(OSError):
            self.leave()


class Screen(Display):
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
        width, height = self._console.size
        parts = [] if self._taken is None else [top_table.table(self._taken, width=width, height=height - 3), Text()]
        if self._told is not None:
            parts.append(Text(self._told, style="yellow"))
        parts.append(Text(f"{self._drawn_at:%H:%M:%S} UTC, {self._footer}", style="dim"))
        self._live.update(Group(*parts), refresh=True)

    def leave(self) -> None:
        """Give the terminal back."""
        self._live.stop()

    def come_back(self) -> None:
        """Take the terminal."""
        self._live.start()


class Lines(Display):
    """Where no terminal is: one table below the other, or one JSON document a line; troubles go to stderr."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        """Nothing is printed yet."""
        self._console = console
        self._as_json = as_json
        self._told: str | None = None

    def show(self, taken: Top, news: str | None) -> None:
        """Show the figures."""
        if news is not None:
            self.tell(news)
        if self._as_json:
            click.echo(json.dumps(msgspec.to_builtins(taken)))
        else:
            self._console.print(top_table.table(taken), Text())

    def tell(self, trouble: str) -> None:
        """Say it once."""
        if trouble != self._told:
            click.echo(trouble, err=True)
        self._told = trouble

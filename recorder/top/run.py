"""`llm-top` as its options say: once or again and again; on a terminal, as plain text, or as JSON."""

import json
import sys
from datetime import timedelta
from io import TextIOWrapper
from pathlib import Path

import click
import msgspec
from rich.console import Console

from llm_metrics_proxy.recorder.store.reader import reader
from llm_metrics_proxy.recorder.top import table, top
from llm_metrics_proxy.recorder.top.display import Display, Lines, Screen
from llm_metrics_proxy.recorder.top.interruptions import Interruptions
from llm_metrics_proxy.recorder.top.watch import Source, watch

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

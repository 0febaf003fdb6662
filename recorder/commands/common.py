"""Shared by all commands: options, exit codes, and one sentence instead of a traceback."""

import functools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

from llm_metrics_proxy.recorder.errors import ExportFailed, RecorderError
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import timestamps

EXIT_CODES = """\b
Exit codes:
  0  done
  1  it could not be done; stderr says why in one sentence
  2  wrong usage
"""
SOMETHING_FOUND = 3
ON_WINDOWS = "Windows has not what this needs (fcntl): run it inside WSL, the Windows Subsystem for Linux."

DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
"""The type of an option that takes a moment in UTC."""

database_option = click.option(
    "--db", metavar="PATH", help="The database; else environment LLM_METRICS_DB, else metrics.db here."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")

prices_option = click.option(
    "--prices",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file of own prices; else prices.toml beside the database, if it is there.",
)

type Cells = tuple[str, ...]


def refusing[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Turn what the recorder refuses into a sentence on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except RecorderError as error:
            raise click.ClickException(printable(str(error))) from error
        except UnicodeDecodeError as error:  # what SQLite says of a damaged schema may be no text
            message = "The database is damaged: put a backup back with llm-metrics restore."
            raise click.ClickException(message) from error
        except OSError as error:
            if error.filename is None:  # not of a file: click knows what to do when nobody reads what is printed
                raise
            message = f"{error.filename} cannot be used ({error.strerror}): check the path and its permissions."
            raise click.ClickException(printable(message)) from error

    return run


def with_extra(module: str) -> ModuleType:
    """A module that needs the extra `export`, which not everybody has.

    Raises:
        ExportFailed: one of the extra's packages is missing.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("llm_metrics_proxy"):
            raise
        what = f"The Python package {error.name.partition('.')[0]} is missing"
        raise ExportFailed(what=what, cure="install llm-metrics-proxy with its extra `export`") from error


def bounds(since: datetime | None, until: datetime | None) -> tuple[str, str]:
    """Return texts for `timestamp >= since` and `timestamp < until`; of all moments where nothing was given."""
    first, last = "", "~"
    return (
        timestamps.bound(since.replace(tzinfo=UTC)) if since else first,
        timestamps.bound(until.replace(tzinfo=UTC)) if until else last,
    )


def table(head: Cells, rows: Iterable[Cells]) -> list[str]:
    """Return the lines of a table: the first column to the left, numbers to the right."""
    body = list(rows)
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    return [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in (head, *body)
    ]

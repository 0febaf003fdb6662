"""`sqlite-utils llm-report`: the figures of some days as one HTML page that needs no other file, made to be mailed.

This module runs the command and writes the file: whole or not at all, and never over a file that is no report.
content.py reads the figures, charts.py and drawn.py draw them, page.py fills `page.html`.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from llm_metrics_proxy.recorder.errors import ReportFailed
from llm_metrics_proxy.recorder.figures.quantities import many
from llm_metrics_proxy.recorder.report import content, page
from llm_metrics_proxy.recorder.report.page import GENERATOR
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import is_file_of, reader
from llm_metrics_proxy.recorder.store.files import read, write_result

_MARK = f'<meta name="generator" content="{GENERATOR}">'.encode()
_MARK_WITHIN = 1000  # bytes from the start


def check(path: Path, database: Path, *, force: bool) -> None:
    """Check that a report may be written to `path`: before the work, so that none is lost.

    An earlier report makes way, so that the same command works each week; any other file only if `force`, and the
    database that is reported of never.

    Raises:
        ReportFailed: it may not.
    """
    try:
        if is_file_of(database, path):
            raise ReportFailed(what=f"{path} belongs to the database", cure="write the report to another file")
        if path.is_dir():
            raise ReportFailed(what=f"{path} is a folder", cure="name a file")
        if path.is_file() and path.stat().st_size and not force and not _is_report(path):
            what = f"{path} exists and is no report"
            raise ReportFailed(what=what, cure="write to another file, or overwrite it with --force")
    except OSError as error:
        raise _failed(path, error) from error


def write(path: Path, page: str) -> None:
    """Write the page to `path`; on failure, what stood there stays.

    Raises:
        ReportFailed: it could not be written.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe, a device
            write_result(path, page.encode())
        else:
            _replace(path.resolve(), page)
    except OSError as error:
        raise _failed(path, error) from error


def _replace(path: Path, page: str) -> None:
    unfinished = path.with_name(f".{path.name[:200]}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            file.write(page)
        unfinished.replace(path)
    except BaseException:  # raised again: nothing half is left
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _is_report(path: Path) -> bool:
    return _MARK in read(path, _MARK_WITHIN)


def _failed(path: Path, error: OSError) -> ReportFailed:
    return ReportFailed(what=f"{path} cannot be written ({error.strerror})", cure="name another file")


STDOUT = "-"


def run(database: Path, target: str, days: int, *, force: bool) -> None:
    """Write a report of the last `days` times 24 hours to the file `target`, or to stdout if that is `-`.

    Raises:
        DatabaseRefused: there is nothing to report of.
        ReportFailed: it could not be written.
    """
    path = Path(target)
    if target != STDOUT:
        check(path, database, force=force)
    with reader(database) as connection:
        found = content.collect(connection, content.period(days, datetime.now(UTC)))
    text = page.render(found, database.name)
    if target == STDOUT:
        click.echo(text)
        return
    write(path, text)
    calls = found.total.requests if found.total else 0
    click.echo(f"{printable(target)}: {many(calls, 'call')}, {len(text.encode()) / 1000:,.0f} kB")

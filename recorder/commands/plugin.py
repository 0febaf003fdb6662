"""Additions to `sqlite-utils`: the commands llm-top and llm-report, and SQL functions on each connection it opens.

Every `sqlite-utils` command imports this file, also those on other people's databases, and ends if that fails. So it
imports nothing that is not there already, and what the commands need is imported when they run.

Queries can call `ago('24h')`: the moment so long ago, in the form of the column `timestamp`. `timestamp >= ago('24h')`
is served by the index, and has none of the traps of `datetime('now', '-1 day')`, whose text sorts before every
timestamp of its day.
"""

import errno
import functools
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlite_utils import hookimpl

from llm_metrics_proxy.recorder import percentile
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, json_option, refusing
from llm_metrics_proxy.recorder.errors import BadDuration
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.timestamps import parse_duration

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.top.choice import Condition

logger = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.1, 86_400  # seconds between two tables of llm-top
_MOST_MINUTES = 100 * 366 * 24 * 60
_MOST_DAYS = 3660


def _telling_why_not[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Turn the error of a full disk and the like into a sentence on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads on, which click knows
                raise
            message = f"The output cannot be written ({error.strerror}): free some space, or write it to another place."
            raise click.ClickException(message) from error

    return run


class _Seconds(click.ParamType[float]):
    name = "seconds"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            # Of `--watch metrics.db` the path is what --watch gets.
            self.fail(f"{value!r} is no number of seconds: write the path before --watch.", param, ctx)
        if not _SHORTEST <= seconds <= _LONGEST:
            self.fail(f"{value} is not between {_SHORTEST} and {_LONGEST:,} seconds.", param, ctx)
        return seconds


class _Checked[T](click.ParamType[T]):
    """Argument of a function of recorder/top/choice.py, which is not there before the command is run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: T | str, param: click.Parameter | None, ctx: click.Context | None) -> T:
        from llm_metrics_proxy.recorder.top import choice  # noqa: PLC0415 - see above

        if not isinstance(value, str):
            return value
        try:
            checked: T = getattr(choice, self.name)(value)
        except ValueError as error:
            self.fail(printable(str(error)), param, ctx)
        return checked


@click.command(name="llm-top", epilog=EXIT_CODES)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--minutes",
    type=click.IntRange(1, _MOST_MINUTES),
    default=60,
    show_default=True,
    help="How far back the calls go that are looked at.",
)
@click.option(
    "--by",
    type=_Checked[str]("dimension"),
    default="model",
    show_default=True,
    help="What the lines are: model, origin, provider, agent, session, project, kind, key or label:NAME.",
)
@click.option(
    "--where",
    "conditions",
    type=_Checked["Condition"]("condition"),
    multiple=True,
    metavar="NAME=VALUE",
    help="Only such calls: agent=codex, model='claude-*', label:team=search, project= (unknown); may be repeated.",
)
@click.option(
    "--watch",
    type=_Seconds(),
    is_flag=False,
    flag_value="2",
    metavar="[SECONDS]",
    help="Show the table again every so many seconds, 2 if none are given, until Ctrl-C.",
)
@json_option
@refusing
@_telling_why_not
def llm_top(  # noqa: PLR0913 - the options
    *, path: Path, minutes: int, by: str, conditions: tuple["Condition", ...], watch: float | None, as_json: bool
) -> None:
    """Show what the LLM calls of the last hour look like.

    For each model: requests, errors, the time to the first token (TTFT), tokens per second (median), tokens, cost, and
    when the last call was. What is not known is a dash. It only reads, also while the proxy runs.
    """
    from llm_metrics_proxy.recorder.top import watch as top_run  # noqa: PLC0415 - see above

    asked = top_run.Asked(timedelta(minutes=minutes), by, conditions)
    if watch is None:
        top_run.once(path, asked, as_json=as_json)
    else:
        raise SystemExit(top_run.again_and_again(path, asked, watch, as_json=as_json))


@click.command(name="llm-report", epilog=EXIT_CODES)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Where the page goes; - is stdout. An earlier report is overwritten, another file is not.",
)
@click.option(
    "--days",
    type=click.IntRange(1, _MOST_DAYS),
    default=7,
    show_default=True,
    help="How many times 24 hours back the report begins.",
)
@click.option("--force", is_flag=True, help="Overwrite what is no report, too.")
@refusing
@_telling_why_not
def llm_report(*, path: Path, output: str, days: int, force: bool) -> None:
    """Make a page of the LLM calls of the last days, to mail around.

    One HTML file that needs no network and no script: what they cost, how fast they began, why they failed; over time,
    by model, by origin, and against the days before. It only reads, also while the proxy runs.
    """
    from llm_metrics_proxy.recorder import report  # noqa: PLC0415 - see above

    report.run(path, output, days, force=force)


def _ago(length: object) -> str:
    try:
        return timestamps.bound(datetime.now(UTC) - parse_duration("What ago() got", str(length)))
    except BadDuration as error:
        logger.error(error)  # noqa: TRY400 - a sentence; SQLite only passes on that there was an error
        raise


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Give `sqlite-utils` the commands."""
    cli.add_command(llm_top)
    cli.add_command(llm_report)


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Give the connection `percentile(x, p)` and its like, and `ago(length)`, of lengths such as `15m` and `24h`."""
    percentile.register(conn)
    conn.create_function("ago", 1, _ago)

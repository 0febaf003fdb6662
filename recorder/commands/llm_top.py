"""`sqlite-utils llm-top`. Each `sqlite-utils` command imports this file: what it needs is imported when it runs."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, json_option, refusing
from llm_metrics_proxy.recorder.commands.to_stdout import telling_why_not

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.top import By

_SHORTEST, _LONGEST = 0.1, 86_400  # seconds between two tables
_MOST_MINUTES = 100 * 366 * 24 * 60


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
    type=click.Choice(["model", "origin", "provider"]),
    default="model",
    show_default=True,
    help="What the lines of the table are.",
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
@telling_why_not
def llm_top(*, path: Path, minutes: int, by: "By", watch: float | None, as_json: bool) -> None:
    """Show what the LLM calls of the last hour look like.

    For each model: requests, errors, the time to the first token (TTFT), tokens per second (median), tokens, cost, and
    when the last call was. What is not known is a dash. It only reads, also while the proxy runs.
    """
    from llm_metrics_proxy.recorder.top import watch as top_run  # noqa: PLC0415 - see above

    window = timedelta(minutes=minutes)
    if watch is None:
        top_run.once(path, window, by, as_json=as_json)
    else:
        raise SystemExit(top_run.again_and_again(path, window, by, watch, as_json=as_json))

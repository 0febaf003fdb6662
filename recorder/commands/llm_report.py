"""`sqlite-utils llm-report`. Each `sqlite-utils` command imports this file: what it needs is imported when it runs."""

from pathlib import Path

import click

from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, refusing
from llm_metrics_proxy.recorder.commands.to_stdout import telling_why_not

_MOST_DAYS = 3660


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
@telling_why_not
def llm_report(*, path: Path, output: str, days: int, force: bool) -> None:
    """Make a page of the LLM calls of the last days, to mail around.

    One HTML file that needs no network and no script: what they cost, how fast they began, why they failed; over time,
    by model, by origin, and against the days before. It only reads, also while the proxy runs.
    """
    from llm_metrics_proxy.recorder import report  # noqa: PLC0415 - see above

    report.run(path, output, days, force=force)

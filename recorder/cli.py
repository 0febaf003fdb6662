"""The commands of `llm-metrics`: what each takes and how it ends. What they do stands in a file of its own each."""

import click

from recorder import status as status_report
from recorder.database import get_db_path
from recorder.errors import RecorderError

_EXIT_CODES = """\b
Exit codes:
  0  done
  1  the database cannot be read; stderr says why in one sentence
  2  wrong usage
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
def main() -> None:
    """Look after the database of the LLM metrics proxy."""


@main.command(epilog=_EXIT_CODES)
@click.option("--db", metavar="PATH", help="The database; else environment LLM_METRICS_DB, else metrics.db here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def status(db: str | None, *, as_json: bool) -> None:
    """Show how the recording goes.

    That is: the size of the database and the period it covers, the recorder's counters, what was dropped and why,
    gaps, and the LLM-like traffic that no parser understood. It only reads, also while the proxy runs, and takes no
    longer for a large database.
    """
    try:
        found = status_report.collect(get_db_path(db))
    except RecorderError as error:
        raise click.ClickException(status_report.printable(str(error))) from error
    click.echo(status_report.as_json(found) if as_json else status_report.as_text(found))

"""`llm-metrics status`."""

import click

from recorder import status as status_report
from recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from recorder.database import get_db_path


@click.command(epilog=EXIT_CODES)
@database_option
@json_option
@refusing
def status(db: str | None, *, as_json: bool) -> None:
    """Show how the recording goes.

    That is: the size of the database and the period it covers, the recorder's counters, what was dropped and why,
    gaps, and the LLM-like traffic that no parser understood. It only reads, also while the proxy runs, and takes no
    longer for a large database.
    """
    found = status_report.collect(get_db_path(db))
    click.echo(status_report.as_json(found) if as_json else status_report.as_text(found))

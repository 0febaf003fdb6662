"""`llm-metrics status`."""

import click

from llm_metrics_proxy.recorder.care import status as status_report
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.database import get_db_path
from llm_metrics_proxy.recorder.writing import spill


@click.command(epilog=EXIT_CODES)
@database_option
@json_option
@refusing
def status(db: str | None, *, as_json: bool) -> None:
    """Show how the recording goes.

    That is: the size of the database and the period it covers, which recorders run and what they keep aside, the
    counters, what was dropped and why, gaps, the last backup, and the LLM-like traffic that no parser understood. It
    only reads, also while the proxy runs, and takes no longer for a large database.
    """
    path = get_db_path(db)
    try:
        found = status_report.collect(path)
    except RecorderError as error:
        folder = spill_folder.folder_of(path.resolve())
        if waiting := spill.waiting_bytes(folder):
            message = f"{error} Meanwhile {waiting:,} bytes of events are kept aside in {folder}."
            raise click.ClickException(printable(message)) from error
        raise
    click.echo(status_report.as_json(found) if as_json else status_report.as_text(found))

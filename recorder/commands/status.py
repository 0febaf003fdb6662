"""`llm-metrics status` and `llm-metrics check`: how the recording goes, and findings with their cures."""

import json
import sys

import click
import msgspec

from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder.care import check as checking
from llm_metrics_proxy.recorder.care import status as status_report
from llm_metrics_proxy.recorder.commands.common import (
    EXIT_CODES,
    SOMETHING_FOUND,
    database_option,
    json_option,
    refusing,
)
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


@click.command(epilog=f"{EXIT_CODES.rstrip()}\n  {SOMETHING_FOUND}  something was found; stdout says what\n")
@database_option
@click.option("--full", is_flag=True, help="Check everything, and what the indexes hold, however long it takes.")
@json_option
@refusing
def check(db: str | None, *, full: bool, as_json: bool) -> None:
    """Look for damage, impossible values, and what was left behind.

    That is: damaged pages, a schema that is not as it was made, rows that cannot be true, counters that do not add up,
    events that still wait in files, unfinished backups, files that other users can read. Each finding says what to do.
    It only reads, also while the proxy runs. After half a minute it ends, and says what of a large database it did not
    come to.
    """
    path = get_db_path(db)
    with progress.shown(f"Checking {path}"):
        findings, unchecked = checking.look(path, None if full else checking.SECONDS)
    if as_json:
        document = {"database": str(path), "findings": msgspec.to_builtins(findings), "unchecked": unchecked}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    else:
        for finding in findings:
            click.echo(printable(f"{finding.what}: {finding.cure}."))
        if not findings:
            click.echo("Nothing was found.")
        if unchecked:
            click.echo(f"There was no time for {'; '.join(unchecked)}. llm-metrics check --full takes it.")
    if findings:
        sys.exit(SOMETHING_FOUND)

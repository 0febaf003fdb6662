"""`llm-metrics check`."""

import json
import sys

import click
import msgspec

from llm_metrics_proxy.recorder.care import check as checking
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import get_db_path

SOMETHING_FOUND = 3


@click.command(epilog=f"{EXIT_CODES.rstrip()}\n  {SOMETHING_FOUND}  something was found; stdout says what\n")
@database_option
@json_option
@refusing
def check(db: str | None, *, as_json: bool) -> None:
    """Look for damage, impossible values, and what was left behind.

    That is: damaged pages, a schema that is not as it was made, rows that cannot be true, counters that do not add up,
    events that still wait in files, unfinished backups, files that other users can read. Each finding says what to do.
    It only reads, also while the proxy runs.
    """
    path = get_db_path(db)

    def say(what: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"Checking {what} ...", err=True)

    findings = checking.check(path, progress=say)
    if as_json:
        document = {"database": str(path), "findings": msgspec.to_builtins(findings)}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    else:
        for finding in findings:
            click.echo(printable(f"{finding.what}: {finding.cure}."))
        if not findings:
            click.echo("Nothing was found.")
    if findings:
        sys.exit(SOMETHING_FOUND)

"""`llm-metrics import`."""

import json
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import msgspec

from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder.care import importing
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.errors import ImportFailed
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import get_db_path


@click.command("import", epilog=EXIT_CODES)
@click.argument("old", type=click.Path(path_type=Path))
@database_option
@click.option("--timezone", metavar="NAME", help="Of times without one, such as Europe/Berlin; else this machine's.")
@click.option(
    "--backup-dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The only place for the backup, if the database has to be migrated first.",
)
@json_option
@refusing
def import_command(old: Path, db: str | None, timezone: str | None, backup_dir: Path | None, *, as_json: bool) -> None:
    """Read the calls of another database into ours.

    OLD is the database of the original llm-metrics-proxy, or one of ours of any version. It is only read, also while
    its program runs; the proxy may write into ours meanwhile. A second run inserts nothing twice, whatever time zone
    it is given. Rows with values that cannot be converted are left out and listed.
    """
    path = get_db_path(db)
    zone = None if timezone is None else _zone(timezone)
    with progress.shown(f"Importing {old}"):
        done = importing.import_calls(
            old.expanduser().absolute(), path, backup_dir=backup_dir, zone=zone, progress=progress.at
        )
    if as_json:
        document = {"source": str(old), "database": str(path), **msgspec.to_builtins(done)}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
        return
    click.echo(
        f"{done.read:,} calls were read: {done.inserted:,} inserted, {done.already_there:,} already there, "
        f"{done.skipped:,} skipped."
    )
    if done.times_left_out:
        click.echo(f"Times of tokens that cannot be true were left out of {done.times_left_out:,} of them.")
    for bad in done.bad_rows:
        click.echo(printable(f"  skipped id {bad.id}: {bad.reason}"))
    if done.skipped > len(done.bad_rows):
        click.echo(f"  and {done.skipped - len(done.bad_rows):,} more")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ImportFailed(what=f"There is no time zone {name[:100]!r}", cure="give one like Europe/Berlin") from error

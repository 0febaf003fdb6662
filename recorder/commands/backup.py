"""`llm-metrics backup`."""

import json
from pathlib import Path

import click

from llm_metrics_proxy.recorder.backup import backup as backup_file
from llm_metrics_proxy.recorder.backup import places, retention
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.commands.copying import existing_database, progress_bar
from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.reporting import printable


@click.command(epilog=EXIT_CODES)
@database_option
@click.option(
    "--to", "folder", metavar="FOLDER", type=click.Path(path_type=Path), help="The only place to use; none is deleted."
)
@json_option
@refusing
def backup(db: str | None, folder: Path | None, *, as_json: bool) -> None:
    """Make a verified copy of the database, while the proxy goes on recording.

    It goes into backups/ beside the database, or if that cannot be used into ~/.llm_metrics_proxy/backups/, where the
    five newest stay, and the newest of each version of the schema.
    """
    path = existing_database(db)
    with progress_bar("Copying") as progress:
        saved = backup_file.create(path, backup_dir=folder, progress=progress)
    removed = []
    try:
        removed = [] if folder else retention.apply(path)
    except BackupFailed as problem:  # of old ones; the new one is there
        click.echo(printable(str(problem)), err=True)
    size = saved.stat().st_size
    digest = places.read_digest(saved)
    if as_json:
        facts = {
            "database": str(path),
            "path": str(saved),
            "bytes": size,
            "sha256": digest.sha256 if digest else None,
            "removed": [str(one) for one in removed],
        }
        click.echo(json.dumps(facts, indent=2).replace("\x7f", "\\u007f"))
        return
    click.echo(f"{printable(str(saved))} ({size:,} bytes, verified)")
    for one in removed:
        click.echo(f"removed {printable(one.name)}, which is no longer needed")

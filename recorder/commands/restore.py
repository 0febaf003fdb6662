"""`llm-metrics restore`."""

import json
import sys
from pathlib import Path

import click

from llm_metrics_proxy.recorder import restore as restoring
from llm_metrics_proxy.recorder.backup import backups
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.commands.copying import progress_bar
from llm_metrics_proxy.recorder.errors import RestoreFailed
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import get_db_path


@click.command(epilog=EXIT_CODES)
@click.argument("backup", metavar="NAME_OR_PATH")
@database_option
@click.option(
    "--dir",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where NAME stands, and the only place for the backup of what is there now.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@refusing
def restore(backup: str, db: str | None, folder: Path | None, *, yes: bool, as_json: bool) -> None:
    """Put a backup back into the database, also while the proxy runs.

    NAME_OR_PATH is a name that `llm-metrics backups` shows, a path, or `latest`. What the database holds now is backed
    up first. If it is damaged, its files are moved aside instead, as soon as no recorder has it open.
    """
    path = get_db_path(db)
    chosen = _chosen(backup, path, folder)
    if not yes:
        if not sys.stdin.isatty():
            message = "Nobody can be asked here whether to replace the database: add --yes."
            raise click.UsageError(message)
        question = f"Replace what {printable(str(path))} holds with {printable(str(chosen))}?"
        click.confirm(question, abort=True, err=True)
    with progress_bar("Restoring") as progress:
        done = restoring.restore(path, chosen, backup_dir=folder, progress=progress)
    if as_json:
        facts = {
            "database": str(done.path),
            "backup": str(done.backup),
            "schema_version": done.schema_version,
            "safety_backup": str(done.safety) if done.safety else None,
            "set_aside": str(done.set_aside) if done.set_aside else None,
        }
        click.echo(json.dumps(facts, indent=2).replace("\x7f", "\\u007f"))
        return
    click.echo(f"{printable(str(done.path))} holds what {printable(done.backup.name)} held.")
    if done.safety:
        click.echo(f"What it held before is in {printable(str(done.safety))}.")
    if done.set_aside:
        click.echo(f"The damaged files are in {printable(str(done.set_aside))}.")


def _chosen(text: str, path: Path, folder: Path | None) -> Path:
    """The backup that `text` means."""
    if text != "latest" and Path(text).name != text:
        return Path(text).expanduser().absolute()
    found = backups.found(path, folder)
    if text == "latest":
        if not found:
            what = f"There are no backups of {path}"
            raise RestoreFailed(what=what, cure="give the path of one, or the folder with --dir")
        return found[0].path
    same = [file.path for file in found if file.path.name == text]
    if not same and Path(text).exists():
        return Path(text).absolute()
    if not same:
        what = f"There is no backup called {text}"
        raise RestoreFailed(what=what, cure="choose one of `llm-metrics backups`, or give a path")
    return same[0]

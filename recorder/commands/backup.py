"""`llm-metrics backup`, `backups` and `restore`: copies of the database, made, listed and put back."""

import json
import sys
from pathlib import Path

import click
import msgspec

from llm_metrics_proxy.recorder import backup as backup_file
from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder import restore as restoring
from llm_metrics_proxy.recorder.backup import backups as backup_list
from llm_metrics_proxy.recorder.backup import places, retention
from llm_metrics_proxy.recorder.care import salvaging
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.errors import BackupFailed, RestoreFailed
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import check_is_there, get_db_path

_VERIFIED = {None: "not asked", True: "yes", False: "NO"}
_HEADER = ("made at", "bytes", "schema", "verified", "name", "place")


def _existing_database(option: str | None) -> Path:
    """The database's path with symbolic links resolved.

    Raises:
        DatabaseRefused: nothing stands there.
    """
    path = get_db_path(option).resolve()
    check_is_there(path, cure="give the right path with --db")
    return path


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
    path = _existing_database(db)
    with progress.shown(f"Backing up {path}"):
        saved = backup_file.create(path, backup_dir=folder, progress=progress.at)
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


@click.command(epilog=EXIT_CODES)
@database_option
@click.option("--dir", "folder", metavar="FOLDER", type=click.Path(path_type=Path), help="Look in this folder alone.")
@click.option("--verify", is_flag=True, help="Read each through; exit code 1 if one cannot be put back.")
@json_option
@refusing
def backups(db: str | None, folder: Path | None, *, verify: bool, as_json: bool) -> None:
    """List the backups of the database, newest first; the database itself may be gone."""
    path = get_db_path(db).resolve()
    found = backup_list.found(path, folder, verified=verify)
    if as_json:
        facts = [msgspec.to_builtins(file, enc_hook=str) for file in found]
        click.echo(json.dumps({"database": str(path), "backups": facts}, indent=2).replace("\x7f", "\\u007f"))
    elif not found:
        click.echo(f"There are no backups of {printable(str(path))}.")
    else:
        _print(found)
    if any(file.verified is False for file in found):
        raise click.exceptions.Exit(1)


def _print(found: list[backup_list.BackupFile]) -> None:
    lines = [_HEADER] + [
        (
            file.made_at,
            f"{file.bytes:,}",
            "-" if file.schema_version is None else str(file.schema_version),
            _VERIFIED[file.verified],
            printable(file.path.name),
            printable(str(file.path.parent)),
        )
        for file in found
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(map(str.ljust, line, widths)).rstrip())
    for file in found:
        if file.problem:
            click.echo(printable(file.problem), err=True)


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
    up first. If it is damaged, its files are moved aside instead, as soon as no recorder has it open, and the calls
    that can still be read in them are added to those of the backup.
    """
    path = get_db_path(db)
    chosen = _chosen(backup, path, folder)
    if not yes:
        if not sys.stdin.isatty():
            message = "Nobody can be asked here whether to replace the database: add --yes."
            raise click.UsageError(message)
        question = f"Replace what {printable(str(path))} holds with {printable(str(chosen))}?"
        click.confirm(question, abort=True, err=True)
    with progress.shown(f"Restoring {path}"):
        done = restoring.restore(path, chosen, backup_dir=folder, progress=progress.at)
        damaged = done.set_aside / done.path.name if done.set_aside else None
        read = salvaging.read_back(done.path, damaged, done.backup, backup_dir=folder) if damaged else None
    if as_json:
        facts = {
            "database": str(done.path),
            "backup": str(done.backup),
            "schema_version": done.schema_version,
            "safety_backup": str(done.safety) if done.safety else None,
            "set_aside": str(done.set_aside) if done.set_aside else None,
            "read_back": read.inserted if read else 0,
        }
        click.echo(json.dumps(facts, indent=2).replace("\x7f", "\\u007f"))
        return
    click.echo(f"{printable(str(done.path))} holds what {printable(done.backup.name)} held.")
    if done.safety:
        click.echo(f"What it held before is in {printable(str(done.safety))}.")
    if done.set_aside:
        click.echo(f"The damaged files are in {printable(str(done.set_aside))}.")
    if read:
        click.echo(f"{read.read:,} calls could still be read in them, and {read.inserted:,} of these were added.")


def _chosen(text: str, path: Path, folder: Path | None) -> Path:
    """The backup that `text` means."""
    if text != "latest" and Path(text).name != text:
        return Path(text).expanduser().absolute()
    found = backup_list.found(path, folder)
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

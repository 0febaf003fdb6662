"""`llm-metrics backups`."""

import json
from pathlib import Path

import click
import msgspec

from llm_metrics_proxy.recorder.backup import backups as backup_list
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import get_db_path

_VERIFIED = {None: "not asked", True: "yes", False: "NO"}
_HEADER = ("made at", "bytes", "schema", "verified", "name", "place")


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

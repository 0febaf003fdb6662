"""`llm-metrics prune`."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from llm_metrics_proxy.recorder import backup, progress
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.database import get_db_path
from llm_metrics_proxy.recorder.store.timestamps import parse_duration
from llm_metrics_proxy.recorder.upkeep import prune as rebuilding
from llm_metrics_proxy.recorder.upkeep import prune as retention

_STAYS = (
    "The file does not shrink, since it was made by version 1; the space is used again. With --vacuum, and nothing "
    "else using the file, it is rebuilt once and shrinks from then on."
)


@click.command(epilog=EXIT_CODES)
@click.option("--older-than", metavar="AGE", help="Delete calls older than this: 90d, 12h, 4w.")
@click.option(
    "--before", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Delete calls before this moment, in UTC."
)
@database_option
@click.option(
    "--backup-dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The only place for the backup; else backups beside the database, else ~/.llm_metrics_proxy/backups.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--vacuum", is_flag=True, help="Then rebuild the file; nothing else may have it open.")
@json_option
@refusing
def prune(  # noqa: PLR0913 - the options
    older_than: str | None,
    before: datetime | None,
    db: str | None,
    backup_dir: Path | None,
    *,
    dry_run: bool,
    yes: bool,
    vacuum: bool,
    as_json: bool,
) -> None:
    """Delete old calls, after a backup.

    Runs while the proxy records: the database is locked for less than 50 ms at a time. What the recorder noted about
    that time (gaps, traffic nobody understood) is deleted with it. Backups keep the deleted calls until they are
    deleted themselves.
    """
    path = get_db_path(db)
    bound = _bound(older_than, before)
    old = retention.old(path, bound)
    result: dict[str, object] = {"database": str(path), "before": timestamps.bound(bound), "dry_run": dry_run}
    if dry_run:
        _say(
            as_json,
            result | msgspec.structs.asdict(old),
            f"{old.rows:,} calls would be deleted{_span(old)}.{_kept(old)}",
        )
        return
    if not yes:
        click.confirm(f"Delete {old.rows:,} calls{_span(old)}?", abort=True, err=True)
    with progress.shown(f"Pruning {path}"):
        saved = backup.create(path, backup_dir=backup_dir, progress=progress.at)
        progress.doing("deleting calls")
        done = retention.prune(path, bound, progress=lambda rows: progress.at(rows, old.rows))
        if vacuum:
            progress.doing("rebuilding the file")
            rebuilding.vacuum(path)
    size = path.stat().st_size
    result |= msgspec.structs.asdict(done) | {
        "backup": str(saved),
        "bytes_after": size,
        "vacuumed": done.vacuumed or vacuum,
    }
    text = (
        f"{done.rows:,} calls were deleted{_span(done)}; the longest lock was {done.longest_hold_ms:.0f} ms."
        f"{_kept(done)}\n"
        f"The file had {done.bytes_before:,} bytes and has {size:,}. The backup is {saved}."
    )
    _say(as_json, result, text if result["vacuumed"] else f"{text}\n{_STAYS}")


def _bound(older_than: str | None, before: datetime | None) -> datetime:
    if (older_than is None) == (before is None):
        message = "give --older-than or --before, and only one of them"
        raise click.UsageError(message)
    if before is not None:
        return before.replace(tzinfo=UTC)
    return datetime.now(UTC) - parse_duration("--older-than", older_than or "")


def _span(what: retention.Old | retention.Pruned) -> str:
    return f" (from {what.from_at} to {what.to_at})" if what.rows else ""


def _kept(what: retention.Old | retention.Pruned) -> str:
    return f" {what.kept:,} older calls are kept: an export has not sent them yet." if what.kept else ""


def _say(as_json: bool, document: dict[str, object], text: str) -> None:  # noqa: FBT001 - the command's own flag
    click.echo(json.dumps(document, indent=2) if as_json else text)

"""`llm-metrics migrate`."""

import json
from pathlib import Path

import click
import msgspec

from llm_metrics_proxy.recorder import progress, schema
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, json_option, refusing
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.schema import repair as repairing
from llm_metrics_proxy.recorder.schema.migrator import Plan, migrate_plan
from llm_metrics_proxy.recorder.store.account import last
from llm_metrics_proxy.recorder.store.database import START_SECONDS, get_db_path


@click.command(epilog=EXIT_CODES)
@database_option
@click.option(
    "--backup-dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The only place for the backup; else backups beside the database, else ~/.llm_metrics_proxy/backups.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--repair", is_flag=True, help="First undo what another program changed in our tables.")
@json_option
@refusing
def migrate(db: str | None, backup_dir: Path | None, *, dry_run: bool, repair: bool, as_json: bool) -> None:
    """Bring the database to the present schema version, after a backup, as every start does.

    All of it happens or nothing. A database that is not there is created.
    """
    path = get_db_path(db)
    if dry_run and repair:
        message = "--repair has no dry run"
        raise click.UsageError(message)
    with progress.shown(f"Migrating {path}"):
        repaired = repairing.repair(path, backup_dir=backup_dir) if repair else None
        plan = migrate_plan(path)
        if not dry_run:
            path = schema.prepare(path, backup_dir=backup_dir, lock_seconds=START_SECONDS)
    document = msgspec.to_builtins(plan) | {"dry_run": dry_run, "backup_file": None}
    if plan.backup and not dry_run:
        document["backup_file"] = last(path, "migrate")
    if repaired is not None:
        document["repaired"] = msgspec.to_builtins(repaired, enc_hook=str)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    if repaired is not None:
        click.echo(printable(_repaired(repaired)))
    click.echo(printable(_would(plan) if dry_run else _done(plan, document["backup_file"])))


def _would(plan: Plan) -> str:
    if not plan.exists:
        return f"{plan.path} would be created with schema version {plan.to_version}."
    if not plan.steps:
        views = f" {len(plan.views)} of its views differ from those of this release: all would be made anew."
        return f"{plan.path} has schema version {plan.to_version} already.{views if plan.views else ''}"
    steps = ", ".join(plan.steps)
    return f"{plan.path} with {plan.rows:,} calls would be backed up, and brought from schema version {plan.from_version} to {plan.to_version} ({steps})."  # noqa: E501


def _done(plan: Plan, saved: object) -> str:
    if not plan.exists:
        return f"{plan.path} was created with schema version {plan.to_version}."
    if not plan.steps:
        views = " Its views were made anew." if plan.views else ""
        return f"{plan.path} has schema version {plan.to_version} already.{views}"
    what = f"{plan.path} was brought from schema version {plan.from_version} to {plan.to_version}."
    return f"{what} The backup is {saved}." if saved else what


def _repaired(done: repairing.Repaired) -> str:
    if done.backup is None:
        return f"There was nothing to repair in {done.path}."
    text = f"{', '.join(done.tables) or 'Indexes'} of {done.path} were made again. The backup is {done.backup}."
    if done.dropped:
        text += f" Dropped, since they could not stay: {', '.join(done.dropped)}."
    return text

"""`llm-metrics rollup`."""

import sys
from contextlib import closing

import click

from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, refusing
from llm_metrics_proxy.recorder.figures import rollup as rolling
from llm_metrics_proxy.recorder.figures import rollup_check
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.database import get_db_path
from llm_metrics_proxy.recorder.store.slices import open_background


@click.command(epilog=EXIT_CODES)
@database_option
@click.option("--recount", is_flag=True, help="Count the days anew that differ from their rows.")
@refusing
def rollup(db: str | None, *, recount: bool) -> None:
    """Bring the roll-up up to date with the rows.

    A running proxy does this by itself within a minute. Days of which rows were pruned are never recounted.
    """
    path = get_db_path(db)
    with closing(open_background(path)) as connection:
        waiting, hidden = watermarks.waiting(connection, watermarks.ROLLUP), not sys.stderr.isatty()
        with click.progressbar(length=waiting, label="Adding up", file=sys.stderr, hidden=hidden) as bar:
            added = rolling.bring_up_to_date(connection, path, progress=lambda rows: bar.update(rows - bar.pos))
        click.echo(f"{added:,} rows were added to the roll-up.")
        if recount:
            days = rollup_check.recount(connection, path)
            click.echo(f"{len(days):,} days were counted anew{': ' if days else ''}{', '.join(days)}.")

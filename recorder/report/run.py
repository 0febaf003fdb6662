"""`llm-report` as its options say."""

from datetime import UTC, datetime
from pathlib import Path

import click

from llm_metrics_proxy.recorder.figures.quantities import many
from llm_metrics_proxy.recorder.printable import printable
from llm_metrics_proxy.recorder.report import content, output, page
from llm_metrics_proxy.recorder.store.reader import reader

STDOUT = "-"


def run(database: Path, target: str, days: int, *, force: bool) -> None:
    """Write a report of the last `days` times 24 hours to the file `target`, or to stdout if that is `-`.

    Raises:
        DatabaseRefused: there is nothing to report of.
        ReportFailed: it could not be written.
    """
    path = Path(target)
    if target != STDOUT:
        output.check(path, database, force=force)
    with reader(database) as connection:
        found = content.collect(connection, content.period(days, datetime.now(UTC)))
    text = page.render(found, database.name)
    if target == STDOUT:
        click.echo(text)
        return
    output.write(path, text)
    calls = found.total.requests if found.total else 0
    click.echo(f"{printable(target)}: {many(calls, 'call')}, {len(text.encode()) / 1000:,.0f} kB")

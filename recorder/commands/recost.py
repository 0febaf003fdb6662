"""`llm-metrics recost` and `llm-metrics rollup`: figures that are computed from the rows, brought up to date."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder.commands.common import (
    DAY,
    EXIT_CODES,
    Cells,
    bounds,
    database_option,
    json_option,
    prices_option,
    refusing,
    table,
)
from llm_metrics_proxy.recorder.figures import rollup as rolling
from llm_metrics_proxy.recorder.figures import rollup_check
from llm_metrics_proxy.recorder.prices import notes, price_file
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.database import get_db_path
from llm_metrics_proxy.recorder.store.slices import open_background

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.prices.recost_report import Lacking, ModelCosts, Recosted


_MOST_SHOWN = 50  # lines of each list
_WIDEST_NAME = 60
_INTERRUPTED = 130  # as of a program that Ctrl-C ended


@click.command(epilog=EXIT_CODES)
@click.option("--since", type=DAY, help="Only calls from this moment on, in UTC.")
@click.option("--until", type=DAY, help="Only calls before this moment, in UTC.")
@click.option("--model", metavar="GLOB", help="Only calls of models with such names: 'gpt-5*'.")
@click.option("--pending", is_flag=True, help="Only calls that were not looked at yet, as the recorder does.")
@prices_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@database_option
@json_option
@refusing
def recost(  # noqa: PLR0913 - the options
    since: datetime | None,
    until: datetime | None,
    model: str | None,
    prices: Path | None,
    db: str | None,
    *,
    pending: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compute anew what calls cost, and show what changed.

    Each call is priced as of its own moment: by the own prices, else by those of genai-prices. What a provider said
    itself stays. Runs while the proxy records: the database is then locked for less than 20 ms at a time. Ctrl-C ends
    it; what is done stays done. The recorder prices new calls by itself.
    """
    # They take 0.3 s and 30 MB, and few commands need them.
    from llm_metrics_proxy.recorder.prices import history  # noqa: PLC0415
    from llm_metrics_proxy.recorder.prices import recost as recosting  # noqa: PLC0415

    if pending and (since or until or model):
        message = "--pending looks at all calls that were not looked at yet: leave --since, --until and --model out"
        raise click.UsageError(message)
    path = get_db_path(db)
    own = price_file.load(prices, path)
    span = None if pending else history.Span(*bounds(since, until), model)
    with progress.shown(f"Pricing the calls of {path}"), _stopped_by_ctrl_c() as stop:
        found = recosting.recost(path, own, span, dry_run=dry_run, stop=stop, progress=progress.at)
    if as_json:
        document = {"database": str(path), "dry_run": dry_run, **msgspec.to_builtins(found)}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    else:
        click.echo("\n".join(_lines(found, dry_run=dry_run)))
    if found.stopped:
        raise SystemExit(_INTERRUPTED)


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets; a second one ends the program."""
    stop = threading.Event()

    def handle(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _lines(found: "Recosted", *, dry_run: bool) -> list[str]:
    would = "would get" if dry_run else "got"
    lines = [f"{found.calls:,} calls were looked at, {found.changed:,} {would} another cost."]
    if changed := [one for one in found.models if one.changed]:
        head = ("model", "calls", "changed", "before, $", "now, $", "lower bounds")
        lines += table(head, map(_cells, changed[:_MOST_SHOWN]))
        lines += _more(len(changed))
    lines += _reasons("Without a cost:", found.without_price)
    lines += _reasons("Their cost is a lower bound:", found.lower_bounds)
    if any(one.reason == notes.NO_PRICE for one in found.without_price):
        lines.append(
            f"Write prices of your own into {price_file.DEFAULT_NAME} beside the database; docs/costs.md says how."
        )
    if found.without_terms:
        lines.append(
            f"{found.without_terms:,} calls are from before version 6 of the schema, which kept no service tier: "
            "they are priced as if the ordinary one had served them."
        )
    if found.stopped:
        lines.append("Interrupted: what was done stays done. Run the same command again for the rest.")
    return lines


def _reasons(head: str, found: "tuple[Lacking, ...]") -> list[str]:
    if not found:
        return []
    calls = (
        f"  {_name(one.model or '(no model)')}, {_name(one.provider or '(no provider)')}: {one.calls:,} calls"
        f" ({notes.MEANINGS.get(one.reason, 'nothing was billed')})"
        for one in found[:_MOST_SHOWN]
    )
    return [head, *calls, *_more(len(found))]


def _dollars(sum_of_costs: float | None) -> str:
    return "-" if sum_of_costs is None else f"{sum_of_costs:,.6f}"


def _cells(one: "ModelCosts") -> Cells:
    before, now = _dollars(one.usd_before), _dollars(one.usd_now)
    return _name(one.model), f"{one.calls:,}", f"{one.changed:,}", before, now, f"{one.lower_bounds:,}"


def _more(of: int) -> list[str]:
    return [f"  and {of - _MOST_SHOWN:,} more"] if of > _MOST_SHOWN else []


def _name(text: str) -> str:
    return printable(text)[:_WIDEST_NAME]


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
        waiting = watermarks.waiting(connection, watermarks.ROLLUP)
        with progress.shown(f"Adding up the calls of {path}"):
            added = rolling.bring_up_to_date(connection, path, progress=lambda rows: progress.at(rows, waiting))
        click.echo(f"{added:,} rows were added to the roll-up.")
        if recount:
            with progress.shown(f"Comparing the roll-up of {path} with its rows"):
                days = rollup_check.recount(connection, path)
            click.echo(f"{len(days):,} days were counted anew{': ' if days else ''}{', '.join(days)}.")

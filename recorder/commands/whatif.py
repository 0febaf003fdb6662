"""`llm-metrics whatif`: what real calls would have cost as calls of other models, on another tier, without a cache."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from llm_metrics_proxy.recorder.prices import notes, price_file
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import get_db_path

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.prices.whatif import Line, WhatIf

_MOST_SHOWN: Final = 50  # lines
_WIDEST_NAME: Final = 60
_UNCERTAIN: Final = (
    "An estimate: another model cuts text into other tokens, answers at another length and caches otherwise; here each "
    "call keeps its own counts."
)
_CERTAIN: Final = "Each call keeps its own counts of tokens: nothing but its price is another one."


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Split what --model was given."""
    pairs = []
    for value in values:
        pattern, equals, model = value.partition("=")
        if not (pattern and equals and model):
            message = f"{printable(value)!r} is no PATTERN=MODEL: write it like 'claude-*=gpt-5-mini'"
            raise click.BadParameter(message)
        pairs.append((pattern, model))
    return tuple(pairs)


@click.command(epilog=EXIT_CODES)
@click.option(
    "--model",
    "models",
    metavar="PATTERN=MODEL",
    multiple=True,
    callback=_pairs,
    help="Only calls of models like PATTERN, as calls of MODEL, or of PROVIDER:MODEL; may be repeated.",
)
@click.option("--tier", help="As if this service tier had served them: flex, priority, batch, standard, ...")
@click.option("--cache", type=click.Choice(["0"]), help="0: as if nothing were read from a cache, or written to it.")
@click.option("--at", type=click.DateTime(["%Y-%m-%d"]), help="At the prices of this day; else of each call's own.")
@click.option("--since", type=DAY, help="Only calls from this moment on, in UTC.")
@click.option("--until", type=DAY, help="Only calls before this moment, in UTC.")
@prices_option
@database_option
@json_option
@refusing
def whatif(  # noqa: PLR0913 - the options
    models: tuple[tuple[str, str], ...],
    *,
    tier: str | None,
    cache: str | None,
    at: datetime | None,
    since: datetime | None,
    until: datetime | None,
    prices: Path | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Show what the recorded calls would have cost as calls of other models, on another tier or without a cache.

    Nothing is changed. What they cost is as recorded; what they would have cost is at list prices, or your own.
    """
    from llm_metrics_proxy.recorder.prices import history  # noqa: PLC0415 - 0.3 s and 30 MB, as the next
    from llm_metrics_proxy.recorder.prices import whatif as asking  # noqa: PLC0415

    if not models and tier is None and cache is None and at is None:
        message = "Say what would be otherwise: --model 'claude-*=gpt-5-mini', --tier flex, --cache 0 or --at DAY."
        raise click.UsageError(message)
    path = get_db_path(db)
    asked = asking.Otherwise(models, tier, no_cache=cache is not None, at=f"{at:%Y-%m-%d}" if at else None)
    with progress.shown(f"Pricing the calls of {path} otherwise"):
        span = history.Span(*bounds(since, until))
        found = asking.whatif(path, price_file.load(prices, path), span, asked)
    if as_json:
        document = {"database": str(path), **msgspec.to_builtins(found), "uncertainty": _sentence(models)}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    else:
        click.echo("\n".join([*_lines(found, with_cache=cache is not None), _sentence(models)]))


def _sentence(models: tuple[tuple[str, str], ...]) -> str:
    return _UNCERTAIN if models else _CERTAIN


def _lines(found: "WhatIf", *, with_cache: bool) -> list[str]:
    head: Cells = ("model", "prices of", "calls", "input", "output", "cost, $", "unknown", "would be, $", "unknown")
    head = (*head, "difference, $", *(("saved by reads, $", "spent on writes, $") if with_cache else ()))
    shown = [_cells(one, _named(one), _prices_of(one), with_cache=with_cache) for one in found.lines[:_MOST_SHOWN]]
    shown += [_cells(one, "total of plans" if one.plan else "total", "", with_cache=with_cache) for one in found.totals]
    lines = table(head, shown)
    if len(found.lines) > _MOST_SHOWN:
        lines.append(f"and {len(found.lines) - _MOST_SHOWN:,} more models, which are in the totals")
    if any("+" in cell for cells in shown for cell in cells[2:]):
        lines.append("+ at least: of some calls the cost is a lower bound or unknown.")
    if found.lacking:
        lines.append(f"Costs as they would be lack something: {notes.told(found.lacking)}.")
    if any(one.compared < one.calls for one in found.totals):
        lines.append("The difference is of the calls whose costs are both known.")
    if any("~" in cell for cells in shown for cell in cells[2:]):
        lines.append("~ a lower bound is among these costs.")
    if any(one.plan for one in found.totals):
        lines.append("Nobody pays for the calls of plans: both costs are at list prices.")
    if found.left_out:
        lines.append(f"Left out: {notes.told(found.left_out)}.")
    if found.not_billed:
        lines.append(f"Not billed: {found.not_billed:,} calls that failed.")
    lines += [f"No call has a model like {printable(one)!r}." for one in found.without_calls]
    return lines


def _named(line: "Line") -> str:
    return f"{printable(line.model)[:_WIDEST_NAME] or '(no model)'}{' (plan)' if line.plan else ''}"


def _prices_of(line: "Line") -> str:
    whose = {"": "no price", "file": price_file.DEFAULT_NAME}.get(line.prices_of, line.prices_of)
    return f"{printable(line.as_model)[:_WIDEST_NAME] or '(no model)'}, {whose}"


def _cells(line: "Line", name: str, prices_of: str, *, with_cache: bool) -> Cells:
    lower = line.was_lower_bounds + line.would_lower_bounds
    cells: Cells = (
        name,
        prices_of,
        f"{line.calls:,}",
        _count(line.input_tokens),
        _count(line.output_tokens),
        _dollars(line.usd_was, "+" if line.was_lower_bounds or line.was_unknown else ""),
        f"{line.was_unknown:,}",
        _dollars(line.usd_would, "+" if line.would_lower_bounds or line.would_unknown else ""),
        f"{line.would_unknown:,}",
        _dollars(line.difference_usd, "~" if lower else ""),
    )
    if with_cache:
        cells = (*cells, _dollars(line.saved_by_reads_usd), _dollars(line.spent_on_writes_usd))
    return cells


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens:,}"


def _dollars(usd: float | None, mark: str = "") -> str:
    return "-" if usd is None else f"{round(usd, 6) or 0.0:,.6f}{mark}"

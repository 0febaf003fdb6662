"""`llm-metrics prices`: bring the list up to date, show what a model costs, and name models without a price."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from llm_metrics_proxy.recorder.commands.common import (
    DAY,
    EXIT_CODES,
    SOMETHING_FOUND,
    database_option,
    json_option,
    prices_option,
    refusing,
)
from llm_metrics_proxy.recorder.prices import notes, price_file
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.database import get_db_path

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.prices.lookup import Quote, Rate, Unpriced

_MOST_SHOWN: Final = 50
_PER: Final = {1_000_000: "million", 1_000: "thousand", 3_600: "hour", 1_000_000_000: "billion"}
# The list of prices takes 0.3 s and 30 MB, so each command imports it when it runs.


@click.group()
def prices() -> None:
    """Bring the list of prices up to date, show what a model costs, name models without a price."""


@prices.command(epilog=EXIT_CODES)
@click.option("--url", help="Where from; else where genai-prices publishes its list.")
@database_option
@refusing
def update(url: str | None, db: str | None) -> None:
    """Fetch the newest list of genai-prices, and price by it from now on.

    It is kept beside the database, for all processes that price its calls. The one request is to the list's address:
    HTTPS_PROXY and SSL_CERT_FILE count. Nothing is fetched unless this command is run.
    """
    from llm_metrics_proxy.recorder.prices import newer_list  # noqa: PLC0415 - see above

    path, models = newer_list.update(get_db_path(db), url)
    click.echo(
        f"{path} has prices of {models:,} models. New calls are priced by it; llm-metrics recost does so with old ones."
    )


@prices.command(epilog=EXIT_CODES)
@click.argument("model")
@click.option("--provider", help="As in the column `provider`, or genai-prices' name; else all that have the model.")
@click.option("--at", type=DAY, help="The moment of the call, in UTC; else now.")
@click.option("--tier", default="", help="The service tier: flex, priority, batch, ...; else the ordinary one.")
@prices_option
@database_option
@json_option
@refusing
def show(  # noqa: PLR0913 - the options
    model: str,
    *,
    provider: str | None,
    at: datetime | None,
    tier: str,
    prices: Path | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Show what calls of MODEL are charged, and by which prices."""
    from llm_metrics_proxy.recorder.prices import lookup, newer_list  # noqa: PLC0415 - see above

    path = get_db_path(db)
    newer_list.use(path)
    moment = timestamps.bound((at or datetime.now(UTC)).replace(tzinfo=UTC))
    found = lookup.quotes(price_file.load(prices, path), model, provider, moment, tier)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    elif found:
        click.echo("\n\n".join(_shown(quote) for quote in found))
    if not found:
        of = f" of {provider}" if provider else ""
        message = (
            f"No price is known of {model!r}{of}: write one into {price_file.DEFAULT_NAME}; docs/costs.md says how."
        )
        raise click.ClickException(printable(message))


@prices.command(epilog=f"{EXIT_CODES}  {SOMETHING_FOUND}  there are models without a price\n")
@click.option("--days", type=click.IntRange(min=1), default=30, show_default=True, help="Only calls of so many days.")
@database_option
@json_option
@refusing
def check(days: int, db: str | None, *, as_json: bool) -> None:
    """Name the models that were called and have no price, and propose lines for prices.toml.

    Where another list has a model of that name, the lines are an alias: look if its prices are yours.
    """
    from llm_metrics_proxy.recorder.prices import lookup, newer_list  # noqa: PLC0415 - see above

    path = get_db_path(db)
    newer_list.use(path)
    found = lookup.unpriced(path, timestamps.bound(datetime.now(UTC) - timedelta(days=days)), _MOST_SHOWN)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2).replace("\x7f", "\\u007f"))
    elif found:
        click.echo("\n\n".join(map(_proposed, found)))
    else:
        click.echo("Every model that was called has a price.")
    if found:
        raise SystemExit(SOMETHING_FOUND)


def _shown(quote: "Quote") -> str:
    tier = f", {quote.tier}" if quote.tier else ""
    head = f"{quote.model}, {quote.provider or 'any provider'}, {quote.at[:10]}{tier}"
    rates = list(map(_rate, quote.rates)) or [f"  no price: {notes.MEANINGS.get(quote.note or '', 'none is known')}"]
    return printable_lines([head, *rates, f"  from {quote.source}"])


def _rate(rate: "Rate") -> str:
    above = "" if rate.above is None else f", if the input is more than {rate.above:,} tokens"
    per = _PER.get(rate.per, f"{rate.per:,}")
    return f"  {rate.quantity.replace('_', ' '):24}${rate.usd:g} for {'an' if per == 'hour' else 'a'} {per}{above}"


def _proposed(one: "Unpriced") -> str:
    counts = f"{one.calls:,} calls, {one.prompt_tokens:,} tokens of input and {one.completion_tokens:,} of output"
    return printable_lines([f"# {counts}, the last on {one.last_at[:10]}", *one.lines.splitlines()])


def printable_lines(lines: list[str]) -> str:
    """Return lines that steer no terminal."""
    return "\n".join(map(printable, lines))

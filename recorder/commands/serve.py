"""`llm-metrics serve`."""

from functools import partial

import click

from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, refusing, with_extra
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import get_db_path


@click.command(epilog=EXIT_CODES)
@click.option(
    "--prometheus",
    "address",
    metavar="ADDRESS",
    required=True,
    help="Where Prometheus finds /metrics: 127.0.0.1:9464, [::1]:9464, or :9464 for all addresses.",
)
@database_option
@refusing
def serve(address: str, db: str | None) -> None:
    """Serve what the calls add up to, for a Prometheus that asks.

    /metrics has counters and histograms of the calls by provider, model, operation, outcome and streaming, and how the
    recorders do; /healthz says whether the database can be read. Runs while the proxy records, until Ctrl-C or SIGTERM.
    The totals are kept in the database, so that neither a restart nor `prune` takes anything from them. One process
    for each database.
    """
    path = get_db_path(db)
    run = with_extra("llm_metrics_proxy.recorder.export.prometheus")
    say = partial(click.echo, err=True)
    run.serve(path, address, tell=lambda text: say(printable(text)), warn=lambda text: say(printable(text)))

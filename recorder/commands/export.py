"""`llm-metrics export` and `llm-metrics serve`: the calls and their sums, for servers that many hosts share."""

import functools
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, refusing, with_extra
from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.events import LABEL_NAME, MOST_LABELS
from llm_metrics_proxy.recorder.export import alone, telling
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store import exporters
from llm_metrics_proxy.recorder.store.database import get_db_path
from llm_metrics_proxy.recorder.store.slices import Slices, open_background

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.export import Destination


_NICENESS: Final = 10  # the proxy and its clients come first
_RATE: Final = 12_000  # rows a second: half of what a PostgreSQL on the same two cores takes


@click.group(epilog=EXIT_CODES)
def export() -> None:
    """Bring the calls to a server that many hosts share.

    Whatever ended an export, the next one goes on where it was. What it has not sent is not pruned, until it has not
    reached its server for seven days. `llm-metrics status` shows how each export stands.
    """


def _exporting(command: Callable[..., "Destination"]) -> Callable[..., None]:
    """The options that all exports have, around a function that makes the destination."""

    @click.option("--follow", is_flag=True, help="Then go on with the calls that come, until Ctrl-C or SIGTERM.")
    @click.option("--again", is_flag=True, help="Begin with the first row, as if nothing had been sent.")
    @click.option(
        "--rate",
        type=click.FloatRange(min=1),
        default=_RATE,
        show_default=True,
        metavar="ROWS",
        help="At most so many rows a second: history has time, and others need the CPU.",
    )
    @click.option(
        "--host-id",
        envvar="LLM_METRICS_HOST_ID",
        metavar="NAME",
        default=socket.gethostname,
        show_default="the name of this host",
        help="What this host is called there.",
    )
    @database_option
    @refusing
    @functools.wraps(command)
    def run(*, follow: bool, again: bool, rate: float, host_id: str, db: str | None, **arguments: object) -> None:
        path = get_db_path(db)
        destination = command(host_id=host_id, **arguments)
        loop = with_extra("llm_metrics_proxy.recorder.export.run")
        os.nice(_NICENESS)
        with telling.telling("Exporting") as told:
            done = loop.export(
                path, destination, follow=follow, again=again, rate=rate, stop=_stopped_by_signals(), progress=told
            )
        refused = f", {done.refused:,} were refused" if done.refused else ""
        click.echo(f"{done.sent:,} rows were sent to {printable(destination.name)}{refused}, {done.waiting:,} wait.")

    return run


def _stopped_by_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; a second one ends the process as it always does."""
    stop = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop


@export.command(epilog=EXIT_CODES)
@click.argument("dsn", envvar="LLM_METRICS_POSTGRES")
@_exporting
def postgres(*, dsn: str, host_id: str) -> "Destination":
    """Copy the rows into a PostgreSQL server.

    DSN is a URL (postgresql://user@host/database) or libpq's "host=... dbname=...", else environment
    LLM_METRICS_POSTGRES. Leave the password to PGPASSWORD or ~/.pgpass: arguments can be read by all users of a host.
    Tables and views are made there if they are missing. Each row is there once, however often this is run; a cost that
    comes later is brought later.
    """
    made: Destination = with_extra("llm_metrics_proxy.recorder.export.postgres").Postgres(dsn, host_id)
    return made


@export.command(epilog=EXIT_CODES)
@click.argument("endpoint", envvar="OTEL_EXPORTER_OTLP_ENDPOINT")
@click.option(
    "--protocol",
    type=click.Choice(["http/protobuf", "grpc"]),
    envvar="OTEL_EXPORTER_OTLP_PROTOCOL",
    default="http/protobuf",
    show_default=True,
)
@_exporting
def otlp(*, endpoint: str, protocol: str, host_id: str) -> "Destination":
    """Send spans and metrics to an OpenTelemetry collector.

    ENDPOINT is its base URL (http://collector:4318, with grpc http://collector:4317), else environment
    OTEL_EXPORTER_OTLP_ENDPOINT. OpenTelemetry's other variables (OTEL_EXPORTER_OTLP_HEADERS, ..._CERTIFICATE) count,
    too. Each call becomes a span, a child of the caller's own where it sent a traceparent. After an outage a span may
    come twice, with the same ids.
    """
    made: Destination = with_extra("llm_metrics_proxy.recorder.export.otlp").Otlp(endpoint, protocol, host_id)
    return made


@export.command(epilog=EXIT_CODES)
@click.argument("name")
@database_option
@refusing
def forget(name: str, db: str | None) -> None:
    """End an export for good: nothing is kept for it any more.

    NAME is what `llm-metrics status` calls it. If it is started again it begins with the first row.
    """
    path = get_db_path(db).resolve()
    with closing(open_background(path)) as connection, alone(path, name) as is_alone:
        if not is_alone:
            raise ExportFailed(what=f"The export to {name} runs", cure="end it first")
        with Slices(connection, path).hold():
            known = exporters.forget(connection, name)
    if not known:
        raise ExportFailed(what=f"There is no export to {name}", cure="give a name that llm-metrics status shows")
    click.echo(f"The export to {printable(name)} is forgotten.")


def _names(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for name in given:
        if not re.fullmatch(LABEL_NAME, name):
            message = f"{name!r} is no name of a label: write up to 32 small letters, digits, or one of _.-"
            raise click.BadParameter(message)
    if len(given) > MOST_LABELS:
        message = f"give at most {MOST_LABELS} names."
        raise click.BadParameter(message)
    return tuple(dict.fromkeys(given))


@click.command(epilog=EXIT_CODES)
@click.option(
    "--prometheus",
    "address",
    metavar="ADDRESS",
    required=True,
    help="Where Prometheus finds /metrics: 127.0.0.1:9464, [::1]:9464, or :9464 for all addresses.",
)
@click.option(
    "--label",
    "names",
    metavar="NAME",
    multiple=True,
    callback=_names,
    help="The name of a label of calls that are counted by its values, too; may be repeated.",
)
@database_option
@refusing
def serve(address: str, names: tuple[str, ...], db: str | None) -> None:
    """Serve what the calls add up to, for a Prometheus that asks.

    /metrics has counters and histograms of the calls by provider, model, operation, outcome and streaming, and how the
    recorders do; /healthz says whether the database can be read. Runs while the proxy records, until Ctrl-C or SIGTERM.
    The totals are kept in the database, so that neither a restart nor `prune` takes anything from them. One process
    for each database.
    """
    path = get_db_path(db)
    run = with_extra("llm_metrics_proxy.recorder.export.prometheus")
    say = partial(click.echo, err=True)
    run.serve(path, address, names, tell=lambda text: say(printable(text)), warn=lambda text: say(printable(text)))

"""`llm-metrics run`."""

import os
import re
import sys
from pathlib import Path

import click

from llm_metrics_proxy.recorder.client_setup import authority
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, refusing
from llm_metrics_proxy.recorder.errors import NoProgram, RunRefused
from llm_metrics_proxy.recorder.events import LABEL_NAME, LONGEST_LABEL, MOST_LABELS
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.running import INSIDE_A_RUN, CommandLine, listening
from llm_metrics_proxy.recorder.running.count import AUTO, MOST, workers_of

_LAST_PORT = 65_535


def _settings(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for setting in given:
        if "=" not in setting:
            message = f"{setting} has no value: write --set NAME=VALUE."
            raise click.BadParameter(message)
    return given


def _labels(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for one in given:
        name, equals, value = one.partition("=")
        if not (one.isprintable() and 0 < len(value if equals else name) <= LONGEST_LABEL) or {*";,"} & {*one}:
            message = f"{one!r} is no label: write up to {LONGEST_LABEL} printable characters without ; and ,."
            raise click.BadParameter(message)
        if equals and not re.fullmatch(LABEL_NAME, name):
            message = f"{name!r} is no name of a label: write up to 32 small letters, digits, or one of _.-"
            raise click.BadParameter(message)
    named = [one for one in given if "=" in one]
    if len(given) - len(named) > 1 or len(named) > MOST_LABELS:
        message = f"give one name of who calls, and at most {MOST_LABELS} labels as NAME=VALUE."
        raise click.BadParameter(message)
    return given


def _workers(_context: click.Context, _option: click.Parameter, given: str | None) -> int | None:
    try:
        return None if given is None else workers_of(given)
    except ValueError as error:
        message = f"{error}."
        raise click.BadParameter(message) from error


def _document(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path | None:
    if given is not None and not os.access(given.parent, os.W_OK | os.X_OK):
        message = f"{given.parent} is no folder that can be written: create it, or give another path."
        raise click.BadParameter(message)
    return given


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog=f"{EXIT_CODES.rstrip()}\nWith a PROGRAM the exit code is its own; 127: there is no such program.\n",
)
@click.option("--port", type=click.IntRange(0, _LAST_PORT), default=8080, show_default=True, help="0: any free one.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--db", metavar="PATH", help="The database; else environment LLM_METRICS_DB, else metrics.db here.")
@click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_settings,
    help="An option of mitmproxy or of the addon.",
)
@click.option("--mode", "modes", metavar="MODE", multiple=True, help="A mode of mitmproxy: reverse:http://HOST@PORT.")
@click.option(
    "--workers",
    "count",
    metavar="N",
    callback=_workers,
    help=f"Processes that share the port: 1 to {MOST}, or {AUTO} for one on each core. 1 by default.",
)
@click.option(
    "--drain",
    metavar="SECONDS",
    type=click.FloatRange(0, 86_400),
    default=300,
    show_default=True,
    help="For how long a worker that SIGHUP exchanges may finish its calls.",
)
@click.option(
    "--label",
    "labels",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=_labels,
    help="Who calls: NAME is the column origin of the program's rows, NAME=VALUE one of their labels.",
)
@click.option("--quiet", is_flag=True, help="Print no summary when the program has ended.")
@click.option(
    "--json",
    "document",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_document,
    help="Write the summary as JSON.",
)
@click.argument("words", metavar="[-- PROGRAM [ARGUMENT]...]", nargs=-1, type=click.UNPROCESSED)
@refusing
def run(  # noqa: PLR0913 - the options
    *,
    port: int,
    host: str,
    db: str | None,
    settings: tuple[str, ...],
    modes: tuple[str, ...],
    count: int | None,
    drain: float,
    labels: tuple[str, ...],
    quiet: bool,
    document: Path | None,
    words: tuple[str, ...],
) -> None:
    """Start the proxy, or run a PROGRAM whose calls go through it.

    Without a PROGRAM the proxy serves until Ctrl-C, and prints what to type in the other terminal. With one, its calls
    go through the proxy that serves on the port already, or else through one that is started for it and ends with it:

    llm-metrics run --label billing -- python app.py

    The program has the terminal, its signals and its exit code as if it had been started alone. One line on stderr sums
    its calls up when it has ended.
    """
    if os.environ.get(INSIDE_A_RUN):
        what = "This is inside llm-metrics run already, so calls made here are recorded"
        cure = f"start {words[0]} without llm-metrics run" if words else f"unset {INSIDE_A_RUN} for another proxy"
        raise RunRefused(what=what, cure=cure)
    asked = CommandLine(host, port, settings, modes, _database(db) if db else None)
    folder = asked.authority.parent  # mitmproxy opens its files before it loads the addon
    authority.check(folder, [folder / "config.yaml", folder / "config.yml"])
    if not words:
        for option, value in (("--label", labels), ("--json", document), ("--quiet", quiet)):
            if value:
                message = f"{option} is for a program: add -- PROGRAM, or leave it out."
                raise click.UsageError(message)
        _serve(asked, count or 1, drain)
    # The proxy alone has no use for these, and would listen 0.1 s later.
    from llm_metrics_proxy.recorder.running.one_run import run_program  # noqa: PLC0415
    from llm_metrics_proxy.recorder.running.program import end_like  # noqa: PLC0415

    several = None if count is None else (count, drain)
    try:
        code = run_program(asked, words, labels, document, several=several, quiet=quiet)
    except NoProgram as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(error.code)
    end_like(code)


def _database(given: str) -> Path:
    from llm_metrics_proxy.recorder.store.database import get_db_path  # noqa: PLC0415 - as above

    return get_db_path(given)


def _serve(asked: CommandLine, count: int, drain: float) -> None:
    """Become the proxy, or the parent of several workers."""
    if count == 1:
        if asked.port and asked.listens():
            listening.check(asked.host, asked.port)
        os.execv(asked.words[0], asked.words)  # noqa: S606 - a command of our own
    from llm_metrics_proxy.recorder.running import workers  # noqa: PLC0415 - one proxy alone has no use for it

    sys.exit(workers.serve(asked, count, drain))

"""One run of a program: a proxy for it, the program itself, and the summary of its calls."""

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import certifi
import click
import msgspec

from llm_metrics_proxy.recorder.client_setup.bundle import bundle_of, write_bundle
from llm_metrics_proxy.recorder.client_setup.proxy_url import without_password
from llm_metrics_proxy.recorder.client_setup.variables import program_environment
from llm_metrics_proxy.recorder.doctor import HTTPS_VARIABLES
from llm_metrics_proxy.recorder.errors import NoAuthority, RecorderError, RunRefused
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.running import INSIDE_A_RUN, CommandLine, program, until_unused
from llm_metrics_proxy.recorder.running.proxy import Proxy
from llm_metrics_proxy.recorder.running.summary import as_text, last_id, summary
from llm_metrics_proxy.recorder.store.database import get_db_path, is_file_of
from llm_metrics_proxy.recorder.store.files import write_result
from llm_metrics_proxy.recorder.upkeep import UpkeepProcess


def run_program(  # noqa: PLR0913 - the options
    asked: CommandLine,
    words: tuple[str, ...],
    labels: tuple[str, ...],
    document: Path | None,
    *,
    several: tuple[int, float] | None = None,
    quiet: bool,
) -> int:
    """Run the program and sum its calls up; return its exit code, or minus the number of the signal that ended it.

    `several` are the workers that its proxy is to have, and the seconds for which one may drain.

    Raises:
        RunRefused, NoProgram, NoAuthority: it was not started, for want of a proxy, of itself, or of the CA.
        DatabaseRefused: the database cannot be read.
    """
    path = program.find(words[0])
    database = asked.database or get_db_path()
    if document is not None and is_file_of(database, document):
        raise RunRefused(what=f"{document} belongs to the database", cure="write the summary to another file")
    proxy = Proxy(asked.host, asked.port, database, asked.authority, workers=several and several[0])
    exact = replace(asked, port=proxy.port, database=database)
    if several is None or several[0] == 1:
        command = [*exact.words, "-s", until_unused.__file__]
    else:
        command = exact.with_workers(*several)
    proxy.use(command, os.environ)
    _warn_of_another_proxy(proxy, asked)
    try:
        before = last_id(database)
        user = quote(";".join(labels), safe="")
        url = proxy.url.replace("://", f"://{user}:x@", 1) if labels else proxy.url
        environment = program_environment(os.environ, url, *_certificates(asked.authority))
        environment |= {INSIDE_A_RUN: "1", "LLM_METRICS_DB": str(database)}
        code = program.run(path, words, environment, proxy.descriptor)
    finally:
        proxy.leave()
    try:
        UpkeepProcess(database, asked.prices).look()
        found = summary(database, before, labels)
    except RecorderError as error:  # a fault of ours never changes how the program ended
        click.echo(f"llm-metrics: {printable(str(error))}", err=True)
        return code
    if document is not None:
        _write(document, {**msgspec.to_builtins(found), "exit_code": code, "database": str(database)})
    if not quiet:
        others = " (with those of other programs on this proxy)" if proxy.has_others and not labels else ""
        for line in (*proxy.said(), f"{as_text(found)}{others}"):
            click.echo(f"llm-metrics: {printable(line)}", err=True)
    return code


def _write(document: Path, fields: dict[str, object]) -> None:
    try:
        write_result(document, msgspec.json.format(msgspec.json.encode(fields)) + b"\n")
    except OSError as error:
        said = f"The summary could not be written to {document} ({error.strerror}): give another path with --json."
        click.echo(f"llm-metrics: {printable(said)}", err=True)


def _warn_of_another_proxy(proxy: Proxy, asked: CommandLine) -> None:
    """Say it if the environment has a way out of the network that the program would no longer take."""
    other = next((os.environ[name] for name in HTTPS_VARIABLES if os.environ.get(name)), None)
    if other is None or asked.modes or other.rstrip("/").endswith(proxy.address):
        return
    shown = printable(without_password(other))
    said = f"HTTPS_PROXY is {shown}, which calls go past now: to keep it, add --mode upstream:{shown}."
    click.echo(f"llm-metrics: {said}", err=True)


def _certificates(authority: Path) -> tuple[Path, Path]:
    """Return the file of certificates that clients trust, and that of the proxy's CA."""
    try:
        return bundle_of(authority) or write_bundle(authority, Path(certifi.where())), authority
    except OSError as error:
        what = f"The proxy's CA {authority} cannot be read ({error.strerror})"
        raise NoAuthority(what=what, cure="name its folder with --set confdir=FOLDER") from error

"""`llm-metrics doctor`."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from llm_metrics_proxy.recorder.client_setup import proxy_url
from llm_metrics_proxy.recorder.client_setup.authority import CA_NAME
from llm_metrics_proxy.recorder.commands.common import (
    EXIT_CODES,
    SOMETHING_FOUND,
    database_option,
    json_option,
    refusing,
)
from llm_metrics_proxy.recorder.doctor import Check, Circumstances, proxy_variables
from llm_metrics_proxy.recorder.doctor.examination import examine
from llm_metrics_proxy.recorder.store.database import get_db_path

_MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL", "untried": "-"}
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "untried": None}
_HTTPS_PORT = 443

proxy_option = click.option(
    "--proxy", metavar="URL", help=f"The proxy; else the variable HTTPS_PROXY, else {proxy_url.DEFAULT}."
)
ca_option = click.option(
    "--ca",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default=Path("~/.mitmproxy") / CA_NAME,
    show_default=True,
    help="The certificate of the proxy's CA.",
)


@click.command(epilog=f"{EXIT_CODES.rstrip()}\n  {SOMETHING_FOUND}  something is wrong; stdout says what\n")
@click.argument("host", required=False)
@proxy_option
@ca_option
@click.option("--python", metavar="PATH", help="The interpreter of your programs; else the first on the PATH.")
@database_option
@json_option
@refusing
def doctor(  # noqa: PLR0913 - the options
    host: str | None, proxy: str | None, ca: Path, python: str | None, db: str | None, *, as_json: bool
) -> None:
    """Tell why no rows come: run it in the terminal, and with the variables, of the program in question.

    It looks at the variables, at who answers at the proxy's port, at the CA and at what each client here trusts, at
    the database and its disk, and with HOST (api.openai.com, or its URL) whether the proxy reaches that host and reads
    what goes there. Each finding has a line `fix:`. Nothing is changed. A HOST that cannot be reached leaves a row, as
    every failed call does, of the origin llm-metrics-doctor.
    """
    name, port = _host(host)
    url = proxy or proxy_variables.guess(os.environ) or proxy_url.DEFAULT
    at = Circumstances(
        environment=dict(os.environ),
        url=url if "://" in url else f"http://{url}",
        authority=ca.expanduser().absolute(),
        database=get_db_path(db),
        database_is_given=bool(db or os.environ.get("LLM_METRICS_DB")),
        host=name,
        port=port,
        python=python,
    )
    _ = at.proxy  # refuses what is no URL
    checks = list(_as_json(at) if as_json else _as_text(examine(at)))
    if any(check.level == "fail" for check in checks):
        sys.exit(SOMETHING_FOUND)


def _host(text: str | None) -> tuple[str | None, int]:
    if text is None:
        return None, _HTTPS_PORT
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        if parts.hostname and parts.scheme == "https" and parts.hostname.isprintable() and " " not in parts.hostname:
            return parts.hostname, parts.port or _HTTPS_PORT
    except ValueError:
        pass
    message = f"{text!r} is no host: write it like api.openai.com."
    raise click.BadParameter(message)


def _as_json(at: Circumstances) -> list[Check]:
    checks = list(examine(at))
    document = {"proxy": proxy_url.without_password(at.url), "host": at.host, "checks": msgspec.to_builtins(checks)}
    click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    return checks


def _as_text(checks: Iterable[Check]) -> Iterator[Check]:
    counts = dict.fromkeys(_MARKS, 0)
    for check in checks:
        counts[check.level] += 1
        mark = click.style(f"{_MARKS[check.level]:<4}", fg=_COLOURS[check.level])
        click.echo(f"{mark}  {check.name:<19} {check.what}")
        if check.fix:
            click.echo(f"{'':27}fix: {check.fix}")
        yield check
    parts = [f"{counts['fail']} failed", f"{counts['warn']} to think about", f"{counts['untried']} not tried"]
    click.echo(f"{sum(counts.values())} checks: {', '.join(parts)}.")

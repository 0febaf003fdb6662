"""The start of the addon: options declared and checked, the recorder opened, the first words said.

What it needs of mitmproxy is handed to it. A start that cannot go on ends the process with one sentence.
"""

import gc
import io
import logging
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, Protocol

import certifi

from llm_metrics_proxy.addon import http_layer
from llm_metrics_proxy.addon.admission import Admission
from llm_metrics_proxy.addon.callers.who import Who
from llm_metrics_proxy.addon.starting import log_lines
from llm_metrics_proxy.addon.starting.greeting import facts, greeting, guard, public_addresses
from llm_metrics_proxy.addon.starting.log_lines import Complaints, quieten
from llm_metrics_proxy.addon.starting.settings import OPTIONS, BadOption, Settings, check_given, parse
from llm_metrics_proxy.recorder.client_setup.authority import CA_NAME, check
from llm_metrics_proxy.recorder.client_setup.bundle import write_bundle
from llm_metrics_proxy.recorder.client_setup.place import is_greeted
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import get_db_path

_FOR_CLIENTS = ("regular", "upstream")  # modes of mitmproxy that HTTPS_PROXY can name
_NO_PASSWORD = (None, "", "any")  # values of proxyauth that let everybody in
_YOUNG_COLLECTIONS = 2  # after which what survived one is looked at again; CPython's own: 10
_OTHER_COLLECTOR = (3, 14)  # from then on the same number says something else


class Loader(Protocol):
    """mitmproxy's loader."""

    def add_option(self, name: str, typespec: Any, default: object, help: str) -> None:  # noqa: A002, ANN401 - mitmproxy's
        """Declare an option."""


class Server(Protocol):
    """A server instance of mitmproxy."""

    @property
    def mode(self) -> Any:  # noqa: ANN401 - mitmproxy's
        """Has a `type_name`."""

    @property
    def listen_addrs(self) -> Iterable[tuple[Any, ...]]:
        """Host, port, and more for IPv6."""


def declare(loader: Loader, options: Any, terminal: logging.Handler | None) -> None:  # noqa: ANN401 - mitmproxy's
    """Declare the options, after a look at what was typed; `terminal` is what prints mitmproxy's log, and ours."""
    quieten()
    if terminal is not None and log_lines.wanted(options):
        terminal.setFormatter(log_lines.JsonLines())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # or warnings are not seen before the end, in a pipe or a file
    try:
        check_given(options.deferred)
    except BadOption as error:
        _refuse(error, options)
    for name, meaning in OPTIONS.items():
        loader.add_option(name, str | None, None, meaning)
    if not options.has_changed("flow_detail"):
        options.update(flow_detail=0)  # the default prints whole URLs, with the keys in them


def change(http: Any, tls: Any, options: Any) -> None:  # noqa: ANN401 - mitmproxy's
    """Change mitmproxy's layers as refusals need it. Without that nobody could be kept out, so a start ends."""
    try:
        http_layer.change(http, tls)
    except AttributeError as error:
        message = f"This mitmproxy is another than this release knows ({error}): install the one of requirements.txt."
        _refuse(ValueError(message), options)


def open_recorder(options: Any, complaints: Complaints) -> tuple[Settings, Path, Recorder]:  # noqa: ANN401 - mitmproxy's
    """Read the options and open the database; return the settings, the database's path and the recorder."""
    try:
        settings = parse({name: getattr(options, name) for name in OPTIONS})
        trusted = options.ssl_verify_upstream_trusted_ca
        check(authority(options).parent, [Path(trusted).expanduser()] if trusted else [])
        database = get_db_path(settings.database)
        recorder = Recorder(
            database,
            queue_size=settings.queue_size,
            backup_dir=settings.backup_dir,
            backup_interval=settings.backup_interval,
            retention=settings.retention,
            prices=settings.prices,
        )
        if refused := recorder.open(or_spill=settings.spills):
            sentence = f"Events are kept aside until the database can be used. {refused}"
            complaints.once("database_refused", sentence, database=str(database))
    except (BadOption, RecorderError) as error:
        _refuse(error, options)
    return settings, database, recorder


def admission(settings: Settings) -> Admission:
    """Return who gets in: this machine's names, the one where the proxy is published, and those of the options."""
    machine = socket.gethostname()
    short = machine.partition(".")[0]
    published = [settings.published[0]] if settings.published else []
    return Admission([machine, short, f"{short}.local", *published, *settings.allowed_hosts])


def who(settings: Settings, recorder: Recorder) -> Who:
    """Return what tells who spends, with the secret of the recorder's database."""
    return Who(recorder.secret(), settings.baggage_labels)


def authority(options: Any) -> Path:  # noqa: ANN401 - mitmproxy's
    """Return where the certificate of mitmproxy's CA is, or will be."""
    return Path(options.confdir).expanduser().absolute() / CA_NAME


def greet(
    options: Any,  # noqa: ANN401 - mitmproxy's
    servers: Iterable[Server],
    database: Path,
    complaints: Complaints,
    published: tuple[str, int] | None = None,
) -> None:
    """Say where the rows go and what to type, and warn about an address that others can reach.

    A worker of several says nothing where another one has. Where `published` is given clients reach the first server
    there, whatever it listens on: in a container that has to be every address, and what counts is the port outside.
    """
    bundle = write_bundle(authority(options), Path(options.ssl_verify_upstream_trusted_ca or certifi.where()))
    if is_greeted():
        return
    listening = [(server.mode.type_name, address[:2]) for server in servers for address in server.listen_addrs]
    if published is not None:
        listening = [(mode, published) for mode, _ in listening[:1]]
    if (public := public_addresses(address for _, address in listening)) and options.proxyauth in _NO_PASSWORD:
        cure = "publish it" if published else "let it listen"
        complaints.once(
            "public_address",
            f"The proxy listens on {', '.join(public)}, where others can reach it: "
            f"{cure} on 127.0.0.1, or add --set proxyauth=USER:PASSWORD.",
            addresses=public,
        )
    for name in options.deferred:  # all scripts are loaded by now, and mitmproxy says nothing of what nobody declared
        complaints.once("unknown_option", f"There is no option {name}: check its name.", option=name, about=name)
    for sentence in guard(authority(options).parent):
        complaints.once("ca_open_to_others", sentence, about=sentence)
    if bundle == authority(options):
        complaints.once(
            "bundle_not_written",
            f"{bundle.parent} cannot be written: SSL_CERT_FILE and the like name the proxy's CA alone, so clients that "
            "also call other hosts need a file with the public roots in it as well.",
            folder=str(bundle.parent),
        )
    addresses = [address for mode, address in listening if mode in _FOR_CLIENTS]
    said = greeting(database, addresses, bundle, authority(options))
    if log_lines.wanted(options):
        fields = facts(database, addresses, bundle, authority(options))
        said = log_lines.line("info", "started", f"Recording to {database}.", fields)
    print(said, flush=True)  # noqa: T201 - the one thing that a start says


def _refuse(error: Exception, options: Any) -> NoReturn:  # noqa: ANN401 - mitmproxy's
    said = f"llm-metrics: {error}"
    if log_lines.wanted(options):
        said = log_lines.line("error", "start_refused", str(error), {})
    sys.stdout.flush()
    print(said, file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)  # mitmproxy listens already: unwinding its loop would serve whoever waits, and print tracebacks


def collect_sooner() -> None:
    """Have the garbage collector leave out what has been loaded by now, which takes it 40 ms; look sooner at flows.

    Each flow of mitmproxy is a circle of some hundred objects: only the collector frees it. CPython's own thresholds
    leave flows that have ended lying for so long that memory is not used again while it is in the processor's caches.
    Measured on mitmproxy 12.2 with 32 connections: looking five times as often at what survived once saves 2 % of the
    CPU time of a request, and a few MB.
    """
    gc.freeze()
    young, _, old = gc.get_threshold()
    if sys.version_info < _OTHER_COLLECTOR:
        gc.set_threshold(young, _YOUNG_COLLECTIONS, old)

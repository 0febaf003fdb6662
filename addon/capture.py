"""The mitmproxy addon: options, hooks and stream taps. The only clock; it and the fast path alone know mitmproxy.

Three rules keep it invisible. Every body is streamed through, and a tap returns exactly what it was given, whatever
happens inside: a callable that raises, or returns None or b"", cuts the client's stream. Hosts that are no LLM's are
not decrypted. Nothing here waits: rows go to the recorder's queue.
"""

import asyncio
import functools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mitmproxy import addonmanager, connection, ctx, http, log, tls
from mitmproxy.addons import clientplayback
from mitmproxy.proxy import layer, layers, mode_specs, server_hooks
from mitmproxy.proxy.layers.http import HTTPMode

from llm_metrics_proxy.addon import http_layer
from llm_metrics_proxy.addon.admission import MISDIRECTED, Admission, Refusal, is_from_a_page, refused_by_proxy
from llm_metrics_proxy.addon.callers.labels import for_the_proxy, origin_in
from llm_metrics_proxy.addon.callers.who import NOBODY
from llm_metrics_proxy.addon.connections import Connections, Tunnel
from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.fastpath.layers import FastPath
from llm_metrics_proxy.addon.headers import LABEL_HEADER, Headers, basic_user, host_asked_for, origin_of, plain
from llm_metrics_proxy.addon.include_usage.asking import Asking, is_again
from llm_metrics_proxy.addon.include_usage.request import is_asked
from llm_metrics_proxy.addon.inflight import InFlight
from llm_metrics_proxy.addon.outcomes import Cause, cause_of
from llm_metrics_proxy.addon.providers import match
from llm_metrics_proxy.addon.providers.format import Route
from llm_metrics_proxy.addon.providers.hosts import provider_of
from llm_metrics_proxy.addon.providers.later import match_later
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.starting import start
from llm_metrics_proxy.addon.starting.log_lines import Complaints, log_what_is_read
from llm_metrics_proxy.addon.starting.settings import OPTIONS, Settings
from llm_metrics_proxy.addon.taps import observing
from llm_metrics_proxy.addon.unread import PassedUnread, is_gap, unreachable, unrecognised
from llm_metrics_proxy.addon.websocket_protocols import match_session, session_of
from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, answer
from llm_metrics_proxy.recorder.events import new_event_id, timestamp_of

_ATTEMPTS, _ATTEMPT_SECONDS = 100, 0.05
_TOGETHER_SECONDS = 5  # connections that pass unread within this time become one event for each host
_CREDENTIALS = "proxy-authorization"
_METHODS = ("GET", "POST")  # of calls, sessions, and answers that are fetched later
_SWITCHING_PROTOCOLS = 101
_REFUSED_NAMES = 10  # that are logged: who calls chooses them
_PROXY_AUTHENTICATION_REQUIRED = 407
_IS_HTTP = re.compile(rb"[A-Z]{1,10}( |$)").match  # as far as it has come


class _Arrived(NamedTuple):
    """A request whose headers have come, as far as they say who sent it and when; no provider sees what is in here."""

    at: int
    wall: int
    headers: Headers
    ours: Headers
    user: str | None


def _guarded[T](hook: Callable[["LLMMetrics", T], None]) -> Callable[["LLMMetrics", T], None]:
    """Count what a hook raises. mitmproxy would only log it, with a traceback for every request."""

    @functools.wraps(hook)
    def guard(self: "LLMMetrics", what: T) -> None:
        try:
            hook(self, what)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not reach mitmproxy
            self.calls.broken(hook.__name__, error)

    return guard


class LLMMetrics:
    """Records every LLM call that passes."""

    name = "llm_metrics"

    def __init__(self) -> None:
        self._complaints = Complaints()
        self.calls = InFlight(self._complaints, _later, time.monotonic_ns)
        self._asking = Asking(self.calls, time.monotonic_ns)
        self._settings: Settings | None = None
        self._admission = Admission()
        self._who = NOBODY
        self._database = Path()
        self._connections = Connections()
        self._passed = PassedUnread()
        self._fast_path = FastPath()
        self._closed = False

    # --- life cycle

    def load(self, loader: addonmanager.Loader) -> None:
        """Declare the options; a bad one ends the start."""
        termlog = ctx.master.addons.get("termlog")
        start.declare(loader, ctx.options, termlog.logger if termlog else None)
        start.change(layers.http, layers.tls, ctx.options)

    def configure(self, updated: set[str]) -> None:
        """Open the database; whatever is wrong with it ends the start."""
        if self.calls.recorder is None and updated & set(OPTIONS):
            opened = start.open_recorder(ctx.options, self._complaints)
            self._settings, self._database, self.calls.recorder = opened
            self._admission = start.admission(self._settings)
            self._who = start.who(self._settings, opened[2])

    def running(self) -> None:
        """Start recording and say so."""
        if self.calls.recorder is not None:
            self.calls.recorder.start()
            self._greet(_ATTEMPTS)
            start.collect_sooner()
            self._spare_records(ctx.master.addons)
            self._hasten(ctx.master.addons)

    def done(self) -> None:
        """Write what is open, and end: hooks of open flows come after this, and find nothing."""
        self._closed = True
        self._fast_path.switch_off()
        self._hand_over(self._passed)
        self.calls.end_all(Cause.PROXY_SHUTDOWN, time.monotonic_ns())
        if self.calls.recorder is not None:
            self.calls.recorder.close()

    # --- connections

    @_guarded
    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Keep what the client says of itself and of where it wants to go."""
        self._connections.tunnelled(flow.client_conn.id, _tunnel(flow))
        if flow.request.host == STATUS_HOST and flow.response is None:
            flow.response = http.Response(b"HTTP/1.1", 200, b"Connection established", http.Headers(), b"", None, 0, 0)

    @_guarded
    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        """Record a provider that could not be reached: no request will follow."""
        tunnel = self._connections.tunnel_of(flow.client_conn.id) or _tunnel(flow)
        host = tunnel.host
        provider = provider_of(host)
        refused = flow.response is not None and flow.response.status_code == _PROXY_AUTHENTICATION_REQUIRED
        if refused or (provider is None and not self._names(host)) or self._closed:
            return
        client, headers = _client(flow), plain(flow.request.headers.fields)
        self.calls.submit(
            unreachable(
                timestamp=timestamp_of(tunnel.wall),
                event_id=new_event_id(tunnel.wall // 1_000_000),
                waited_ns=time.monotonic_ns() - tunnel.at,
                provider=provider,
                host=f"{host}:{tunnel.port}",
                reason=flow.server_conn.error or (flow.error.msg if flow.error else None),
                headers=headers,
                origin=origin_of(origin_in(tunnel.user), headers.get(LABEL_HEADER), headers, client),
                client=client,
                labels=self._who.labels(headers, tunnel.user, headers, ()).json,
            )
        )

    @_guarded
    def client_disconnected(self, client: connection.Client) -> None:
        """Forget a client's connection."""
        self._connections.client_left(client.id)

    @_guarded
    def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Forget a provider's connection."""
        self._connections.server_left(data.server.id)

    @_guarded
    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Leave TLS alone that is no LLM's."""
        if self._settings is None or isinstance(data.context.client.proxy_mode, mode_specs.ReverseMode):
            return
        address = data.context.server.address
        if address and address[0] == STATUS_HOST:
            data.context.server.tls = False  # there is none, and mitmproxy would go and look for it
            data.context.client.alpn = b"http/1.1"  # where a request without a body is known by its headers
            return
        host = data.client_hello.sni or (address[0] if address else "")
        if not (self._settings.intercept_all or provider_of(host) or self._names(host)):
            data.ignore_connection = True
            if self._settings.tunnelled_hosts and self._passed.note(host, time.time_ns()):
                _later(_TOGETHER_SECONDS, functools.partial(self._hand_over, self._passed))

    @_guarded
    def next_layer(self, data: layer.NextLayer) -> None:
        """Take HTTP for HTTP that comes in small pieces, to an LLM's host.

        Without ALPN and with no end of its first line in the first piece, mitmproxy would pass it as something unknown.
        """
        client = data.context.client
        if data.layer is None and client.tls_established and not client.alpn and _IS_HTTP(data.data_client()):
            host = client.sni or ""
            if provider_of(host) or self._names(host):
                data.layer = layers.HttpLayer(data.context, HTTPMode.transparent)

    @_guarded
    def tls_failed_client(self, data: tls.TlsData) -> None:
        """Tell once for each host what to do about a client that does not trust the proxy's CA."""
        address = data.context.server.address
        if address and address[0] == STATUS_HOST:
            return  # who asks that wants to know just this
        host = data.conn.sni or (address[0] if address else None) or "?"
        self.calls.count("client_tls_failed")
        self._complaints.once(
            "certificate_refused",
            f"A client refused the proxy's certificate for {host}: let SSL_CERT_FILE, or the variable that it reads, "
            "name the file that was printed at the start.",
            about=host,
        )

    # --- exchanges

    @_guarded
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Stream the request, and begin an exchange if it may be an LLM's."""
        if is_again(flow):
            return
        if flow.response is not None:  # for want of a password
            _answer_first(flow)
            return
        flow.request.stream = True
        at, wall = time.monotonic_ns(), time.time_ns()
        headers = plain(flow.request.headers.fields)
        ours = for_the_proxy(headers)
        for private in (*ours, _CREDENTIALS):  # first of all: whatever fails below, these do not leave
            if private in headers:
                del flow.request.headers[private]
        said = {name: headers.pop(name) for name in ours}
        if flow.request.host == STATUS_HOST and not _is_reverse(flow):
            self._answer(flow, headers)
        elif (refusal := self._refusal(flow)) is not None:
            self._refuse(flow, refusal)
        elif flow.live and not self._closed:
            self._begin(flow, _Arrived(at, wall, headers, said, _proxy_user(flow, headers)))

    def _begin(self, flow: http.HTTPFlow, arrived: _Arrived) -> None:
        headers = arrived.headers
        method = flow.request.method
        if method not in _METHODS:
            return
        is_websocket = method == "GET" and headers.get("upgrade", "").lower() == "websocket"
        # The tunnel's address comes before the request's, which is where mitmproxy goes, not what was asked for.
        tunnel = self._connections.tunnel_of(flow.client_conn.id) or _tunnel(flow)
        host = host_asked_for(tunnel.host, None if _is_reverse(flow) else flow.client_conn.sni)
        path, _, query = flow.request.path.partition("?")
        named = self._names(host)
        route: Route[Any] | None = None
        if is_websocket:
            route = match_session(host, tunnel.port, path, query, named=named)
        elif method == "POST":
            route = match(host, tunnel.port, path, named=named)
        if route is None and not is_websocket:
            route = match_later(method, host, tunnel.port, path, named=named)
        if route is None:
            if (is_websocket or method == "POST") and (provider_of(host) or named) and is_gap(host, path):
                self.calls.submit(unrecognised(host, path, query, headers, timestamp_of(arrived.wall)))
            return
        client = _client(flow)
        user = arrived.user or tunnel.user
        opening = Opening(
            route=route,
            at=arrived.at,
            wall=arrived.wall,
            host=f"{host}:{tunnel.port}",
            path=path,
            query=query,
            headers=headers,
            origin=origin_of(origin_in(user), arrived.ours.get(LABEL_HEADER), headers, client),
            client=client,
            http_version=_version(flow),
            user=user,
            ours=arrived.ours,
            who=self._who,
        )
        if is_websocket:
            self.calls.begin(flow.id, session_of(opening))
        else:
            exchange = Exchange(opening)
            self.calls.begin(flow.id, exchange)
            if self._settings is not None and self._settings.include_usage and is_asked(route):
                self._asking.begin(flow, exchange, certain=route.known_host)
            else:
                flow.request.stream = observing(self.calls, exchange, exchange.asked, time.monotonic_ns)

    @_guarded
    def request(self, flow: http.HTTPFlow) -> None:
        """Note the end of the upload; forget what turns out not to be an LLM's."""
        if not is_again(flow) and (exchange := self.calls.exchange(flow.id)):
            if not flow.request.stream:
                self.calls.safely(
                    exchange, exchange.request_chunk, flow.request.raw_content or b"", time.monotonic_ns()
                )
            self.calls.safely(exchange, exchange.request_end, time.monotonic_ns())
            _let_go(flow.request)
            if not exchange.wanted:
                self.calls.forget(flow.id)
            elif not flow.request.stream:
                self._asking.ask(flow)

    @_guarded
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream the answer, whoever sent it."""
        if flow.response is None or flow.response.status_code == _SWITCHING_PROTOCOLS:
            return
        flow.response.stream = True
        if (exchange := self.calls.exchange(flow.id)) and not self._asking.holds(flow):
            at = time.monotonic_ns()
            headers = plain(flow.response.headers.fields)
            self.calls.safely(exchange, exchange.answer_head, flow.response.status_code, headers, at)
            server = flow.server_conn
            ready = server.timestamp_tls_setup or server.timestamp_tcp_setup
            exchange.connect_ms = self._connections.connect_ms(server.id, server.timestamp_start, ready)
            self._asking.answer(flow, exchange)

    async def response(self, flow: http.HTTPFlow) -> None:
        """Record an exchange that HTTP has completed; a call that our option may have spoilt is made again before."""
        try:
            await self._asking.again(flow, lambda other: clientplayback.ReplayHandler(other, ctx.options))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not reach mitmproxy
            self.calls.broken("again", error)
        self._answered(flow)

    @_guarded
    def _answered(self, flow: http.HTTPFlow) -> None:
        """Record an exchange that HTTP has completed, or a WebSocket that the provider did not open."""
        if flow.response is not None and flow.response.status_code != _SWITCHING_PROTOCOLS:
            at, status = time.monotonic_ns(), flow.response.status_code
            self.calls.not_opened(flow.id, status, f"http_{status}", at)
            self.calls.end(flow.id, Cause.COMPLETE, at)
            _let_go(flow.response)

    @_guarded
    def error(self, flow: http.HTTPFlow) -> None:
        """Record an exchange that was cut. That is no failure where the stream's own end had passed."""
        at = time.monotonic_ns()
        exchange = self.calls.exchange(flow.id)
        message = flow.error.msg if flow.error else ""
        idle = at - exchange.last_activity if exchange is not None else 0
        cause = cause_of(
            message,
            client_here=flow.client_conn.connected,
            uploading=exchange is not None and not exchange.request_complete,
            answered=exchange is not None and exchange.has_answer,
            connected=flow.server_conn.timestamp_tcp_setup is not None or flow.server_conn.via is not None,
            idle_too_long=idle >= ctx.options.tcp_timeout * 1_000_000_000,
        )
        self.calls.not_opened(flow.id, cause.status_without_answer, cause.value, at)
        self.calls.end(flow.id, cause, at, message)
        for part in (flow.request, flow.response):
            if part is not None:
                _let_go(part)

    @_guarded
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Record the responses that a message ends, and let mitmproxy forget all messages before it."""
        if flow.websocket is not None:
            message = flow.websocket.messages[-1]
            del flow.websocket.messages[:-1]
            self.calls.message(flow.id, message.content, time.monotonic_ns(), from_client=message.from_client)

    @_guarded
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """Record the responses that the end of the connection cuts."""
        by_client = flow.websocket is not None and flow.websocket.closed_by_client
        cause = Cause.CLIENT_DISCONNECT if by_client else Cause.UPSTREAM_DISCONNECT
        self.calls.end(flow.id, cause, time.monotonic_ns())

    # --- within

    def _answer(self, flow: http.HTTPFlow, headers: Headers) -> None:
        """Answer who asks whether this is us. mitmproxy would gather a body first, however long: cut those."""
        flow.request.stream = False
        if is_from_a_page(headers):
            flow.kill()  # as if there were no such name: an answer that no page may read would tell it that we are here
        elif flow.request.is_http2 or "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
            flow.kill()
        else:
            recorder = self.calls.recorder
            body = answer(recorder.process if recorder is not None else None)
            flow.response = http.Response.make(200, body, {"content-type": "application/json"})

    def _refusal(self, flow: http.HTTPFlow) -> Refusal | None:
        mode, asked = flow.client_conn.proxy_mode, http_layer.asked(flow.request)
        if asked is None:  # of a flow that somebody plays back
            return None
        if isinstance(mode, mode_specs.ReverseMode):
            return self._admission.refused_by_reverse(asked, mode.address[0], flow.client_conn.sockname[0])
        return refused_by_proxy(asked)

    def _refuse(self, flow: http.HTTPFlow, refusal: Refusal) -> None:
        self.calls.count("requests_refused")
        self._complaints.once(
            "request_refused", f"A request was refused. {refusal.sentence}", about=refusal.name, most=_REFUSED_NAMES
        )
        flow.response = http.Response.make(
            MISDIRECTED, f"{refusal.sentence}\n", {"content-type": "text/plain; charset=utf-8"}
        )
        _answer_first(flow)

    @_guarded
    def _hand_over(self, passed: PassedUnread) -> None:
        for event in passed.take():
            self.calls.submit(event)

    @_guarded
    def _greet(self, attempts: int) -> None:
        """Greet as soon as mitmproxy has its CA: it makes one at the very first start, after this addon runs."""
        if self._closed:
            return
        if attempts and not start.authority(ctx.options).is_file():
            asyncio.get_running_loop().call_later(_ATTEMPT_SECONDS, self._greet, attempts - 1)
        else:
            published = self._settings.published if self._settings else None
            servers = ctx.master.addons.get("proxyserver").servers
            start.greet(ctx.options, servers, self._database, self._complaints, published)

    @_guarded
    def _spare_records(self, addons: addonmanager.AddonManager) -> None:
        """Have no log records made that nobody reads; the old hook `add_log` reads all, where an addon has it."""
        is_read = any(hasattr(addon, "add_log") for addon in addons.lookup.values())
        log_what_is_read(None if is_read else getattr(log, "LegacyLogEvents", None))  # which is to vanish some day

    @_guarded
    def _hasten(self, addons: addonmanager.AddonManager) -> None:
        """Make mitmproxy faster, where it is one that we know."""
        wanted = self._settings.fast_path if self._settings else ()
        for name, reason in self._fast_path.switch_on(wanted, addons).items():
            self.calls.count(f"fast_path_{name}_off")
            sentence = f"The fast path leaves {name} to mitmproxy: {reason}. Nothing is lost but speed."
            self._complaints.once("fast_path", sentence, about=name)

    def _names(self, host: str) -> bool:
        return self._settings is not None and self._settings.names(host)


def _later(seconds: float, do: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, do)


def _let_go(message: http.Message) -> None:
    """Take the tap off a message that has passed: what it holds need not wait for the collector, as the flow has to."""
    if callable(message.stream):
        message.stream = True


def _answer_first(flow: http.HTTPFlow) -> None:
    """Let the answer that is there already go out before the request's body has come."""
    flow.request.headers.pop("expect", None)  # or the client would be told to send it
    flow.request.stream = True


def _tunnel(flow: http.HTTPFlow) -> Tunnel:
    user = _proxy_user(flow, plain(flow.request.headers.fields))
    return Tunnel(user, flow.request.host, flow.request.port, time.monotonic_ns(), time.time_ns())


def _is_reverse(flow: http.HTTPFlow) -> bool:
    return isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode)


def _proxy_user(flow: http.HTTPFlow, headers: Headers) -> str | None:
    authenticated = flow.metadata.get("proxyauth")  # mitmproxy has taken the header away if it asked for it
    return authenticated[0] if authenticated else basic_user(headers.get(_CREDENTIALS))


def _client(flow: http.HTTPFlow) -> str | None:
    return flow.client_conn.peername[0] if flow.client_conn.peername else None


def _version(flow: http.HTTPFlow) -> str:
    return flow.request.http_version.removeprefix("HTTP/").removesuffix(".0")

"""A layer is there only where mitmproxy is the one that it knows, and leaves nothing behind."""

import asyncio
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from h11 import _readers
from mitmproxy import addonmanager
from mitmproxy import http as mitmproxy_http
from mitmproxy.proxy import layer, mode_servers, server, tunnel
from mitmproxy.proxy.layers import http, tls
from mitmproxy.proxy.layers.http import _http1

from llm_metrics_proxy.addon import http_layer
from llm_metrics_proxy.addon.fastpath import bypass, dispatch, known, messages, proof, writes
from llm_metrics_proxy.addon.fastpath.layers import FastPath
from llm_metrics_proxy.addon.fastpath.names import BYPASS, DISPATCH, LAYERS, MESSAGES, WRITES


def _manager() -> addonmanager.AddonManager:
    made = addonmanager.AddonManager.__new__(addonmanager.AddonManager)
    made.chain, made.lookup = [], {}
    return made


def _switched(
    manager: addonmanager.AddonManager, wanted: tuple[str, ...] = LAYERS
) -> tuple[dict[str, str], bool, bool]:
    """Return what stayed off and why, and whether each layer was in place; afterwards none is."""
    plain = vars(server.ConnectionHandler).get("server_event")

    async def switch() -> tuple[dict[str, str], bool, bool]:
        fast = FastPath()
        refused = fast.switch_on(wanted, manager)
        there = "trigger_event" in vars(manager), vars(server.ConnectionHandler).get("server_event") is not plain
        fast.switch_off()
        return refused, *there

    found = asyncio.run(switch())
    assert vars(server.ConnectionHandler).get("server_event") is plain
    return found


def test_all_layers_know_the_mitmproxy_that_is_installed() -> None:
    manager = _manager()
    assert _switched(manager) == ({}, True, True)
    assert "trigger_event" not in vars(manager)


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_can_be_alone(layer: str) -> None:
    assert _switched(_manager(), (layer,)) == ({}, layer == DISPATCH, layer in {WRITES, BYPASS})


def test_none_is_none() -> None:
    assert _switched(_manager(), ()) == ({}, False, False)


def _owner(module: ModuleType, name: str) -> object:
    return module if "." not in name else getattr(module, name.partition(".")[0])


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapping(*given: object, **named: object) -> object:
        return function(*given, **named)

    return wrapping


_RELIED_ON = {DISPATCH: known.DISPATCH, WRITES: known.WRITES, BYPASS: known.BYPASS, MESSAGES: known.MESSAGES}


@pytest.mark.parametrize(
    ("layer", "owner", "name"),
    [
        *(
            (of, _owner(module, name), name.rpartition(".")[2])
            for of, digests in _RELIED_ON.items()
            for module, names in digests.items()
            if module is not server
            for name in names
        ),
        (WRITES, server.ConnectionHandler, "server_event"),
        (WRITES, server.ConnectionHandler, "drain_writers"),
        (WRITES, server.LiveConnectionHandler, "__init__"),
        (WRITES, mode_servers.ProxyConnectionHandler, "handle_hook"),
        (BYPASS, server.ConnectionHandler, "server_event"),
        (BYPASS, http.HttpStream, "state_stream_response_body"),
        (BYPASS, http.HttpLayer, "event_to_child"),
        (BYPASS, _http1.Http1Connection, "read_body"),
        (BYPASS, _http1.Http1Server, "send"),
        (BYPASS, tls.TLSLayer, "receive_data"),
        (BYPASS, tunnel.TunnelLayer, "event_to_child"),
        (BYPASS, layer.Layer, "handle_event"),
        (BYPASS, _readers.ChunkedReader, "__call__"),
    ],
)
@pytest.mark.parametrize("how", ["gone", "another", "wrapped"])
def test_where_mitmproxy_differs_the_layer_stays_away(
    layer: str, owner: object, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "gone":
        monkeypatch.delattr(owner, name)
    elif how == "another":
        monkeypatch.setattr(owner, name, lambda *_: None)
    else:
        monkeypatch.setattr(owner, name, _wrapped(getattr(owner, name)))
    refused, *there = _switched(_manager(), (layer,))
    assert list(refused) == [layer]
    assert there == [False, False]


def test_a_manager_whose_method_is_anothers_is_left_alone() -> None:
    manager = _manager()

    async def others(_event: object) -> None:
        return

    vars(manager)["trigger_event"] = others
    refused, *_ = _switched(manager, (DISPATCH,))
    assert refused == {DISPATCH: "another addon has replaced trigger_event"}
    assert manager.trigger_event is others


def test_a_dispatch_that_forgets_an_addon_fails_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "hasattr", lambda *_: False, raising=False)
    assert _switched(_manager(), (DISPATCH,))[0] == {DISPATCH: "dispatch did not do what mitmproxy does"}


def test_a_writer_that_forgets_the_order_fails_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: writes.Held, writer: writes.HoldingWriter, data: bytes) -> None:
        if self._writer is writer:
            self._pieces.append(data)
        elif self._writer is None:
            self._writer, self._pieces = writer, [data]
        else:
            writer.send(data)

    monkeypatch.setattr(writes.Held, "take", take)
    assert _switched(_manager(), (WRITES,))[0] == {WRITES: "writes did not do what mitmproxy does"}


def test_a_bypass_that_forgets_the_tap_fails_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bypass, "callable", lambda _: False, raising=False)
    assert _switched(_manager(), (BYPASS,))[0] == {BYPASS: "bypass did not do what mitmproxy does"}


def test_a_bypass_that_is_never_taken_fails_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bypass, "lane_from", lambda *_: None)
    assert _switched(_manager(), (BYPASS,))[0] == {BYPASS: "bypass finds no way past mitmproxy's layers"}


def test_messages_that_are_judged_by_fewer_types_fail_their_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_USUAL", {kind: {} for kind in messages._USUAL})  # noqa: SLF001 - a proof has to fail
    assert _switched(_manager(), (MESSAGES,))[0] == {MESSAGES: "messages did not do what mitmproxy does"}


@pytest.mark.parametrize("switch_on", [True, False])
def test_a_message_with_a_field_of_another_type_is_refused(switch_on: bool) -> None:  # noqa: FBT001
    remove = messages.install() if switch_on else lambda: None
    try:
        with pytest.raises(TypeError, match="Expected <class 'bytes'> for reason, but got <class 'str'>"):
            mitmproxy_http.ResponseData(b"HTTP/1.1", mitmproxy_http.Headers(), None, None, 0.0, None, 200, "OK")  # type: ignore[arg-type]
    finally:
        remove()


def test_what_we_change_of_mitmproxy_ourselves_is_known() -> None:
    http_layer.change(http, tls)
    assert _switched(_manager()) == ({}, True, True)


def test_a_proof_that_breaks_keeps_its_layer_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_handler", lambda _: None)
    assert _switched(_manager(), (WRITES,))[0] == {WRITES: "AttributeError"}

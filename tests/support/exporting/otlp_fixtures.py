"""Fixtures for the tests of OTLP: a pytest plugin that they name."""

from collections.abc import Iterator

import pytest

from llm_metrics_proxy.recorder.export.otlp import Otlp
from tests.support.exporting import otlp_receiver
from tests.support.exporting.otlp_receiver import Receiver
from tests.support.exporting.otlp_rows import connected


@pytest.fixture
def no_otlp_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment leads elsewhere."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def http_server() -> Iterator[Receiver]:
    with otlp_receiver.by_http() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def grpc_server() -> Iterator[Receiver]:
    with otlp_receiver.by_grpc() as receiver:
        yield receiver


@pytest.fixture
def receiver(http_server: Receiver) -> Receiver:
    http_server.asked.clear()
    return http_server


@pytest.fixture
def otlp(receiver: Receiver) -> Iterator[Otlp]:
    """A destination that is connected to `receiver`, which has forgotten how."""
    with connected(receiver) as to:
        receiver.asked.clear()
        yield to

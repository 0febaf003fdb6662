"""What a start says does not hide what it could not do."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from llm_metrics_proxy.addon.starting import start
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.recorder.client_setup.bundle import BUNDLE_NAME


def _greet(confdir: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    options = SimpleNamespace(confdir=str(confdir), ssl_verify_upstream_trusted_ca=None, proxyauth=None, deferred={})
    server = SimpleNamespace(mode=SimpleNamespace(type_name="regular"), listen_addrs=[("127.0.0.1", 8080)])
    with caplog.at_level(logging.WARNING):
        start.greet(options, [server], confdir / "metrics.db", Complaints())
    return caplog.messages


def test_a_bundle_that_cannot_be_written_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (warning,) = _greet(tmp_path / "missing", caplog)
    assert "public roots" in warning
    assert BUNDLE_NAME not in capsys.readouterr().out


def test_a_bundle_that_was_written_needs_no_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mitmproxy-ca-cert.pem").write_text("the proxy's\n")
    assert _greet(tmp_path, caplog) == []
    assert BUNDLE_NAME in capsys.readouterr().out

"""Fixtures of the micro-benchmarks."""

import pytest


@pytest.fixture(autouse=True)
def _no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be written to a default place."""
    monkeypatch.setenv("TESTING", "true")

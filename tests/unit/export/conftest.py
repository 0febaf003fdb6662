"""A database to export, and exports that wait no longer than they have to."""

from pathlib import Path

import pytest

from tests.support.exporting.following import MakeEvent, fill, hurry


@pytest.fixture
def filled(current_db: Path, make_event: MakeEvent) -> Path:
    """A database with some batches of rows."""
    return fill(current_db, make_event)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for longer than it has to be."""
    hurry(monkeypatch)

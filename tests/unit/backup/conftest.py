"""A backup to put back."""

from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup
from tests.unit.backup.restored import fill


@pytest.fixture
def saved(current_db: Path, tmp_path: Path) -> Path:
    """A backup with `new` rows of a database that now has `old` ones."""
    fill(current_db, "new")
    made = backup.create(current_db, backup_dir=tmp_path / "saved")
    fill(current_db, "old")
    return made

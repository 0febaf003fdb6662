"""Ways to spoil a backup, for tests of what is found and kept."""

import os
from pathlib import Path


def without_digest(saved: Path) -> None:
    Path(f"{saved}.sha256").unlink()


def truncated(saved: Path) -> None:
    os.truncate(saved, saved.stat().st_size - 4096)


def of_text(saved: Path) -> None:
    saved.write_text("This is no database, but a text that is a little longer than the header of one.\n" * 2)

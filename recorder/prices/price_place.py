"""Where the file of own prices is; what is in it is for price_file.py, which most proxies need not load."""

from pathlib import Path
from typing import Final

DEFAULT_NAME: Final = "prices.toml"


def place(chosen: Path | None, database: Path) -> Path | None:
    """The file that was chosen, whether or not it is there, else the one beside the database if it is; else None."""
    if chosen is not None:
        return chosen
    try:
        beside = database.resolve().parent / DEFAULT_NAME
    except (OSError, ValueError):  # it can be no path, which the start says better
        return None
    return beside if beside.is_file() else None

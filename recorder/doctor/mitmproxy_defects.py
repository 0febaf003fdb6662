"""Versions of mitmproxy with defects that matter to the recording."""

from importlib import metadata
from typing import Final

type Version = tuple[int, ...]

# Since which version it can be lived with, and what it does before.
DEFECTS: Final[tuple[tuple[Version, str], ...]] = (
    (
        (12, 2, 1),
        "calls that say nothing for ten minutes are cut, and no option changes that (tcp_timeout came with 12.2.1)",
    ),
)


def installed() -> str | None:
    """Return the version that is installed beside this program."""
    try:
        return metadata.version("mitmproxy")
    except metadata.PackageNotFoundError:
        return None


def defects_of(version: str) -> list[str]:
    """Return what is known to be wrong with a version."""
    numbers = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:3])
    return [what for fixed, what in DEFECTS if numbers < fixed]

"""Tables of docs/clients.md, which the trial writes."""

import re
from collections.abc import Iterable, Mapping, Sequence

from tests.support.proxy import ROOT

PATH = ROOT / "docs" / "clients.md"
_RUNTIMES = ("Python", "Node")


class Page:
    """One of the page's tables, known by its head."""

    def __init__(self, head: Sequence[str]) -> None:
        self.head = head
        self._pattern = re.compile(rf"^\| {re.escape(' | '.join(head))} \|\n(?:\|.*\n)+", re.MULTILINE)

    def table(self, lines: Iterable[Sequence[str]]) -> str:
        """Return a table of these lines."""
        rows = [self.head, ["---"] * len(self.head), *lines]
        written = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        return re.sub(r"\|  (?=\|)", "| ", written)

    def lines_of(self, text: str) -> list[list[str]]:
        """Return the lines of the table in the page's `text`, without its head."""
        (found,) = self._pattern.findall(text)
        return [[cell.strip() for cell in row.strip("|\n").split("|")] for row in found.splitlines()[2:]]

    def write(self, table: str) -> None:
        """Put this table into the page in the place of the one that is there."""
        text = PATH.read_text()
        new, count = self._pattern.subn(lambda _: table, text)
        if count != 1:
            msg = f"{PATH.name} has {count} tables that begin with {self.head[0]}"
            raise ValueError(msg)
        PATH.write_text(new)


def named(versions: Mapping[str, str], packages: Iterable[str]) -> tuple[str, str]:
    """Return what was tried, with its versions, and what it ran on."""
    names = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in _RUNTIMES)
    runtime = " ".join(f"{name} {version}" for name, version in versions.items() if name in _RUNTIMES)
    return names or " ".join(packages), runtime

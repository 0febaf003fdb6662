"""Secrets that are planted in exchanges, and the search for them afterwards.

Each holds the same mark, so that one search of a file finds any part of any of them, in any of the spellings in which
somebody may have quoted it.
"""

import json
import random
import re
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

MARK: Final = "Zq7XwPlanted"
PASSWORD: Final = f"pass-{MARK}/word"  # of the proxy's URL

_OVERLAP = 256
_PIECE = 1 << 20


def _in_base64(text: str) -> list[str]:
    """Return a text as it looks inside of base64, wherever it begins: the signs that depend on it alone."""
    found = []
    for before in range(3):
        encoded = b64encode(b"\0" * before + text.encode()).decode()
        found.append(encoded[(before * 8 + 5) // 6 : (before + len(text)) * 8 // 6])
    return found


_SPELLINGS = [MARK, MARK.lower(), "".join(f"%{ord(sign):02x}" for sign in MARK), *_in_base64(MARK)]
_SPELLINGS += ["".join(rf"\u{ord(sign):04x}" for sign in MARK), "".join(f"&#{ord(sign)};" for sign in MARK)]
_FOUND = re.compile(b"|".join(re.escape(one.encode()) for one in _SPELLINGS), re.IGNORECASE)

QUOTED: Final[tuple[Callable[[str], str], ...]] = (
    lambda secret: secret,
    lambda secret: quote(secret, safe=""),
    lambda secret: quote(quote(secret, safe=""), safe=""),
    lambda secret: "".join(f"%{ord(sign):02x}" for sign in secret),
    lambda secret: "".join(rf"\u{ord(sign):04x}" for sign in secret),
    lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    lambda secret: "".join(f"&#{ord(sign)};" for sign in secret),
    lambda secret: b64encode(f"{secret}:".encode()).decode(),
    lambda secret: b64encode(secret.encode()).decode(),
)
"""How a provider may spell what it quotes."""


def secret(numbers: random.Random) -> str:
    """Make one; some have the shape of a key, others hold signs that others spell."""
    shape = numbers.choice(("sk-proj-{}{}", "{}+/{}=", 'own "{}" & {}', "{}-{}", "AIza{}_{}"))
    return shape.format(MARK, f"{numbers.getrandbits(64):x}")


def found_in_text(text: str) -> bool:
    """Tell whether a text holds any part of a secret."""
    return _FOUND.search(text.encode("utf-8", "surrogatepass")) is not None


def found_in(path: Path) -> list[str]:
    """Return what a file holds of secrets, each with what stands around it."""
    found, before = [], b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            data = before + piece
            found += [repr(data[max(0, one.start() - 80) : one.end() + 40]) for one in _FOUND.finditer(data)]
            before = data[-_OVERLAP:]
    return found


def text_columns(database: Path) -> list[tuple[str, str]]:
    """Return every column of a database's tables that holds texts by its type, or may hold anything."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return [
            (table, column)
            for table, column, kind in connection.execute(
                "SELECT tables.name, columns.name, columns.type FROM pragma_table_list AS tables "
                "JOIN pragma_table_xinfo(tables.name) AS columns "
                "WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%schema'"
            )
            if kind.upper() in ("TEXT", "BLOB", "")
        ]


def texts_in(database: Path) -> Iterator[tuple[str, str, str]]:
    """Yield each text that a database holds, whatever the types of its columns, with its table and its column."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        tables = [name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE type != 'view'")]
        for table in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name of the schema
            names = [name for name, *_ in rows.description]
            for row in rows:
                for column, value in zip(names, row, strict=True):
                    if isinstance(value, str | bytes):
                        yield table, column, value if isinstance(value, str) else value.decode("utf-8", "replace")

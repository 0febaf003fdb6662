"""The views: a file for each, with its name. One whose first line names variants becomes a view for each of them.

`-- windows: last_hour, last_24h` makes of `errors.sql` the views `errors_last_hour` and `errors_last_24h`, in which
`{window}` is the beginning of the window as SQL. It has to stand where rows are first read, so that the index on
timestamp serves it: SQLite moves no condition from outside into a window function's subquery. `-- spans: hour, day`
does the same with the name of the span for `{span}`.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

_AGO: Final = {"last_hour": "-1 hour", "last_24h": "-1 day", "last_7d": "-7 days"}
_SINCE = {window: f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{ago}')" for window, ago in _AGO.items()}
_VARIANTS = re.compile(r"-- (\w+)s: (.*)\n")


def statements(package: str = __name__, since: Mapping[str, str] = _SINCE) -> list[str]:
    """CREATE VIEW for all of a package's files, in the order of their names; `since` is how windows begin, as SQL."""
    found: dict[str, str] = {}
    for file in files(package).iterdir():
        if not file.name.endswith(".sql"):
            continue
        name, sql = file.name.removesuffix(".sql"), file.read_text().strip()
        if not (first := _VARIANTS.match(sql)):
            found[name] = sql
            continue
        for variant in first[2].split(", "):
            found[f"{name}_{variant}"] = sql[first.end() :].replace(f"{{{first[1]}}}", since.get(variant, variant))
    return [f"CREATE VIEW {name} AS\n{sql}" for name, sql in sorted(found.items())]

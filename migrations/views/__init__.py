"""The views: a file for each, with its name. One whose first line names windows becomes a view for each of them.

`-- windows: last_hour, last_24h` makes of `errors.sql` the views `errors_last_hour` and `errors_last_24h`, in which
`{since}` is the beginning of the window as SQL. It has to stand where rows are first read, so that the index on
timestamp serves it: SQLite moves no condition from outside into a window function's subquery.
"""

from importlib.resources import files
from typing import Final

_AGO = {"last_hour": "-1 hour", "last_24h": "-1 day", "last_7d": "-7 days"}
_WINDOWS: Final = "-- windows: "


def statements() -> list[str]:
    """CREATE VIEW for all of them, in the order of their names."""
    found: dict[str, str] = {}
    for file in files(__name__).iterdir():
        if not file.name.endswith(".sql"):
            continue
        name, sql = file.name.removesuffix(".sql"), file.read_text().strip().removesuffix(";")
        first, _, rest = sql.partition("\n")
        if not first.startswith(_WINDOWS):
            found[name] = sql
            continue
        for window in first.removeprefix(_WINDOWS).split(", "):
            since = f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{_AGO[window]}')"
            found[f"{name}_{window}"] = rest.replace("{since}", since)
    return [f"CREATE VIEW {name} AS\n{sql}" for name, sql in sorted(found.items())]

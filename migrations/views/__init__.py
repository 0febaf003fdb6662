"""The views: a file for each, with its name. One whose first line names variants becomes a view for each of them.

`-- windows: last_hour, last_24h` makes of `errors.sql` the views `errors_last_hour` and `errors_last_24h`, in which
`{window}` is the beginning of the window as SQL. It has to stand where rows are first read, so that the index on
timestamp serves it: SQLite moves no condition from outside into a window function's subquery. `-- spans: hour, day`
does the same with the name of the span for `{span}`. `{class_of_error_type}` and `{class_of_finish_reason}` are what
calls from before version 7 of the schema have instead of a class (migrations/classes.py).

Views hold no data, so they are no part of a schema version and may change in any release: a start makes them anew
where a database has other ones (recorder/schema/views.py).
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from llm_metrics_proxy.migrations import classes

_AGO: Final = {"last_hour": "-1 hour", "last_24h": "-1 day", "last_7d": "-7 days"}
_SINCE = {window: f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{ago}')" for window, ago in _AGO.items()}
_VARIANTS = re.compile(r"-- (\w+)s: (.*)\n")


def statements(package: str = __name__, since: Mapping[str, str] = _SINCE) -> list[str]:
    """CREATE VIEW for all of a package's files, in the order of their names; `since` is how windows begin, as SQL."""
    return [
        f"CREATE VIEW {name} AS\n{mark(name)}: a start undoes changes. Copy it under another name to change it.\n{sql}"
        for name, sql in sorted(_texts(package, since).items())
    ]


def mark(name: str) -> str:
    """The beginning of the comment by which a view is known as ours; a copy under another name is its owner's."""
    return f"-- {name} is made by llm-metrics"


def _texts(package: str, since: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    of_words = {"{class_of_error_type}": classes.SQL_OF_ERROR, "{class_of_finish_reason}": classes.SQL_OF_FINISH}
    for file in files(package).iterdir():
        if not file.name.endswith(".sql"):
            continue
        name, sql = file.name.removesuffix(".sql"), file.read_text().strip()
        for place, expression in of_words.items():
            sql = sql.replace(place, expression)
        if not (first := _VARIANTS.match(sql)):
            found[name] = sql
            continue
        for variant in first[2].split(", "):
            found[f"{name}_{variant}"] = sql[first.end() :].replace(f"{{{first[1]}}}", since.get(variant, variant))
    return found

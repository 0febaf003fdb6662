"""The views of migrations/views in PostgreSQL's dialect: a file for each, with its name and columns.

They read the rows themselves, and only partitions of their time. Moments are `timestamptz`, days `date` in UTC. Where
SQLite's view says nearest rank, percentile_disc() does the same; where that one is from the roll-up, within 3.2 %, this
one is exact by percentile_cont(). As there, `-- windows: last_hour, last_24h` makes a view of each, with the beginning
of the window for `{window}`; `-- spans: hour, day` has the name of the span for `{span}`.
"""

import re
from importlib.resources import files
from typing import Final

_AGO: Final = {"last_hour": "1 hour", "last_24h": "24 hours", "last_7d": "168 hours"}
_SINCE = {window: f"now() - interval '{ago}'" for window, ago in _AGO.items()}
_VARIANTS = re.compile(r"-- (\w+)s: (.*)\n")


def statements() -> list[str]:
    """CREATE VIEW for all of them, in the order of their names."""
    found: dict[str, str] = {}
    for file in files(__name__).iterdir():
        if not file.name.endswith(".sql"):
            continue
        name, sql = file.name.removesuffix(".sql"), file.read_text().strip()
        if not (first := _VARIANTS.match(sql)):
            found[name] = sql
            continue
        for variant in first[2].split(", "):
            found[f"{name}_{variant}"] = sql[first.end() :].replace(f"{{{first[1]}}}", _SINCE.get(variant, variant))
    return [f"CREATE VIEW {name} AS\n{sql}" for name, sql in sorted(found.items())]

"""The views of migrations/views in PostgreSQL's dialect: a file for each, with its name and columns.

They read the rows themselves, and only partitions of their time. Moments are `timestamptz`, days `date` in UTC. Where
SQLite's view says nearest rank, percentile_disc() does the same; where that one is from the roll-up, within 3.2 %, this
one is exact by percentile_cont(). Variants for windows are made as there.
"""

from typing import Final

from llm_metrics_proxy.migrations import views

_AGO: Final = {"last_hour": "1 hour", "last_24h": "24 hours", "last_7d": "168 hours"}


def statements() -> list[str]:
    """CREATE VIEW for all of them, in the order of their names."""
    return views.statements(__name__, {window: f"now() - interval '{ago}'" for window, ago in _AGO.items()})

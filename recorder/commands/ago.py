"""The SQL function `ago('24h')`: the moment so long ago, in the form of the column `timestamp`.

`where timestamp >= ago('24h')` is served by the index, and has none of the traps of `datetime('now', '-1 day')`, whose
text sorts before every timestamp of its day.
"""

import logging
import sqlite3
from datetime import UTC, datetime

from llm_metrics_proxy.recorder.errors import BadDuration
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.timestamps import parse_duration

logger = logging.getLogger(__name__)


def register(connection: sqlite3.Connection) -> None:
    """Give the connection `ago(length)`; lengths are those of duration.py: `15m`, `24h`, `7d`, `2w`."""
    connection.create_function("ago", 1, _ago)


def _ago(length: object) -> str:
    try:
        return timestamps.bound(datetime.now(UTC) - parse_duration("What ago() got", str(length)))
    except BadDuration as error:
        logger.error(error)  # noqa: TRY400 - a sentence; SQLite only passes on that there was an error
        raise

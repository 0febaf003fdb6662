"""Log lines as JSON, one object a line, for what collects the output of containers: ours and mitmproxy's own.

mitmproxy's handlers stay, only how they write a line is exchanged: a line that nobody sees costs nothing.
An object has `timestamp` (as the rows'), `level`, `event` (a name that stays), `message` (for people), and the values
that the message speaks of, each under its name.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Final, override

from llm_metrics_proxy.recorder.events import timestamp_of

OPTION: Final = "metrics_log_format"
PREFIX: Final = "LLM metrics: "  # says in text who speaks; an object's event says it as well
OTHERS: Final = "mitmproxy"  # the event of lines that are not ours

_LEVELS: Final = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))


def wanted(options: Any) -> bool:  # noqa: ANN401 - mitmproxy's
    """Tell whether lines are to be JSON, also before the options are declared or checked."""
    given = getattr(options, "deferred", {}).get(OPTION, getattr(options, OPTION, None))
    return [str(value).strip().lower() for value in getattr(given, "val", [given])] == ["json"]


def line(level: str, event: str, message: str, fields: Mapping[str, object], at_ns: int | None = None) -> str:
    """Return one object as text without line ends; `at_ns` are nanoseconds since 1970, else it is now."""
    begin = {"timestamp": timestamp_of(time.time_ns() if at_ns is None else at_ns), "level": level, "event": event}
    rest = {name: value for name, value in fields.items() if name not in begin}
    # Only ASCII, since a text may hold what steers a terminal; paths and the like are shown as texts.
    return json.dumps(begin | {"message": message} | rest, default=str)


class JsonLines(logging.Formatter):
    """Makes such objects of log records. Those of ours bring an `event`, and values as `fields` or as their mapping."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        event = getattr(record, "event", None)
        fields: dict[str, object] = {} if event else {"logger": record.name}
        for values in (record.args, getattr(record, "fields", None)):
            if isinstance(values, Mapping):
                fields |= values
        if client := getattr(record, "client", None):  # of mitmproxy: whose connection a line is about
            fields["client"] = _address(client)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        level = next((name for number, name in _LEVELS if record.levelno >= number), "debug")
        message = record.getMessage().removeprefix(PREFIX)
        return line(level, event or OTHERS, message, fields, int(record.created * 1e9))


def _address(client: object) -> str:
    match client:
        case [str(host), int(port), *_]:
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(client)

"""Log lines of this process: as JSON where that is wanted, each complaint once, and nothing that nobody reads.

JSON lines are for what collects the output of containers. mitmproxy's handlers stay, only how they write a line is
exchanged. An object has `timestamp` (as the rows'), `level`, `event` (a name that stays), `message` (for people), and
the values that the message speaks of, each under its name.

Complaints are lines that a person should act on: each kind once, and never more kinds than a person would read.

mitmproxy's log of connections quotes bytes in some messages, such as a request line with a key in it. And each message
takes mitmproxy 150 us, whether somebody reads it or not: it asks all addons whether they do. Of every body that is
streamed it says that it is, and here every body is, so these two alone would take a seventh of what a call takes.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, override

from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.recorder.events import timestamp_of

OPTION: Final = "metrics_log_format"
PREFIX: Final = "LLM metrics: "  # says in text who speaks; an object's event says it as well
OTHERS: Final = "mitmproxy"  # the event of lines that are not ours

_LEVELS: Final = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
_MOST: Final = 100  # complaints
_LONGEST: Final = 500  # characters of one
_CONNECTIONS: Final = "mitmproxy.proxy.server"
_BYTES: Final = re.compile(r"""\bb(['"]).*\1""", re.DOTALL)
_STREAMS: Final = ("Streaming request to ", "Streaming response from ")

_logger = logging.getLogger("llm_metrics")


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


class Complaints:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def once(self, event: str, sentence: str, *, about: str = "", most: int = _MOST, **fields: object) -> None:
        """Log `sentence` as a warning, unless `event` was logged before, of the same thing if it is `about` one.

        `event` is a name that stays, and `fields` what the sentence speaks of: JSON lines have both. `most` bounds an
        event of which others choose what it is about, so that it does not use up what all events together have.
        """
        if (event, about) in self._said or len(self._said) > _MOST:
            return
        if most < _MOST and sum(said == event for said, _ in self._said) >= most:
            return
        self._said.add((event, about))
        if len(self._said) > _MOST:
            event, about, fields = "enough", "", {}
            sentence = f"{_MOST} different warnings were logged, and no more are: act on those, then start anew."
        with suppress(Exception, SystemExit):  # mitmproxy's handler exits when nobody reads what it prints any more
            extra = {"event": event, "fields": ({"about": about} if about else {}) | fields}
            _logger.warning("%s%s", PREFIX, text(sentence, _LONGEST), extra=extra)


class _Quiet(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "b'" in message or 'b"' in message:
            record.msg, record.args = _BYTES.sub("[bytes]", message), None
        return not message.startswith(_STREAMS)


def quieten() -> None:
    """Let mitmproxy's connections log no bytes and no streams from now on; safe to call again."""
    logger = logging.getLogger(_CONNECTIONS)
    if not any(type(known).__name__ == _Quiet.__name__ for known in logger.filters):
        logger.addFilter(_Quiet())


def log_what_is_read(unread: type[logging.Handler] | None) -> None:
    """Let mitmproxy's connections log no more than the handlers take that are there; those of type `unread` take none.

    A level that somebody has set stays.
    """
    logger = logging.getLogger(_CONNECTIONS)
    lowest = min(
        (handler.level for handler in _handlers(logger) if type(handler) is not unread), default=logging.NOTSET
    )
    if logger.level == logging.NOTSET:
        logger.setLevel(lowest)


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None

"""What mitmproxy's log says of connections: no bytes that passed, and nothing that nobody reads.

Bytes are quoted in some messages, such as a request line with a key in it. And each message takes mitmproxy 150 us,
whether somebody reads it or not: it asks all addons whether they do. Of every body that is streamed it says that it is,
and here every body is, so these two alone would take a seventh of what a call takes.
"""

import logging
import re
from collections.abc import Iterator

_CONNECTIONS = "mitmproxy.proxy.server"
_BYTES = re.compile(r"""\bb(['"]).*\1""", re.DOTALL)
_STREAMS = ("Streaming request to ", "Streaming response from ")


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

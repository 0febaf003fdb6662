"""mitmproxy's log may quote bytes that passed, such as a request line with a key in it: they are cut out."""

import logging
import re

_CONNECTIONS = "mitmproxy.proxy.server"
_BYTES = re.compile(r"""\bb(['"]).*\1""", re.DOTALL)


class _WithoutBytes(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "b'" in message or 'b"' in message:
            record.msg, record.args = _BYTES.sub("[bytes]", message), None
        return True


def quote_no_bytes() -> None:
    """Let mitmproxy's connections log no bytes from now on; safe to call again."""
    logger = logging.getLogger(_CONNECTIONS)
    if not any(type(known).__name__ == _WithoutBytes.__name__ for known in logger.filters):
        logger.addFilter(_WithoutBytes())

"""The addon's own answer to a request for a reserved host, by which others tell that it runs in a proxy.

`http://llm-metrics.invalid/status` and its https twin are answered inside the proxy: never recorded, never sent on. The
name can be nobody's (RFC 2606). Whoever reaches the port may ask, so the answer names no path, no version, no machine.
"""

import hashlib
import json
from typing import Final

STATUS_HOST: Final = "llm-metrics.invalid"
STATUS_PATH: Final = "/status"
_KEY, _TOKEN = "llm_metrics_proxy", 1  # the number changes if ever the answer's meaning does
_RECORDER = "recorder"


def answer(process: str | None) -> bytes:
    """Return the body of the answer; `process` is the recorder's name, None while there is none."""
    return json.dumps({_KEY: _TOKEN, _RECORDER: process and fingerprint(process)}).encode() + b"\n"


def fingerprint(process: str) -> str:
    """Return what stands for a recorder's name, for those who know which names there are."""
    return hashlib.sha256(process.encode()).hexdigest()[:32]


class Signature:
    """An answer that only the addon gives; `recorder` is the fingerprint of the recorder that it writes with."""

    def __init__(self, recorder: str | None) -> None:
        self.recorder = recorder


def read(body: bytes) -> Signature | None:
    """Return what an answer says, or None if it is anybody else's."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get(_KEY) != _TOKEN:
        return None
    recorder = found.get(_RECORDER)
    return Signature(recorder if isinstance(recorder, str) else None)

"""The addon's own answer to a request for a reserved host, by which others tell that it runs in a proxy.

`http://llm-metrics.invalid/status` and its https twin are answered inside the proxy: never recorded, never sent on. The
name can be nobody's (RFC 2606). Whoever reaches the port may ask, so the answer names no path, no version, no machine.
"""

import hashlib
import json
from typing import Final

from llm_metrics_proxy.recorder.client_setup.place import place

STATUS_HOST: Final = "llm-metrics.invalid"
STATUS_PATH: Final = "/status"
_KEY, _TOKEN = "llm_metrics_proxy", 1  # the number changes if ever the answer's meaning does
_RECORDER = "recorder"
_WORKER, _WORKERS = "worker", "workers"


def answer(process: str | None) -> bytes:
    """Return the body of the answer; `process` is the recorder's name, None while there is none."""
    said: dict[str, object] = {_KEY: _TOKEN, _RECORDER: process and fingerprint(process)}
    if (here := place()) is not None:
        said |= {_WORKER: here.number, _WORKERS: here.of}
    return json.dumps(said).encode() + b"\n"


def fingerprint(process: str) -> str:
    """Return what stands for a recorder's name, for those who know which names there are."""
    return hashlib.sha256(process.encode()).hexdigest()[:32]


class Signature:
    """An answer that only the addon gives.

    `recorder` is the fingerprint of the recorder that it writes with, `workers` how many share its port.
    """

    def __init__(self, recorder: str | None, workers: int = 1) -> None:
        self.recorder = recorder
        self.workers = workers


def read(body: bytes) -> Signature | None:
    """Return what an answer says, or None if it is anybody else's."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get(_KEY) != _TOKEN:
        return None
    recorder = found.get(_RECORDER)
    workers = found.get(_WORKERS)
    return Signature(recorder if isinstance(recorder, str) else None, workers if isinstance(workers, int) else 1)

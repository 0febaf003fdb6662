"""Events that no row could be made of, kept in `rejected.jsonl` of the spill folder with the reason.

They hold what a row would, so no prompt, answer or key. Nothing reads the file back: it is for the person who mends
the cause.
"""

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import asdict

from llm_metrics_proxy.recorder.events import Event
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.files import open_regular, write_all

FILE_NAME: Final = "rejected.jsonl"
MOST_BYTES: Final = 16 << 20


class Rejected(NamedTuple):
    """An event, and what was said about it."""

    event: Event
    reason: Exception


def keep(folder: Path, rejected: Sequence[Rejected]) -> None:
    """Append the events.

    Raises:
        OSError: the disk refuses, or the file is full.
    """
    lines = "".join(map(_line, rejected)).encode()
    descriptor = open_regular(folder / FILE_NAME, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        if os.fstat(descriptor).st_size + len(lines) > MOST_BYTES:
            raise OSError(errno.ENOSPC, "the file of rejected events is full")
        write_all(descriptor, lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(one: Rejected) -> str:
    # json and not msgspec, which refuses what is likely to be the matter: lone surrogates and huge numbers.
    reason = f"{type(one.reason).__name__}: {one.reason}"
    return json.dumps({"at": timestamps.now(), "reason": reason, "event": asdict(one.event)}, default=repr) + "\n"

"""Watches mitmdump's event loop: a tick each millisecond, and a line for each that came late.

Loaded beside the addon under test. A line says when the tick ended, by how many milliseconds it was late, and how much
of that the loop's own thread was computing: the rest it was not running, because of the system or of another thread.
"""

import asyncio
import os
import time
from pathlib import Path

_TICK_SECONDS = 0.001
_WORTH_A_LINE_MS = 0.3


async def _watch(path: Path) -> None:
    with path.open("w", buffering=1) as lines:
        while True:
            due, used = time.monotonic_ns() + int(_TICK_SECONDS * 1e9), time.thread_time_ns()
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic_ns()
            if (late := (now - due) / 1e6) > _WORTH_A_LINE_MS:
                lines.write(f"{now} {late:.3f} {(time.thread_time_ns() - used) / 1e6:.3f}\n")


def running() -> None:
    """Begin to watch."""
    watch = asyncio.get_running_loop().create_task(_watch(Path(os.environ["BENCH_LATENESS_FILE"])))
    _tasks.add(watch)


_tasks: set[asyncio.Task[None]] = set()  # the loop alone would not keep it

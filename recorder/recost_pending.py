"""`python -m recorder.recost_pending DATABASE [PRICES]`: what the recorder starts when calls wait for their cost.

A process of its own, since what it imports takes 30 MB. It says nothing but why it failed, in one sentence on stderr,
and ends by itself after a while even if there is more to do: the next one goes on where it was.
"""

import importlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recorder import price_file
from recorder.errors import RecorderError
from recorder.priority import wait_for_others

if TYPE_CHECKING:
    from types import ModuleType

LONGEST_RUN: Final = 120.0  # seconds


def main() -> int:
    """Price what waits; the exit code."""
    path, *chosen = map(Path, sys.argv[1:])
    enough = threading.Event()
    timer = threading.Timer(LONGEST_RUN, enough.set)
    timer.daemon = True
    timer.start()
    try:
        with ThreadPoolExecutor(1, initializer=wait_for_others) as aside:  # it takes 0.3 s of a CPU
            recosting: ModuleType = aside.submit(importlib.import_module, "recorder.recost").result()
        recosting.recost(path, price_file.load(chosen[0] if chosen else None, path), stop=enough)
    except RecorderError as error:
        return _failed(str(error))
    except Exception as error:  # noqa: BLE001 - its text may quote what a client wrote
        return _failed(f"An error of the recorder's own: {type(error).__name__}.")
    return 0


def _failed(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

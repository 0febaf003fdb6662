"""Who has to wait when there are not enough CPUs."""

import os
import sys
import threading
from contextlib import suppress
from typing import Final

_LOWEST: Final = 19


def wait_for_others() -> None:
    """Run the calling thread when nobody else needs the CPU, for good; only Linux can do that for one thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)

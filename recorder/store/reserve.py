"""A little disk space that is given up when there is no more, so that events can still be kept aside."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.store import spill_folder

RESERVE: Final = ".reserve"
RESERVED_BYTES: Final = 1 << 20  # about a thousand events


class Reserve:
    """One recorder's reserve, as a file in the spill folder."""

    def __init__(self, folder: Path, process: str) -> None:
        """Nothing is taken yet."""
        self._file = folder / f"{process}{RESERVE}"

    def take(self) -> None:
        """Take the space, unless it is held already or there is too little of it."""
        with suppress(OSError):  # there, or the disk is full
            descriptor = spill_folder.create(self._file)
            try:
                os.posix_fallocate(descriptor, 0, RESERVED_BYTES)
            except OSError:
                self._file.unlink()
            finally:
                os.close(descriptor)

    def give_up(self) -> bool:
        """Free the space; False if none was held."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True

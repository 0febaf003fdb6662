"""Takes the pictures of the live page: .venv/bin/python -m tests.support.screenshot metrics.db

The page as it opens, 1500 pixels wide and in 128 colours: all of it without the footer for docs/live-page.md, its
figures and first charts for README. It needs pngquant.
"""

import base64
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import live_page

_WIDTH = 1500
_MARGIN = 10
_EDGE = "return document.querySelector(arguments[0]).getBoundingClientRect()[arguments[1]] + window.scrollY"
_GRID, _FIRST_CHART = ".dashboard-grid", "#card-requests"
# Where each picture goes, and from which edge to which: an element and its side; None is the top of the page.
_PICTURES = (
    ("deploy/dashboard/screenshot.png", None, (_GRID, "bottom")),
    ("docs/live-page.png", (_GRID, "top"), (_FIRST_CHART, "bottom")),
)


def main() -> None:
    """Take the pictures of the database that is named on the command line."""
    folder = Path(tempfile.mkdtemp(prefix="llm-metrics-screenshot-"))
    with (
        live_page.serving(Path(sys.argv[1]).absolute()) as server,
        live_page.browsing(server.address, folder) as browser,
    ):
        browser.width(_WIDTH)
        browser.look()
        time.sleep(1)  # the last card is still being laid out
        for path, begin, end in _PICTURES:
            top = 0 if begin is None else browser.driver.execute_script(_EDGE, *begin) - _MARGIN
            bottom = browser.driver.execute_script(_EDGE, *end) + _MARGIN
            clip = {"x": 0, "y": top, "width": _WIDTH, "height": bottom - top, "scale": 1}
            picture = browser.driver.execute_cdp_cmd(
                "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
            )
            (live_page.ROOT / path).write_bytes(_small(base64.b64decode(picture["data"])))


def _small(picture: bytes) -> bytes:
    """Return a PNG of 128 colours."""
    command = [shutil.which("pngquant") or "pngquant", "128", "-"]
    return subprocess.run(command, input=picture, capture_output=True, check=True).stdout


if __name__ == "__main__":
    main()

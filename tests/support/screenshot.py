"""Takes README's picture of the live page: .venv/bin/python -m tests.support.screenshot metrics.db

What the page shows by default, 1500 pixels wide and without the footer, in 128 colours. It needs pngquant.
"""

import base64
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import live_page

_TARGET = live_page.ROOT / "deploy" / "dashboard" / "screenshot.png"
_WIDTH = 1500
_BOTTOM = "return document.querySelector('.dashboard-grid').getBoundingClientRect().bottom + window.scrollY + 10"


def main() -> None:
    """Take the picture of the database that is named on the command line."""
    folder = Path(tempfile.mkdtemp(prefix="llm-metrics-screenshot-"))
    with (
        live_page.serving(Path(sys.argv[1]).absolute()) as server,
        live_page.browsing(server.address, folder) as browser,
    ):
        browser.width(_WIDTH)
        browser.look()
        time.sleep(1)  # the last card is still being laid out
        clip = {"x": 0, "y": 0, "width": _WIDTH, "height": browser.driver.execute_script(_BOTTOM), "scale": 1}
        picture = browser.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
        )
    command = [shutil.which("pngquant") or "pngquant", "128", "-"]
    small = subprocess.run(command, input=base64.b64decode(picture["data"]), capture_output=True, check=True)
    _TARGET.write_bytes(small.stdout)


if __name__ == "__main__":
    main()

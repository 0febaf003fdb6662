"""A venv for each receiver, in .receivers/, since none has room beside ours: they pin what mitmproxy pins.

A file in each says for what it was finished, so that an interrupted one is made anew.
"""

import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.support.proxy import ROOT

FOLDER = ROOT / ".receivers"
_INSTALL_SECONDS = 900


class NotInstalledError(Exception):
    """An environment could not be made; the message says where pip's words are."""


def make(name: str, package: str) -> Path:
    """Return the folder of an environment with this package, which is made unless it is there."""
    place = FOLDER / name
    mark = place / "made-for"
    if mark.is_file() and mark.read_text() == package:
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    python = str(place / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    if find_spec("pip") is None:  # .venv was made by uv
        pip = ["uv", "pip", "install", "--quiet", "--python", python]
    log, began = place / "install.log", time.monotonic()
    print(f"{name}: installing {package} ...", flush=True)
    with log.open("wb") as out:
        for command in ([sys.executable, "-m", "venv", "--without-pip", str(place)], [*pip, package]):
            try:
                subprocess.run(command, stdout=out, stderr=out, check=True, timeout=_INSTALL_SECONDS)
            except (subprocess.SubprocessError, FileNotFoundError) as error:
                msg = f"{package} could not be installed; see {log}"
                raise NotInstalledError(msg) from error
    mark.write_text(package)
    print(f"{name}: installed in {time.monotonic() - began:.0f} s", flush=True)
    return place

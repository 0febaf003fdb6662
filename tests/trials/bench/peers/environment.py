"""Virtual environments of the peers, below `.bench/`: made once, and kept for the next run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.support.proxy import ROOT

FOLDER = ROOT / ".bench"
_INSTALL_SECONDS = 900
_PLACE = re.compile(r"\b(?:https?|file)://\S+")


class NotHadError(Exception):
    """A peer cannot be had here; the message says why, in one line."""


def folder(name: str) -> Path:
    """Return the folder of a peer; git does not see it."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    return FOLDER / name


def venv(name: str, wanted: Sequence[str], *, python: Path | str = sys.executable) -> Path:
    """Return a venv in which pip has installed what is `wanted`, its arguments; make it unless it is there.

    Raises:
        NotHadError: something could not be installed.
    """
    place = folder(name)
    mark, made_for = place / "made-for", "\n".join([*([str(python)] if python != sys.executable else []), *wanted])
    if mark.is_file() and mark.read_text() == made_for:
        return place
    shutil.rmtree(place, ignore_errors=True)
    ran = [str(python), "-m", "venv", "--without-pip", str(place)]
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--quiet"]
    if find_spec("pip") is None:  # .venv was made by uv
        pip = ["uv", "pip", "install", "--quiet", "--python", str(place)]
    for command in (ran, [*pip, *wanted]):
        run(command, within=ROOT)
    mark.write_text(made_for)
    return place


def run(command: Sequence[str], *, within: Path | None = None) -> None:
    """Run a command that prepares a peer.

    Raises:
        NotHadError: it failed.
    """
    try:
        ran = subprocess.run(command, cwd=within, check=False, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHadError(f"it could not be installed: {type(error).__name__}") from error
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).strip().splitlines()
        told = [line for line in lines if "error" in line.lower()] or lines or [f"exit code {ran.returncode}"]
        raise NotHadError(f"it could not be installed: {_PLACE.sub('...', told[-1])[:300]}")

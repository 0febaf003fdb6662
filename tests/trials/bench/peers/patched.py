"""mitmproxy with the patches of docs/upstream/: the pass-through addon, and nothing of ours."""

import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.support.proxy import ROOT
from tests.trials.bench.peers.environment import NotHadError, folder, run
from tests.trials.bench.systems import SCRIPTS, System

PATCHES = ROOT / "docs" / "upstream"
NAMES = ("dispatch", "writes")
BOTH = "both"


def title(name: str) -> str:
    """Return the title of the system with a patch, or with both."""
    return "mitmproxy with both patches" if name == BOTH else f"mitmproxy with {name}.patch"


def prepared(name: str) -> System:
    """Return a system whose mitmproxy has a patch, or both.

    Raises:
        NotHadError: a patch does not apply to the mitmproxy that is installed.
    """
    place = patched(folder(f"patched-{name}"), NAMES if name == BOTH else (name,))
    return System(f"patch-{name}", title(name), scripts=(SCRIPTS / "passthrough.py",), paths=(place,))


def patched(place: Path, names: tuple[str, ...], source: Path | None = None) -> Path:
    """Make a copy of mitmproxy's package in a folder, with some patches; return the folder.

    Raises:
        NotHadError: a patch does not apply.
    """
    found = find_spec("mitmproxy")
    if source is None and (found is None or found.origin is None):
        raise NotHadError("mitmproxy is not installed")
    package = source or Path(str(found and found.origin)).parent
    shutil.rmtree(place, ignore_errors=True)
    # mitmproxy's own version comes from its code, so its metadata is not copied.
    shutil.copytree(package, place / "mitmproxy", ignore=shutil.ignore_patterns("__pycache__"))
    if shutil.which("patch") is None:
        raise NotHadError(f"the program `patch` is missing, for mitmproxy {version('mitmproxy')}")
    for name in names:
        run(["patch", "-p1", "--fuzz=0", "-i", str(PATCHES / f"{name}.patch")], within=place)
    return place

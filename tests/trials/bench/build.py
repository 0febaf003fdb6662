"""How a Python was built, which is worth a fifth of what it does: with profile-guided optimisation (PGO) and LTO."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from os import environ
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple

_OLDEST = (3, 13)
_ASKS = (
    "import json, platform, sys, sysconfig; names = 'CONFIG_ARGS', 'PGO_PROF_USE_FLAG', 'Py_GIL_DISABLED';"
    "print(json.dumps([list(sys.version_info[:3]), {n: sysconfig.get_config_var(n) for n in names}]))"
)


class Interpreter(NamedTuple):
    """A Python of this machine."""

    path: Path
    version: str
    build: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """Its version, to compare."""
        return tuple(map(int, self.version.split(".")))

    @property
    def optimised(self) -> bool:
        """True if it was built with PGO."""
        return is_optimised(self.build)


def build_of(variables: Mapping[str, Any]) -> str:
    """Return how a Python was built, of its `sysconfig`'s variables.

    CPython's own Makefile has a flag for the use of a profile, whether it was used or not. Debian builds with a profile
    and takes the flag out afterwards, so that extensions are not built with it.
    """
    asked = str(variables.get("CONFIG_ARGS") or "")
    parts = []
    if "--enable-optimizations" in asked:
        parts.append("PGO")
    elif variables.get("PGO_PROF_USE_FLAG") == "":
        parts.append("PGO by its distribution")
    if "--with-lto" in asked and "--with-lto=no" not in asked:
        parts.append("LTO")
    return f"optimised: {', '.join(parts)}" if parts else "not optimised: no PGO, no LTO"


def is_optimised(build: str) -> bool:
    """Return whether what `build_of` said is of a build with PGO."""
    return "PGO" in build and not build.startswith("not")


def own_build() -> str:
    """Return how this Python was built."""
    return build_of(sysconfig.get_config_vars())


def asked(path: Path) -> Interpreter | None:
    """Return what a Python says of itself; None if it does not run, is too old, or runs without a GIL."""
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        said = subprocess.run([path, "-c", _ASKS], capture_output=True, check=True, timeout=30).stdout
        version, variables = json.loads(said)
        if tuple(version) >= _OLDEST and not variables["Py_GIL_DISABLED"]:
            return Interpreter(path, ".".join(map(str, version)), build_of(variables))
    return None


def optimised() -> Interpreter | None:
    """Return another Python of this machine that is optimised, the newest of this one's kind first."""
    found = [one for path in _candidates() if (one := asked(path)) is not None and one.optimised]
    return max(found, key=lambda one: (one.numbers[:2] == sys.version_info[:2], one.numbers), default=None)


def _candidates() -> Iterator[Path]:
    """Yield where a Python may be: on the PATH, of the system, of pyenv, of uv."""
    for minor in range(_OLDEST[1], _OLDEST[1] + 4):
        for folder in (None, "/usr/bin:/usr/local/bin:/opt/homebrew/bin"):
            if (path := which(f"python3.{minor}", path=folder)) is not None:
                yield Path(path)
    home = Path.home()
    yield from Path(environ.get("PYENV_ROOT", home / ".pyenv")).glob("versions/*/bin/python")
    yield from home.glob(".local/share/uv/python/*/bin/python3")

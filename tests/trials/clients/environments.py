"""Environments: a venv or a node_modules for each set of packages, with the newest versions that there are.

They stay in .clients/, as installing takes most of the time. A file in each says for what it was finished, so that an
interrupted one is made anew.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tests.support.proxy import ROOT
from tests.trials.clients.client import Client, Installed

FOLDER = ROOT / ".clients"
_PROGRAMS = Path(__file__).parent / "programs"
_INSTALL_SECONDS = 600
_CURL = ["curl", "--version"]  # the one on the PATH
_NODE_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_NODE_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class NotInstalledError(Exception):
    """An environment could not be made; the message says why."""


def make(client: Installed, *, newest: bool = False) -> None:
    """Make the environment of a client or an agent, unless it is there; `newest` makes it anew."""
    place = FOLDER / client.environment
    wanted = " ".join([*client.packages, client.node, client.python])
    mark = place / "made-for"
    if not newest and mark.is_file() and mark.read_text() == wanted:
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for command in _commands(client, place):
        try:
            _run(command, place)
        except FileNotFoundError:
            msg = f"{command[0]} is missing"
            raise NotInstalledError(msg) from None
    mark.write_text(wanted)


def command(client: Client) -> list[str]:
    """Return what runs the client's program, after `make`."""
    place, program = FOLDER / client.environment, _PROGRAMS / client.program
    if client.kind == "python":
        return [str(place / "bin" / "python"), str(program)]
    if client.kind == "node":
        copied = place / program.name  # a module finds its packages in the folder that it lies in
        shutil.copy(program, copied)
        return [str(place / "node_modules" / _node_package() / "bin" / "node"), str(copied)]
    return ["/bin/sh", str(program)]


def run_in(client: Installed, words: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Return a command line whose first word is a program of the environment, and the PATH that it needs."""
    folder = FOLDER / client.environment / ("bin" if client.kind == "python" else "node_modules/.bin")
    return [str(folder / words[0]), *words[1:]], {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def versions(client: Installed) -> dict[str, str]:
    """Return the versions that are tried, of the packages, and of what runs them."""
    place = FOLDER / client.environment
    names = [package.partition("[")[0] for package in client.packages]
    if client.kind == "python":
        paths = [str(path) for path in place.glob("lib/python*/site-packages")]
        found = {one.name: one.version for one in metadata.distributions(path=paths)}
        return {name: found[name] for name in names} | {"Python": client.python or platform.python_version()}
    if client.kind == "node":
        names = [name if (at := name.rfind("@")) < 1 else name[:at] for name in names]
        return {name: _npm_version(place, name) for name in names} | {"Node": _npm_version(place, _node_package())}
    printed = subprocess.run(_CURL, capture_output=True, text=True, check=True).stdout
    return {"curl": printed.split()[1]}


def _commands(client: Installed, place: Path) -> list[list[str]]:
    if client.kind == "python":
        python = str(place / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
        if find_spec("pip") is None:  # .venv was made by uv
            pip = ["uv", "pip", "install", "--quiet", "--python", python]
        return [[_interpreter(client.python), "-m", "venv", "--without-pip", str(place)], [*pip, *client.packages]]
    if client.kind == "node":
        (place / "package.json").write_text('{"private": true}\n')
        # npm takes the newest package that says it runs on npm's own Node, so it has to run on the one that is tried.
        npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        return [[*npm, f"{_node_package()}@{client.node}"], [*npm, *client.packages]]
    return [_CURL]


def _run(line: list[str], place: Path) -> None:
    log = place / "install.log"
    try:
        with log.open("ab") as out:
            environment = os.environ | {"PATH": f"{place}/node_modules/.bin{os.pathsep}{os.environ['PATH']}"}
            subprocess.run(
                line, cwd=place, env=environment, stdout=out, stderr=out, check=True, timeout=_INSTALL_SECONDS
            )
    except subprocess.TimeoutExpired:
        msg = f"{line[0]} took more than {_INSTALL_SECONDS} s; see {os.path.relpath(log)}"
        raise NotInstalledError(msg) from None
    except subprocess.CalledProcessError as error:
        msg = f"{Path(line[0]).name} ended with {error.returncode}; see {os.path.relpath(log)}"
        raise NotInstalledError(msg) from None


def _node_package() -> str:
    """Return the package that holds Node's binary for this machine."""
    try:
        return f"node-{_NODE_SYSTEMS[platform.system()]}-{_NODE_MACHINES[platform.machine().lower()]}"
    except KeyError:
        msg = f"there is no package of Node for {platform.system()} on {platform.machine()}"
        raise NotInstalledError(msg) from None


def _interpreter(version: str) -> str:
    """Return a Python of this version: this one, one on the PATH, or one of pyenv's."""
    if not version:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))):
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([candidate, "-V"], capture_output=True, check=True)
            return candidate
    msg = f"there is no Python {version}"
    raise NotInstalledError(msg)


def _npm_version(place: Path, name: str) -> str:
    return str(json.loads((place / "node_modules" / name / "package.json").read_text())["version"])

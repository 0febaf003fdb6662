"""`llm-metrics dashboard`: starts the live page in an environment that has Datasette."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, database_option, refusing
from llm_metrics_proxy.recorder.errors import RunRefused
from llm_metrics_proxy.recorder.store.database import check_is_there, get_db_path

# Beside recorder/, in a checkout as in an installed package.
_SCRIPT: Final = Path(__file__).resolve().parents[2] / "deploy" / "dashboard" / "start.py"
_RUNNERS: Final = (("uv", "run", "--no-project", "--script"), ("pipx", "run"))
_NEEDED: Final = ("datasette", "datasette_dashboards")


@click.command(epilog=EXIT_CODES)
@database_option
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: any free one.")
@refusing
def dashboard(db: str | None, port: int) -> None:
    """Show the calls as a live page on 127.0.0.1, until Ctrl-C.

    The page is made by Datasette, which cannot be installed beside mitmproxy: uv or pipx gives it an environment of
    its own, at the first time from the package index. It only reads, also while the proxy runs.
    """
    path = get_db_path(db)
    check_is_there(path, cure="start the proxy once, or give the right path with --db")
    words = [*_interpreter(), str(_SCRIPT), "--port", str(port), "--", str(path)]
    # Modules of ours have no business there.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    sys.stdout.flush()
    os.execve(words[0], words, environment)  # noqa: S606 - a command of our own


def _interpreter() -> list[str]:
    """Return the words that run a script with Datasette.

    Raises:
        RunRefused: there is nothing that can.
    """
    if all(find_spec(name) for name in _NEEDED):
        return [sys.executable]
    for program, *words in _RUNNERS:
        if (path := shutil.which(program)) is not None:
            return [path, *words]
    cure = "install uv (pip install uv) or pipx, which give it one, or run make dashboard in a checkout"
    raise RunRefused(what="Datasette needs an environment of its own", cure=cure)

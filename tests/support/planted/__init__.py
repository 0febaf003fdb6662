"""What others could put in the place of a file that a command opens, and every command tried against it.

A case is one command in a folder of its own, with one file replaced. It ends within seconds, by itself: with one
sentence and an exit code, or as if nothing were there. What was planted, and what that leads to, stays as it was.
commands.py runs the cases in forked processes.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id, timestamp_of
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.proxy import clean_environment

VICTIM: Final = b"somebody else's, and worth keeping\n"
_NOBODY = 65_534
# root may do what others may not: read and write everything.
_WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
AS_OTHERS: Final = _WITHOUT_RIGHTS if os.geteuid() == 0 else ()
_DATABASE = "metrics.db"
_BACKUP = "planted.backup"

type Words = tuple[str, ...]

# Each is tried in a folder that has a database, a backup of it, an older database and the files of a CA.
COMMANDS: Final[Mapping[str, Words]] = {
    "audit": ("audit", "."),
    "backup": ("backup",),
    "backups": ("backups", "--verify"),
    "check": ("check",),
    "doctor": ("doctor",),
    "env": ("env",),
    "export forget": ("export", "forget", "otlp"),
    "import": ("import", "old.db"),
    "migrate": ("migrate",),
    "migrate --dry-run": ("migrate", "--dry-run"),
    "migrate --repair": ("migrate", "--repair"),
    "prune": ("prune", "--older-than", "1d", "--yes"),
    "prune --dry-run": ("prune", "--older-than", "1d", "--dry-run"),
    "recost": ("recost",),
    "recost --dry-run": ("recost", "--dry-run"),
    "recost --prices": ("recost", "--prices", "own.toml"),
    "restore": ("restore", f"./{_BACKUP}", "--yes"),
    "rollup": ("rollup",),
    "status": ("status",),
    "statusline": ("statusline",),
    "llm-report": ("sqlite-utils", "llm-report", _DATABASE, "report.html"),
    "llm-top": ("sqlite-utils", "llm-top", _DATABASE, "--once"),
}
_READS = {"audit", "backup", "check", "export forget", "import", "migrate", "migrate --dry-run", "migrate --repair"}
_READS |= {"prune", "prune --dry-run", "recost", "recost --dry-run", "recost --prices", "rollup", "status"}
_READS |= {"llm-report", "llm-top"}
_ANY: frozenset[str] = frozenset()
_FOLDERS = ("backups", ".mitmproxy", ".llm_metrics_proxy", f"{_DATABASE}.spill")

# The files, and the commands that cannot do without each. The others may go on without it.
FILES: Final[Mapping[str, frozenset[str]]] = {
    _DATABASE: frozenset(_READS),
    f"{_DATABASE}-journal": frozenset(_READS | {"restore"}),
    f"{_DATABASE}-wal": frozenset(_READS | {"restore"}),
    f"{_DATABASE}-shm": frozenset(_READS | {"restore"}),
    f"{_DATABASE}.spill": _ANY,
    f"{_DATABASE}.spill/upkeep.lock": _ANY,
    f"{_DATABASE}.spill/1-2-3.alive": _ANY,
    f"{_DATABASE}.spill/1-2-1.jsonl.v2": _ANY,
    f"{_DATABASE}.spill/rejected.jsonl": _ANY,
    f"{_DATABASE}.20260101_000000_000.salvaged": _ANY,
    "backups": _ANY,
    _BACKUP: frozenset({"restore"}),
    f"{_BACKUP}.sha256": frozenset({"restore"}),
    "old.db": frozenset({"import"}),
    "old.db-wal": frozenset({"import"}),
    "own.toml": frozenset({"recost --prices"}),
    "prices.toml": _ANY,
    "report.html": _ANY,
    ".mitmproxy": frozenset({"env"}),
    ".mitmproxy/mitmproxy-ca-cert.pem": frozenset({"env"}),
    ".mitmproxy/llm-metrics-ca-bundle.pem": _ANY,
    ".llm_metrics_proxy": _ANY,
}


def _link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "kept").write_bytes(VICTIM)


def _link_to_victim(path: Path) -> None:
    victim = path.with_name(f"{path.name}.victim")
    victim.write_bytes(VICTIM)
    path.symlink_to(victim.name)


def _socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def _forbidden(path: Path) -> None:
    path.write_bytes(VICTIM)
    path.chmod(0)
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


KINDS: Final[Mapping[str, Callable[[Path], None]]] = {
    "pipe": os.mkfifo,
    "folder": _folder,
    "socket": _socket,
    "link to nothing": _link_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a file": _link_to_victim,
    "link to /dev/null": _link_to("/dev/null"),
    "link to /dev/zero": _link_to("/dev/zero"),
    "link to /dev/full": _link_to("/dev/full"),
    "file of another user": _forbidden,
}


@dataclass(frozen=True)
class Planted:
    """One case, and where it takes place."""

    file: str
    kind: str
    command: str
    folder: Path

    @property
    def what(self) -> str:
        """The case in words."""
        return f"{self.command}, {self.kind} in place of {self.file}"

    def touched(self) -> str | None:
        """Return what happened to that which was planted, or to that to which it leads; None if nothing did."""
        place = self.folder / self.file
        if self.kind == "folder" and (place / "kept").read_bytes() != VICTIM:
            return "it touched the folder"
        if self.kind == "link to a file" and all(
            one.read_bytes() != VICTIM for one in self.folder.rglob(f"{place.name}.victim")
        ):  # a restore moves a damaged database, which this seems to be, into a folder beside it
            return "it wrote through the link"
        if self.kind == "link to nothing" and (place.parent / "nothing").exists():
            return "it made a file through the link"
        return None


@dataclass(frozen=True)
class Ended:
    """The end of a command: no code if it had to be killed; both outputs."""

    code: int | None
    said: str


def template(folder: Path) -> Path:
    """Make the folder that every case begins with a copy of; return it."""
    folder.mkdir()
    for name in (_DATABASE, "old.db"):
        Recorder(folder / name, backup_dir=folder).open()
        with closing(open_writer(folder / name)) as connection:
            from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO  # noqa: PLC0415

            CompletionRequestsDAO(connection).insert_completion_requests([_call(n) for n in range(20)])
    saved = backup.create(folder / _DATABASE, backup_dir=folder)
    digest = saved.with_name(f"{saved.name}.sha256")
    (folder / f"{_BACKUP}.sha256").write_text(digest.read_text().replace(saved.name, _BACKUP))
    saved.rename(folder / _BACKUP)
    digest.unlink()
    (folder / "own.toml").write_text('[[price]]\nmodel = "*"\ninput = 1.0\noutput = 2.0\n')
    (folder / ".mitmproxy").mkdir()
    (folder / ".mitmproxy" / "mitmproxy-ca-cert.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    return folder


def _call(n: int) -> CompletionRequest:
    return CompletionRequest(
        timestamp=timestamp_of((1_700_000_000 + n) * 10**9),
        success=True,
        status_code=200,
        response_time_ms=100,
        model="gpt-5.5",
        origin="planted",
        is_streaming=False,
        event_id=new_event_id(1_700_000_000_000 + n),
    )


def plant(begin: Path, into: Path, file: str, kind: str) -> None:
    """Make `into` a copy of the template `begin`, with something of `kind` in the place of `file`."""
    shutil.copytree(begin, into)
    place = into / file
    place.parent.mkdir(mode=0o700, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    KINDS[kind](place)


def combinations(files: Iterable[str], commands: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return file, kind and command of all cases; a folder in the place of a folder is none."""
    return [one for one in product(files, KINDS, commands) if one[0] not in _FOLDERS or one[1] != "folder"]


def tried(cases: Iterable[Planted], seconds: float = 20.0) -> list[tuple[Planted, Ended]]:
    """Run the commands of the cases, of which none may take longer than `seconds`."""
    chosen = list(cases)
    words = [
        {
            "words": COMMANDS[case.command],
            "folder": str(case.folder),
            "environment": clean_environment(case.folder) | {"LLM_METRICS_DB": str(case.folder / _DATABASE)},
        }
        for case in chosen
    ]
    done = subprocess.run(
        [*AS_OTHERS, sys.executable, "-m", f"{__name__}.commands", str(seconds)],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(case, Ended(*one)) for case, one in zip(chosen, json.loads(done.stdout), strict=True)]


def fault(case: Planted, ended: Ended) -> str | None:
    """Return what is wrong with the end of a case; None if nothing is."""
    last = ended.said.strip().rpartition("\n")[2][:300]
    if ended.code is None:
        return "it hung"
    if "Traceback" in ended.said or ended.code not in (0, 1, 2, 3):
        return f"it broke with {ended.code}: {last}"
    is_sentence = last.endswith(".") and "Error: " in ended.said
    if ended.code == 1 and not is_sentence and case.command != "backups":  # which shows in a table what is wrong
        return f"it did not say a sentence: {last}"
    is_followed = case.kind == "link to a file" and case.file.startswith(".mitmproxy")
    if case.command in FILES[case.file] and ended.code == 0 and not is_followed:
        return f"it went on: {last}"
    return case.touched()

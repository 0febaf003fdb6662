"""The proxy that a program goes through: the one that serves on the port already, or one that is started for the run.

A proxy that is started serves until its last user is gone: users share a lock on a file in a private folder, and the
programs that runs start inherit it, so that neither the end of one run nor a kill takes the proxy from another.
"""

import fcntl
import os
import re
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from llm_metrics_proxy.recorder.client_setup import signature
from llm_metrics_proxy.recorder.client_setup.proxy_url import ProxyUrl, address_text
from llm_metrics_proxy.recorder.doctor import port
from llm_metrics_proxy.recorder.doctor.port import STATUS_URL, process_at
from llm_metrics_proxy.recorder.errors import RunRefused
from llm_metrics_proxy.recorder.running import until_unused
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.files import open_regular, read

_PATIENCE_SECONDS = 3.0  # for an answer of whoever listens
_START_SECONDS = 60.0  # a start may migrate a database, and make a backup before
_SETTLE_SECONDS = 0.4  # a row is written 0.25 s after its call at the latest
_END_SECONDS = 20.0  # for the rows of a proxy that ends
_POLL_SECONDS = 0.02
_LEAST_DESCRIPTOR = 200  # programs use the low ones as they like
_PASSWORD_WANTED = 407
# As addon/starting/greeting.py prints it, or as JSON.
_GREETING = re.compile(r'^LLM metrics .*?^Then: [^\n]*\n|^\{[^\n]*"event": "started"[^\n]*\n', re.MULTILINE | re.DOTALL)
_MOST_LINES = 20
_KEPT_SECONDS = 86_400.0
_OURS = "llm-metrics: "
_ANOTHER_PORT = "choose another port with --port"


class Proxy:
    """A proxy that records into `database`: `use()` it, give `descriptor` to programs, `leave()` it."""

    def __init__(self, host: str, port: int, database: Path, authority: Path, workers: int | None = None) -> None:
        """Touch nothing yet; port 0 is a free one, `authority` the certificate of the CA that programs are to trust.

        `workers` is how many it is to have, None: as many as it has.
        """
        self.host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - where clients find it
        self.port = port or _free_port(self.host)
        self.database = database
        self.authority = authority
        self._workers = workers
        self.has_others = False
        """Other programs go through it, so their calls may be among those of a run."""
        self.descriptor = -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port as one text."""
        return address_text(self.host, self.port)

    @property
    def url(self) -> str:
        """The URL without a label."""
        return f"http://{self.address}"

    @property
    def log(self) -> Path:
        """The file that takes what a proxy that was started here says."""
        return _folder() / f"{self.port}-{os.getpid()}.log"

    def use(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Use the proxy that serves, or start one by `command`, which has this host and port, and heeds the lock.

        Raises:
            RunRefused: the port is another program's, or its proxy records into another database, or cannot start.
        """
        ends = time.monotonic() + _START_SECONDS
        while True:
            self._take_part(ends)
            if self._serves():
                self.has_others = True
                self._check_authority()
                return
            if self._start(command, environment, ends):
                self.has_others = False
                return

    def leave(self) -> None:
        """Stop using it, and wait until the rows are written; a proxy of runs that has no other user ends."""
        os.close(self.descriptor)
        settled, ends = time.monotonic() + _SETTLE_SECONDS, time.monotonic() + _END_SECONDS
        while time.monotonic() < settled and not _is_ending(self._users()):
            time.sleep(_POLL_SECONDS)
        self.has_others |= not _is_ending(self._users()) and self._process is not None and self._process.poll() is None
        while time.monotonic() < ends and _is_ending(self._users()):
            time.sleep(_POLL_SECONDS)
        if self._process is not None:
            self._process.poll()

    def said(self) -> list[str]:
        """Return the last lines that a proxy that was started here has logged, without its greeting; forget them."""
        if self._process is None:
            return []
        with suppress(OSError):
            lines = _lines(self.log)
            self.log.unlink()
            return lines[-_MOST_LINES:]
        return []

    def _users(self) -> Path:
        return _folder() / f"{self.port}.users"

    def _take_part(self, ends: float) -> None:
        """Share the lock of the users, which says that the proxy is needed; one that is ending is waited for."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        while True:
            low = open_regular(self._users(), os.O_CREAT | os.O_RDWR)
            try:
                descriptor = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _LEAST_DESCRIPTOR)
            finally:
                os.close(low)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                if time.monotonic() > ends:
                    what = f"The proxy on {self.address} has been ending for {_START_SECONDS:g} s"
                    raise RunRefused(what=what, cure=f"see what it is doing, or {_ANOTHER_PORT}") from None
                time.sleep(_POLL_SECONDS)
            else:
                self.descriptor = descriptor
                return

    def _serves(self) -> bool:
        """Tell whether a proxy of ours serves there, and records into the database.

        Raises:
            RunRefused: somebody else does.
        """
        place = ProxyUrl(self.host, self.port, None)
        try:
            answer = port.get(place, STATUS_URL, _PATIENCE_SECONDS)
        except ConnectionRefusedError:
            return False
        except OSError as error:
            what = f"{self.address} cannot be asked ({error.strerror or 'it says nothing'}){self._owner()}"
            raise RunRefused(what=what, cure=_ANOTHER_PORT) from error
        signed = signature.read(answer.body)
        if signed is None:
            if answer.status == _PASSWORD_WANTED:
                what = f"The proxy on {self.address} wants a user and a password"
                cure = f"set its variables with llm-metrics env --proxy http://USER:PASSWORD@{self.address}"
                raise RunRefused(what=what, cure=f"{cure}, or {_ANOTHER_PORT}")
            raise RunRefused(what=f"{self.address} is another program's{self._owner()}", cure=_ANOTHER_PORT)
        ends = time.monotonic() + _PATIENCE_SECONDS
        while signed.recorder not in self._recorders():
            if time.monotonic() > ends or not self.database.exists():
                what = f"The proxy on {self.address} does not record into {self.database}"
                raise RunRefused(what=what, cure=f"give its database with --db, or {_ANOTHER_PORT}")
            time.sleep(_POLL_SECONDS)  # it listens a moment before its recorder is there
            signed = signature.read(port.get(place, STATUS_URL, _PATIENCE_SECONDS).body) or signed
        if self._workers not in (None, signed.workers):
            has = f"{signed.workers} worker{'s' if signed.workers != 1 else ''}"
            what = f"The proxy that serves on {self.address} has {has}, not {self._workers}"
            raise RunRefused(what=what, cure=f"leave --workers out to use it, or {_ANOTHER_PORT}")
        return True

    def _check_authority(self) -> None:
        """Refuse a proxy that signs with another CA than the one that the program would trust.

        Raises:
            RunRefused: it does. One that hands out no certificate is taken at its word.
        """
        with suppress(OSError):
            certificate = port.get(ProxyUrl(self.host, self.port, None), port.CERTIFICATE_URL, _PATIENCE_SECONDS).body
            if certificate.startswith(port.CERTIFICATE) and certificate.strip() != read(self.authority).strip():
                what = f"The proxy on {self.address} signs with another CA than {self.authority}"
                cure = f"name the folder of its CA with --set confdir=FOLDER, or {_ANOTHER_PORT}"
                raise RunRefused(what=what, cure=cure)

    def _recorders(self) -> set[str]:
        return {signature.fingerprint(name) for name in presence.living(self.database.resolve())}

    def _owner(self) -> str:
        name = process_at(self.port)
        return f" ({name})" if name else ""

    def _start(self, command: Sequence[str], environment: Mapping[str, str], ends: float) -> bool:
        """Start a proxy and wait until it serves; False if another was faster, which is to be used then."""
        _sweep()
        descriptor = open_regular(self.log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a command of our own
                command,
                env={**environment, until_unused.LOCK: str(self._users())},
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,  # what a terminal sends to the program is not for the proxy
            )
        finally:
            os.close(descriptor)
        while self._process.poll() is None:
            with suppress(RunRefused):
                if self._serves():
                    return True
            if time.monotonic() > ends:
                self._process.terminate()
                raise RunRefused(what=f"The proxy did not start within {_START_SECONDS:g} s", cure=f"see {self.log}")
            time.sleep(_POLL_SECONDS)
        self._process = None
        if self._serves():
            return False
        raise _refusal(self.log)


def _lines(log: Path) -> list[str]:
    """The lines that a proxy has logged, without its greeting."""
    return [line for line in _GREETING.sub("", read(log).decode(errors="replace")).splitlines() if line.strip()]


def _refusal(log: Path) -> RunRefused:
    """Make an error of what a start that was refused has logged: our own sentence, or mitmproxy's last line."""
    lines = _lines(log)
    for line in reversed(lines):
        if line.startswith(_OURS):
            what, _, cure = line.removeprefix(_OURS).rstrip(".").rpartition(": ")
            log.unlink()
            return RunRefused(what=what, cure=cure)
    last = lines[-1] if lines else "it said nothing"
    return RunRefused(what=f"The proxy did not start ({last})", cure=f"see {log}")


def _is_ending(users: Path) -> bool:
    """Tell whether the proxy holds the lock alone, so that it has no user any more."""
    descriptor = open_regular(users, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _folder() -> Path:
    """Return the private folder of this user's runs.

    Raises:
        RunRefused: another user made a folder of its name.
    """
    given = os.environ.get("XDG_RUNTIME_DIR")
    place = given if given and os.access(given, os.W_OK | os.X_OK) else tempfile.gettempdir()
    folder = Path(place) / f"llm-metrics-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        what = f"The folder {folder} cannot be made ({error.strerror})"
        raise RunRefused(what=what, cure="set TMPDIR to a folder that can be written") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        what = f"{folder} is not a private folder of yours"
        raise RunRefused(what=what, cure="remove it, or set TMPDIR to another folder")
    return folder


def _sweep() -> None:
    """Remove the logs of runs that were killed long ago."""
    for log in _folder().glob("*.log"):
        with suppress(OSError):
            if log.stat().st_mtime < time.time() - _KEPT_SECONDS:
                log.unlink()


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        return int(server.getsockname()[1])

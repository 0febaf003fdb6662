"""A real PostgreSQL, from the server binaries of this machine, as a user that is not root."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.support.ports import free_port

PASSWORD = "geheim-7"
_OWN = Path("/usr/lib/postgresql")  # where Debian has them, by version
_STARTS_WITHIN = 30.0
_QUICK = {"fsync": "off", "full_page_writes": "off"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "timezone": "America/St_Johns",  # nothing may depend on it
}


def binaries() -> Path | None:
    """The folder of the newest server's programs."""
    found = sorted(_OWN.glob("*/bin/postgres"), key=lambda program: int(program.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """A server of its own in a folder of its own, with a superuser `postgres` that needs a password only over TCP."""

    def __init__(self, *, durable: bool = False) -> None:
        """Start it; `durable` is as it comes, else it is quick and may lose all in a power cut."""
        self._settings = _SETTINGS if durable else _SETTINGS | _QUICK
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))  # near the root: a socket's path is short
        self._programs = binaries() or Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = free_port()
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self._folder, password):
                os.chown(path, _nobody().pw_uid, _nobody().pw_gid)
        options = ["--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C", f"--pwfile={password}"]
        options += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pgdata={self._folder / 'data'}"]
        subprocess.run([*_as_nobody(), self._programs / "initdb", *options], check=True, stdout=subprocess.DEVNULL)
        self.start()
        self.execute("ALTER SYSTEM SET deadlock_timeout = '50ms'", "SELECT pg_reload_conf()")

    def start(self, *, wait: bool = True) -> None:
        """Start it, unless it runs; with `wait` it accepts connections afterwards."""
        if self._process is not None:
            return
        command = [
            *_as_nobody(),
            str(self._programs / "postgres"),
            "-D",
            str(self._folder / "data"),
            "-p",
            str(self.port),
        ]
        for name, value in (self._settings | {"unix_socket_directories": str(self._folder)}).items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _STARTS_WITHIN
        while wait:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise TimeoutError((self._folder / "log").read_text()[-2_000:]) from None
                time.sleep(0.02)
            else:
                break

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it at once, as a crash would; with SIGINT as a restart does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_STARTS_WITHIN)
            self._process = None

    def __enter__(self) -> Self:
        """Nothing more than what is there."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Leave nothing behind."""
        self.close()

    def close(self) -> None:
        """Stop it, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder)

    def database(self, *, options: str = "") -> str:
        """The name of a new, empty database."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return name

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """A DSN through the socket, for which nobody is asked for a password."""
        return f"host={self._folder} port={self.port} dbname={database} user={user}"

    def url(self, database: str, user: str, password: str) -> str:
        """A DSN over TCP, for which a password counts."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[psycopg.rows.TupleRow]:
        """Run them as superuser, each in a transaction of its own; the rows of the last."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _as_nobody() -> list[str]:
    """A server does not run as root, and shall not outlive the tests, however they end."""
    fast = ["setpriv", "--pdeathsig=INT"]
    if os.geteuid() == 0:
        fast += [f"--reuid={_nobody().pw_uid}", f"--regid={_nobody().pw_gid}", "--clear-groups"]
    return fast

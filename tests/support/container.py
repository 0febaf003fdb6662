"""Containers without an engine: what Dockerfile and compose.yaml say, done with namespaces, a chroot and setpriv.

deploy/scripts/build-image makes it in a root of its own, to which this machine lends /usr and Python, read-only. A
container then runs as its Dockerfile's user, without capabilities, on a read-only root with a volume and a /tmp, in a
network of its own. Needs root, and Linux.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ruamel.yaml import YAML

from tests.support.proxy import ROOT

APP = "/opt/llm-metrics"
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+):-([^}]*)\}")
_LENT = ("/usr", *({sys.base_prefix} if not sys.base_prefix.startswith("/usr/") else ()))
_CLEAN = {"PATH": f"{sys.base_prefix}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_OWN = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
_PRIVILEGES = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


def missing() -> str | None:
    """Return the reason why no container can be made here; None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "namespaces and chroot need root on Linux"
    tools = ("unshare", "nsenter", "setpriv", "chroot", "mount", "ip")
    return next((f"there is no {tool}" for tool in tools if not shutil.which(tool)), None)


def compose(**variables: str) -> dict[str, Any]:
    """compose.yaml with `variables` in the environment; its texts are filled in after YAML has been read."""

    def filled(value: Any) -> Any:  # noqa: ANN401 - any node of YAML
        match value:
            case dict():
                return {name: filled(one) for name, one in value.items()}
            case list():
                return [filled(one) for one in value]
            case str():
                return _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], value).replace("$$", "$")
        return value

    loaded: dict[str, Any] = filled(YAML(typ="safe").load((ROOT / "compose.yaml").read_text()))
    return loaded


@dataclass
class Stage:
    """A stage of the Dockerfile, as far as it concerns the containers made of it."""

    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, each with what it has of the one before it."""
    found: dict[str, Stage] = {}
    stage = Stage()
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "FROM":
                origin, _, name = rest.partition(" AS ")
                before = found.get(origin, Stage())
                stage = found[name] = Stage(dict(before.environment), before.user, list(before.entrypoint))
            case "ENV":
                for pair in shlex.split(rest):
                    name, _, value = pair.partition("=")
                    stage.environment[name] = value.replace("$PATH", _CLEAN["PATH"])
            case "USER":
                stage.user = rest
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(rest)
            case "RUN":
                stage.steps.append(rest.partition(" ")[2])  # after its --mount, which is /source
    return found


class Image:
    """The file system of a stage, made in `folder` by the stage's own steps."""

    def __init__(self, folder: Path, stage: str, wheels: Path) -> None:
        """Run the steps; `wheels` stand for the package index, so that no network is needed in the root."""
        self.stage = stages()[stage]
        self.root = folder / "root"
        for name in ("dev", "proc", "tmp", "opt/llm-metrics", "etc", "source", "wheels", "extra", *map(_inside, _LENT)):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path(f"/{name}").is_symlink():
                (self.root / name).symlink_to(Path(f"/{name}").readlink())
        shutil.copy("/etc/ld.so.cache", self.root / "etc")
        context = folder / "context"
        for name in (ROOT / ".dockerignore").read_text().split("\n"):
            if name.startswith("!"):
                _copy(ROOT / name[1:], context / name[1:])
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_CONFIG_FILE": "/dev/null"}
        for step in self.stage.steps:
            lent = {"/source": context, "/wheels": wheels}
            script = [*_mounts(self.root, lent), shlex.join(["exec", "chroot", str(self.root), "sh", "-c", step])]
            done = subprocess.run(
                [*_OWN, "sh", "-euc", "\n".join(script)],
                env=_CLEAN | self.stage.environment | pip,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr


class Network:
    """A network that only has a loopback interface: what is done in it sees nothing of the others'."""

    def __init__(self) -> None:
        """Make it, and hold it open."""
        self._file = ThreadPoolExecutor(1).submit(self._make).result()

    def close(self) -> None:
        """Let go of it: it ends with the last process that is in it."""
        os.close(self._file)

    def within[**P, T](self, what: Callable[P, T]) -> Callable[P, T]:
        """`what` to be called in the network, in a thread of its own: sockets belong to where their thread was."""

        def enter_and_call(*arguments: P.args, **named: P.kwargs) -> T:
            os.setns(self._file, os.CLONE_NEWNET)
            return what(*arguments, **named)

        def called(*arguments: P.args, **named: P.kwargs) -> T:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(enter_and_call, *arguments, **named).result()

        return called

    @staticmethod
    def _make() -> int:
        os.unshare(os.CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: S607 - wherever it is
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


class Container:
    """A process of an image, as a context manager; `volume` is its /data, and `log` what it has said."""

    def __init__(  # noqa: PLR0913 - what a service of compose.yaml can say
        self,
        image: Image,
        network: Network,
        volume: Path,
        service: Mapping[str, Any],
        *,
        command: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        extra: Path | None = None,
        log: Path | None = None,
    ) -> None:
        """Prepare it; `command` and `environment` are added to those of the service, `extra` is mounted as /extra.

        What it says goes into `log`, else into a file beside the volume, without what an earlier one said there.
        """
        self.log_file = log or volume.with_suffix(".log")
        self.volume = volume
        self._network = network
        given = {name: str(value) for name, value in service.get("environment", {}).items()}
        self._environment = _CLEAN | image.stage.environment | given | dict(environment or {})
        user, _, group = image.stage.user.partition(":")
        self._as_user = ["setpriv", f"--reuid={user}", f"--regid={group}", *_PRIVILEGES]
        self._grace = float(service.get("stop_grace_period", "10s").removesuffix("s"))
        if not volume.exists():  # a new volume takes over what the image has there
            volume.mkdir()
            shutil.copystat(image.root / "data", volume)
            os.chown(volume, int(user), int(group))
        program = [*image.stage.entrypoint, *service.get("command", ()), *command]
        script = _mounts(image.root, {"/extra": extra} if extra else {})
        script += [f"mount --bind {volume} {image.root}/data"]
        script += [f"mount -o remount,bind,ro {image.root}"] if service.get("read_only") else []
        script += [
            f"mount -t tmpfs {_options(one)} tmpfs {image.root}{one.partition(':')[0]}" for one in service["tmpfs"]
        ]
        inside = ["env", f"--chdir={APP}", *self._as_user, *program]
        script += [shlex.join(["exec", "chroot", str(image.root), *inside])]
        self._command = [*_OWN, "sh", "-euc", "\n".join(script)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.log_file.read_text()

    def __enter__(self) -> Self:
        """Start it, and go on at once."""
        with self.log_file.open("wb") as log:
            start = self._network.within(subprocess.Popen[bytes])
            self._process = start(self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Kill it if it still runs."""
        process = self._started()
        if process.poll() is None:
            os.kill(self.pid(), signal.SIGKILL)
        process.wait()

    def wait(self, seconds: float) -> int:
        """Wait for its end; return its exit code."""
        return self._started().wait(seconds)

    def stop(self) -> tuple[int, float]:
        """Do as `docker stop`: SIGTERM, then wait for the grace period. Return the exit code and the seconds."""
        began = time.monotonic()
        os.kill(self.pid(), signal.SIGTERM)
        return self.wait(self._grace), time.monotonic() - began

    def pid(self) -> int:
        """Its first process, as this machine counts."""
        unshare = self._started().pid
        children = Path(f"/proc/{unshare}/task/{unshare}/children")
        while not (found := children.read_text().split()):
            assert self._started().poll() is None, self.log
            time.sleep(0.01)
        return int(found[0])

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Do as `docker exec`: run a command within it, as its user."""
        enter = ["nsenter", f"--target={self.pid()}", "--mount", "--pid", "--net", "--root", "--wd"]
        return subprocess.run(
            [*enter, *self._as_user, *command], env=self._environment, capture_output=True, text=True, check=False
        )

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


def health(service: Mapping[str, Any]) -> list[str]:
    """The command of a service's health check."""
    kind, *words = service["healthcheck"]["test"]
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


def _mounts(root: Path, lent: Mapping[str, Path]) -> list[str]:
    lines = [f"mount --bind {root} {root}", f"mount --rbind /dev {root}/dev", f"mount -t proc proc {root}/proc"]
    for inside, outside in [*((one, Path(one)) for one in _LENT), *lent.items()]:
        lines += [f"mount --bind {outside} {root}{inside}", f"mount -o remount,bind,ro {root}{inside}"]
    return lines


def _options(tmpfs: str) -> str:
    options = tmpfs.partition(":")[2]
    return f"-o noexec,nosuid,nodev,mode=1777{',' if options else ''}{options}"


def _inside(path: str) -> str:
    return path.lstrip("/")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)

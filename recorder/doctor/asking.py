"""Trials of clients: each is really run, and asks for the addon's signature over TLS.

A client runs once as the environment has it and, if that does not reach the proxy, once more with the proxy's address
given to it. So its way to the proxy and its trust in the CA are judged apart.

The only thing that leaves for the internet is the look-up of a name that does not exist, by clients that go around the
proxy.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.client_setup import signature
from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, STATUS_PATH
from llm_metrics_proxy.recorder.client_setup.variables import NODE_SWITCH
from llm_metrics_proxy.recorder.doctor import HTTPS_VARIABLES, Circumstances

URL: Final = f"https://{STATUS_HOST}{STATUS_PATH}"
PYTHON_CLIENTS: Final = ("urllib", "requests", "httpx", "httpx2", "boto3")
_LEADING = ("https_proxy", "all_proxy")  # Python takes them in any spelling
_HERE = Path(__file__).parent
_PATIENCE_SECONDS = 30  # for a program that imports much, and waits for a name server
_CURL_SECONDS = "10"
_CURL_UNTRUSTED = (60, 77)  # the certificate was refused; the file of certificates cannot be read

type Environment = Mapping[str, str]


class Answer(msgspec.Struct):
    """The result of one client; the names are those that the probes print. No version: it is not installed."""

    client: str
    version: str | None = None
    body: str | None = None
    untrusted: bool = False
    said: str = ""

    @property
    def proved(self) -> bool:
        """True if the addon has answered it."""
        return self.body is not None and signature.read(self.body.encode()) is not None


class Asked(msgspec.Struct):
    """The answers of one client: as the environment has it (None: it names no proxy), and shown the way."""

    client: str
    as_it_is: Answer | None
    shown: Answer | None

    @property
    def last(self) -> Answer:
        """The answer that tells most."""
        answer = self.shown or self.as_it_is
        assert answer is not None  # noqa: S101 - one of them is always there
        return answer


def python(at: Circumstances) -> list[Asked]:
    """Ask the clients of an interpreter.

    Raises:
        OSError, ValueError, subprocess.SubprocessError: it cannot be run, or is no Python.
    """
    command = python_of(at)

    def run(environment: Environment, clients: Iterable[str]) -> list[Answer]:
        probe = (_HERE / "ask_python.py").read_text()
        said = _run([command, "-", URL, *clients], environment, stdin=probe)
        return msgspec.json.decode(said.stdout, type=list[Answer])

    first = run(at.environment, PYTHON_CLIENTS) if _names_a_proxy(at) else []
    before = {answer.client: answer for answer in first}
    again = [name for name in PYTHON_CLIENTS if name not in before or _went_astray(before[name])]
    shown = {answer.client: answer for answer in run(_showing(at), again)} if again else {}
    return [Asked(name, before.get(name), shown.get(name)) for name in PYTHON_CLIENTS]


def python_of(at: Circumstances) -> str:
    """Return the interpreter that is asked: the given one, else the first on the caller's PATH."""
    path = at.environment.get("PATH")
    return at.python or shutil.which("python", path=path) or shutil.which("python3", path=path) or sys.executable


def curl(at: Circumstances, program: str) -> Asked:
    """Ask curl.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be run.
    """

    def run(environment: Environment) -> Answer:
        options = ["--silent", "--show-error", "--max-time", _CURL_SECONDS]
        said = _run([program, *options, URL], environment)
        untrusted = said.returncode in _CURL_UNTRUSTED
        return Answer("curl", version, said.stdout or None, untrusted, said.stderr.strip().partition("\n")[0])

    version = (_run([program, "--version"], at.environment).stdout.split() or ["", "?"])[1]
    return _both("curl", at, run)


def node(at: Circumstances, program: str) -> Asked:
    """Ask Node; one that does not read HTTPS_PROXY is shown a tunnel instead.

    Raises:
        OSError, ValueError, subprocess.SubprocessError: it cannot be run.
    """

    def run(environment: Environment, *proxy: str) -> Answer:
        said = _run([program, str(_HERE / "ask_node.mjs"), URL, *proxy], environment)
        return msgspec.json.decode(said.stdout, type=Answer)

    proxy = at.proxy
    where = (proxy.host, str(proxy.port), *proxy.authorization.values())
    asked = _both("node", at, run)
    if asked.shown is not None and _went_astray(asked.shown):
        asked.shown = run(at.environment, *where)
        asked.as_it_is = asked.as_it_is or Answer("node", asked.shown.version)
    return asked


def _both(client: str, at: Circumstances, run: Callable[[Environment], Answer]) -> Asked:
    first = run(at.environment) if _names_a_proxy(at) else None
    return Asked(client, first, run(_showing(at)) if first is None or _went_astray(first) else None)


def _went_astray(answer: Answer) -> bool:
    return answer.version is not None and not answer.proved and not answer.untrusted


def _names_a_proxy(at: Circumstances) -> bool:
    """Tell whether anybody would go through a proxy: the others would wait for a name server in vain."""
    return any(value and name.lower() in _LEADING for name, value in at.environment.items())


def _showing(at: Circumstances) -> dict[str, str]:
    """Return the environment with the way to the proxy in it; what is trusted stays as it is."""
    left = {name: value for name, value in at.environment.items() if not name.lower().endswith("_proxy")}
    return left | dict.fromkeys(HTTPS_VARIABLES, at.url) | {NODE_SWITCH: "1"}


def _run(command: list[str], environment: Environment, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - programs of the caller's PATH, which is what is asked about
        command,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE_SECONDS,
        check=False,
    )

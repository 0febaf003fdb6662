"""Checks of the installed clients: each is really run, and asks for the addon's signature over TLS.

It goes through the proxy and trusts its CA by its own rules. A client runs once as the environment has it and, if that
does not reach the proxy, once more with the proxy's address given to it. So its way to the proxy and its trust in the
CA are judged apart. The only thing that leaves for the internet is the look-up of a name that does not exist, by
clients that go around the proxy.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.recorder.client_setup import signature
from llm_metrics_proxy.recorder.client_setup.signature import STATUS_HOST, STATUS_PATH
from llm_metrics_proxy.recorder.client_setup.variables import ADDING, NODE_SWITCH, sh_line
from llm_metrics_proxy.recorder.doctor import HTTPS_VARIABLES, Check, Circumstances, fail, ok, untried, warn
from llm_metrics_proxy.recorder.doctor.port import Found

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


_VERIFYING = re.compile(r"certificate verify failed: ([^()\[\]/']+)")
_LONGEST = 160  # characters of what a client says


class _Client(NamedTuple):
    """A client: the name it is shown by, the variables by which it decides whom to trust, first come first served."""

    title: str
    decides_by: tuple[str, ...]
    otherwise: str
    is_expected: bool = True  # else it is named only where it is installed


CLIENTS: Final = {
    "urllib": _Client("Python", ("SSL_CERT_FILE", "SSL_CERT_DIR"), "the system's roots"),
    "requests": _Client("requests", ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "certifi's roots"),
    "httpx": _Client("httpx", ("SSL_CERT_FILE", "SSL_CERT_DIR"), "certifi's roots", is_expected=False),
    "httpx2": _Client("httpx2", ("SSL_CERT_FILE", "SSL_CERT_DIR"), "its own roots", is_expected=False),
    "boto3": _Client("boto3", ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), "ca_bundle in ~/.aws/config, or its own roots"),
    "curl": _Client("curl", ("CURL_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"), "the roots that it was built with"),
    "node": _Client("Node", (ADDING,), "its own roots"),
}


def look(at: Circumstances, found: Found) -> Iterator[Check]:
    """Ask those that are installed, all at once; say of the others what they would decide by."""
    if found.signature is None:
        for name in (name for name, client in CLIENTS.items() if client.is_expected):
            yield untried(
                CLIENTS[name].title, f"It was not tried, since the proxy does not answer. {_deciding(at, name)}"
            )
        return
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(_python, at), pool.submit(_program, at, "curl", curl)]
        waiting.append(pool.submit(_program, at, "node", node))
        for checks in waiting:
            yield from checks.result()


def _python(at: Circumstances) -> list[Check]:
    try:
        answers = python(at)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        what = f"{python_of(at)} could not be asked ({_short(error)})."
        return [warn("Python", what, "give the interpreter of your programs with --python PATH")]
    where = python_of(at)
    return [_judged(at, asked, where) for asked in answers if asked.last.version or CLIENTS[asked.client].is_expected]


def _program(at: Circumstances, name: str, ask: Callable[[Circumstances, str], Asked]) -> list[Check]:
    program = shutil.which(name, path=at.environment.get("PATH"))
    if program is None:
        return [untried(CLIENTS[name].title, f"It is not installed here. {_deciding(at, name)}")]
    try:
        return [_judged(at, ask(at, program), program)]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return [
            warn(CLIENTS[name].title, f"{program} could not be asked ({_short(error)}).", f"see whether {name} runs")
        ]


def _judged(at: Circumstances, asked: Asked, where: str) -> Check:
    client, last = CLIENTS[asked.client], asked.last
    if last.version is None:
        return untried(client.title, f"It is not installed for {where}. {_deciding(at, asked.client)}")
    version = f"Version {last.version}"
    if last.untrusted:
        what = f"{version} does not trust the proxy's CA ({_reason(last.said)}). {_deciding(at, asked.client)}"
        return fail(client.title, what, _trusting(at, asked.client))
    if not last.proved:
        what = f"{version} does not get through the proxy ({_short(last.said or last.body or 'no answer')})."
        return fail(client.title, what, f"see what {where} is told of proxies elsewhere, such as in a file of its own")
    if asked.shown is None:
        return ok(client.title, f"{version} goes through the proxy and trusts its CA.")
    if asked.client == "node":
        return warn(client.title, *_around_of_node(at, last.version))
    what = f"{version} trusts the proxy's CA, but no variable leads it there"
    if asked.as_it_is is not None:
        why = _short(asked.as_it_is.said or "another answered")
        what = f"{version} trusts the proxy's CA, but does not get to the proxy ({why})"
    return fail(client.title, f"{what}.", _leading(at))


def _around_of_node(at: Circumstances, version: str) -> tuple[str, str]:
    what = f"Version {version} trusts the proxy's CA, but goes around the proxy"
    if not _reads_variables(version):
        fix = "use Node 22.21, 24.5 or newer, or undici's EnvHttpProxyAgent in the program"
        return f"{what}: this version does not read HTTPS_PROXY.", fix
    if at.environment.get(NODE_SWITCH) != "1":
        return f"{what}: it reads HTTPS_PROXY only if {NODE_SWITCH} is 1.", sh_line(NODE_SWITCH, "1")
    return f"{what}.", _leading(at)


def _reads_variables(version: str) -> bool:
    major, minor = (int(part) if part.isdigit() else 0 for part in [*version.split("."), "0"][:2])
    return (major == 22 and minor >= 21) or (major, minor) >= (24, 5)  # noqa: PLR2004 - as Node's guide has it


def _deciding(at: Circumstances, name: str) -> str:
    """Return the sentence on what a client decides by."""
    client = CLIENTS[name]
    if (variable := at.first_set(client.decides_by)) is not None:
        return f"It decides by {variable}, which is {at.environment[variable]}."
    unset = "which is not set" if len(client.decides_by) == 1 else "which are not set"
    return f"It decides by {' or '.join(client.decides_by)}, {unset}, so by {client.otherwise}."


def _leading(at: Circumstances) -> str:
    if at.names_the_proxy(at.environment.get(at.first_set(HTTPS_VARIABLES) or "", "")):
        return "unset NO_PROXY no_proxy, or remove the entries that match too much"
    return sh_line("HTTPS_PROXY", at.url)


def _trusting(at: Circumstances, name: str) -> str:
    client = CLIENTS[name]
    file = at.authority if name == "node" else at.trusted
    return sh_line(client.decides_by[0], str(file))


def _reason(said: str) -> str:
    """Return OpenSSL's words out of what a client has wrapped around them."""
    found = _VERIFYING.search(said)
    return found.group(1).strip() if found else _short(said)


def _short(what: object) -> str:
    text = " ".join(str(what).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."

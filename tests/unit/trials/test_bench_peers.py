"""The bench's peers: a Python says how it was built, what cannot be had says why, and each program is told right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trials.bench import build
from tests.trials.bench.peers import environment, envoy, interpreter, patched
from tests.trials.bench.peers.catalogue import PEERS, Peer, prepared
from tests.trials.bench.peers.environment import NotHadError
from tests.trials.bench.provider import Provider
from tests.trials.bench.systems import SYSTEMS

_PYENV = {"CONFIG_ARGS": "'--prefix=/x'", "PGO_PROF_USE_FLAG": "-fprofile-use -fprofile-correction"}


@pytest.mark.parametrize(
    ("variables", "said", "optimised"),
    [
        (_PYENV, "not optimised: no PGO, no LTO", False),
        (_PYENV | {"CONFIG_ARGS": "'--enable-optimizations'"}, "optimised: PGO", True),
        (_PYENV | {"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'"}, "optimised: PGO, LTO", True),
        (_PYENV | {"CONFIG_ARGS": "'--with-lto=no'"}, "not optimised: no PGO, no LTO", False),
        (_PYENV | {"CONFIG_ARGS": "'--with-lto'"}, "optimised: LTO", False),
        ({"CONFIG_ARGS": "'--prefix=/usr'", "PGO_PROF_USE_FLAG": ""}, "optimised: PGO by its distribution", True),
        ({}, "not optimised: no PGO, no LTO", False),
    ],
)
def test_a_python_says_how_it_was_built(variables: dict[str, str], said: str, optimised: bool) -> None:  # noqa: FBT001 - a parameter of the case
    assert build.build_of(variables) == said
    assert build.is_optimised(said) is optimised


def test_a_python_is_asked_and_what_is_none_is_not(tmp_path: Path) -> None:
    found = build.asked(Path(sys.executable))
    assert found is not None
    assert found.numbers == sys.version_info[:3]
    assert found.build == build.own_build()
    for name, script in {"old": "#!/bin/sh\necho '[[3, 11, 2], {\"Py_GIL_DISABLED\": 0}]'\n", "no": "exit 1\n"}.items():
        path = tmp_path / name
        path.write_text(script)
        path.chmod(0o755)
        assert build.asked(path) is None
    assert build.asked(tmp_path / "nowhere") is None


def test_what_cannot_be_had_is_left_out_and_says_why() -> None:
    def refused() -> None:
        why = "there is none"
        raise NotHadError(why)

    not_run: dict[str, str] = {}
    assert prepared([Peer("a", "A", refused)], not_run) == []  # type: ignore[arg-type]
    assert not_run == {"a": "there is none"}


def test_why_something_could_not_be_installed_names_no_host() -> None:
    told = "import sys; sys.exit('ERROR: no such file: https://host.invalid/simple/x/')"
    with pytest.raises(NotHadError, match=r"^it could not be installed: ERROR: no such file: \.\.\.$"):
        environment.run([sys.executable, "-c", told])
    with pytest.raises(NotHadError, match="FileNotFoundError"):
        environment.run(["no-such-program-of-this-machine"])


def test_a_python_that_is_not_optimised_is_no_peer(tmp_path: Path) -> None:
    with pytest.raises(NotHadError, match="no other Python"):
        interpreter.prepared(interpreter.OURS, tmp_path / "nowhere")


def test_every_system_has_a_name_and_a_title_of_its_own() -> None:
    for names in ([*(one.name for one in SYSTEMS), *(peer.name for peer in PEERS)], [peer.title for peer in PEERS]):
        assert len(set(names)) == len(names)


def test_envoy_is_told_to_speak_tls_on_both_sides(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    provider.ports.tls = 4433
    told = str(envoy.configuration(8443, tmp_path / "a.pem", tmp_path / "a.key", provider))
    assert all(one in told for one in ("DownstreamTlsContext", "UpstreamTlsContext", "'port_value': 4433", "8443"))
    assert str(provider.ca) in told


def test_a_patch_that_does_not_apply_is_said(tmp_path: Path) -> None:
    package = tmp_path / "mitmproxy"
    package.mkdir()
    (package / "addonmanager.py").write_text("something else\n")
    with pytest.raises(NotHadError):
        patched.patched(tmp_path / "patched", ("dispatch",), package)


_TRIED = """
import asyncio
import logging
from mitmproxy import addonmanager, exceptions, hooks, master, options
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, server

class Log(logging.Handler):
    def emit(self, record):
        print("log", record.levelname, record.exc_info and record.exc_info[0].__name__)

logging.getLogger().addHandler(Log())

class Addon:
    def __init__(self, name, **functions):
        self.name = name
        vars(self).update(functions)

def halt():
    raise exceptions.AddonHalt

def noting(name):
    async def later():
        print("async", name)
    return later if name == "c" else lambda: print("called", name)

class Raising(Addon):
    @property
    def running(self):
        raise ValueError("no attribute")

async def main():
    manager = addonmanager.AddonManager(master.Master(options.Options()))
    inner = Addon("inner", running=noting("inner"))
    manager.chain = [
        Addon("a"), Addon("b", running=noting("b")), Addon("c", running=noting("c")), Addon("d", addons=[inner]),
        Raising("e"), Addon("f", running=3), Addon("g", running=halt), Addon("h", running=noting("never")),
    ]
    await manager.trigger_event(hooks.RunningHook())
    await manager.trigger_event("no hook")

asyncio.run(main())

one, two = Server(address=("one", 1)), Server(address=("two", 2))
datagrams = Server(address=("three", 3), transport_protocol="udp")

def said():
    for connection, data in ((one, b"a"), (one, b"b"), (two, b"c"), (one, b"d"), (datagrams, b"e"), (datagrams, b"f")):
        yield commands.SendData(connection, data)
    yield commands.Log("between")
    yield commands.SendData(one, b"g")
    yield commands.SendData(one, b"x" * 70_000)
    yield commands.SendData(one, b"h")
    raise RuntimeError("a layer has crashed")

server.MERGE_WRITES_FOR = 60  # however slow this machine is
merged = getattr(server, "merge_writes", iter)(said())
try:
    for command in merged:
        if isinstance(command, commands.SendData):
            print(command.connection.address[0], len(command.data), command.data[:9])
        else:
            print(type(command).__name__)
except RuntimeError as error:
    print(error)
"""


def _tried(*paths: Path) -> list[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    ran = subprocess.run([sys.executable, "-c", _TRIED], env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_patched_mitmproxy_does_what_mitmproxy_does_with_fewer_writes(tmp_path: Path) -> None:
    plain, both = _tried(), _tried(patched.patched(tmp_path, patched.NAMES))
    begin = plain.index("one 1 b'a'")
    assert both[:begin] == plain[:begin], "hooks"
    assert plain[begin:] == [
        "one 1 b'a'", "one 1 b'b'", "two 1 b'c'", "one 1 b'd'", "three 1 b'e'", "three 1 b'f'", "Log", "one 1 b'g'",
        "one 70000 b'xxxxxxxxx'", "one 1 b'h'", "a layer has crashed",
    ]  # fmt: skip
    assert both[begin:] == [
        "one 2 b'ab'", "two 1 b'c'", "one 1 b'd'", "three 1 b'e'", "three 1 b'f'", "Log", "one 1 b'g'",
        "one 70000 b'xxxxxxxxx'", "one 1 b'h'", "a layer has crashed",
    ]  # fmt: skip
    assert plain.count("log ERROR AddonManagerError") == 1
    assert "called never" not in plain

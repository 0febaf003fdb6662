"""The bench's peers: a Python says how it was built, what cannot be had says why, and each program is told right."""

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

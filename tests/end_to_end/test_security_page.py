"""What SECURITY.md says and no other test proves: where `make run` listens, hashes, a rotated CA, the bounds."""

import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy.addon import row
from llm_metrics_proxy.addon.framing.decoding import LIMIT
from llm_metrics_proxy.addon.privacy import masked
from llm_metrics_proxy.addon.providers import errors, usage, values
from llm_metrics_proxy.recorder.commands.run import run
from llm_metrics_proxy.recorder.running import CommandLine
from llm_metrics_proxy.recorder.store import account
from tests.support.proxy import ROOT
from tests.support.rig import at_once, question, started

PAGE = (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("arguments", [[], ["PORT=9000"], ["N=2"]])
def test_make_run_listens_on_this_machine_alone(arguments: list[str]) -> None:
    said = subprocess.run(
        [shutil.which("make") or "make", "--dry-run", "run", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    asked = run.make_context("run", said.rpartition("llm-metrics run")[2].split()).params
    words = CommandLine(asked["host"], asked["port"], asked["settings"]).words
    assert words[words.index("--listen-host") + 1] == "127.0.0.1"
    assert "ssl_insecure" not in " ".join(words)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    assert len(entries) > 30
    for entry in entries:
        assert re.match(r"[\w.\[\]-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    made_by = (ROOT / "deploy" / "scripts" / "make-venv").read_text().splitlines()
    installs = [line for line in made_by if re.search(r"pip install .*-r ", line)]
    assert len(installs) == 2  # by pip, and by uv
    assert all("--require-hashes" in line for line in installs)


def test_the_proxys_process_imports_nothing_that_reaches_out(tmp_path: Path) -> None:
    """Of our own packages: mitmproxy has its own clients, which it uses for what passes."""
    code = (
        "import sys; from llm_metrics_proxy.addon import row; from llm_metrics_proxy.addon.starting import settings; "
    )
    code += "from llm_metrics_proxy.recorder import recorder; "
    code += "print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"requests", "httpx", "urllib3", "aiohttp", "genai_prices", "http.client"} & set(loaded.split())
    assert not list(tmp_path.iterdir())


def test_a_rotated_ca_is_a_new_one_and_the_old_is_worth_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        old = tmp_path / "old.pem"
        old.write_bytes(rig.proxy.ca.read_bytes())
    folder = tmp_path / "mitmproxy"
    for pattern in ("mitmproxy-*", "llm-metrics-ca-bundle.pem"):
        assert pattern in PAGE
        for file in folder.glob(pattern):
            file.unlink()
    with started(tmp_path) as rig:
        rig.answer(at_once(b'{"model":"m"}'))
        assert rig.ask(question()).status == 200
        rig.row()
        with pytest.raises(ssl.SSLCertVerificationError):
            rig.ask(question(), trusted=old)
        assert rig.proxy.ca.read_text().strip() in (folder / "llm-metrics-ca-bundle.pem").read_text()
        assert old.read_text().strip() not in (folder / "llm-metrics-ca-bundle.pem").read_text()


def test_neither_file_for_clients_holds_the_key(tmp_path: Path) -> None:
    with started(tmp_path) as rig:
        for name in ("mitmproxy-ca-cert.pem", "llm-metrics-ca-bundle.pem"):
            assert "PRIVATE KEY" not in rig.proxy.ca.with_name(name).read_text()
        assert "PRIVATE KEY" in rig.proxy.ca.with_name("mitmproxy-ca.pem").read_text()


_AUDIT = """
import os, sys

log = os.open(os.environ["TEST_CHANGES"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink")

def note(event, arguments):
    if event in CHANGES or (event == "open" and arguments[2] & WRITING):
        for path in arguments[: 2 if event == "os.rename" else 1]:
            if isinstance(path, (str, bytes, os.PathLike)):
                os.write(log, (os.path.abspath(os.fsdecode(path)) + "\\n").encode())

sys.addaudithook(note)
"""


def test_a_proxy_changes_nothing_outside_of_the_places_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "sitecustomize.py").write_text(_AUDIT)
    changes = tmp_path / "changes.txt"
    environment = {"TEST_CHANGES": str(changes), "PYTHONPATH": str(tmp_path / "audit"), "PYTHONDONTWRITEBYTECODE": "1"}
    with started(tmp_path, environment=environment) as rig:
        rig.answer(at_once(b'{"model":"gpt-5.5"}'))
        rig.ask(question())
        rig.row()
    named = [str(tmp_path / name) for name in ("metrics.db", "mitmproxy", "backups", ".llm_metrics_proxy")]
    of_the_rig = str(tmp_path / "listening.")
    changed = set(changes.read_text().splitlines())
    assert any(path.startswith(named[0]) for path in changed)
    assert [path for path in sorted(changed) if not path.startswith((*named, of_the_rig, "/dev/null"))] == []


def test_the_bounds_are_those_of_the_code() -> None:
    table = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE))
    assert table["a text in a column"] == f"{len(values.text('x' * 9999) or '')} characters"
    assert table["`error_message`"] == f"{errors.LONGEST_MESSAGE} characters"
    assert table["`usage`, `server_timing`"].startswith(f"{row._LONGEST_JSON:,} characters")  # noqa: SLF001 - its value
    assert values.integer(10**12) == 10**12
    assert values.integer(10**12 + 1) is None
    assert "10^12" in table["a count"]
    assert table["a cost"].startswith(f"{usage._LARGEST_COST:,.0f} dollars")  # noqa: SLF001 - its value
    assert table["paths that no format understood"] == f"{account.MOST_UNRECOGNISED:,} rows"
    assert table["a copy of a body, for reading"].startswith(f"{LIMIT >> 20} MiB")


def test_what_is_not_masked_is_said() -> None:
    assert masked("the key is abcde", ["abcde"]) == "the key is abcde"
    assert "fewer than 6 characters" in PAGE
    assert masked("only own-cre of it", ["own-credential-of-mine"]) == "only own-cre of it"

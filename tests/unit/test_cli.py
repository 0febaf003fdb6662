"""`llm-metrics` itself: its help is quick since no command is imported for it, and yet says what each command says."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from llm_metrics_proxy import __version__
from llm_metrics_proxy.recorder.commands.cli import COMMANDS, main
from tests.support.proxy import ADDON

LLM_METRICS = Path(sys.executable).with_name("llm-metrics")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_all_says_of_each_command_what_its_own_says(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(limit=200) == COMMANDS[name][2]


def test_help_imports_no_command() -> None:
    code = "import sys\nfrom llm_metrics_proxy.recorder.commands.cli import main\n"
    code += "main(['--help'], standalone_mode=False)\n"
    code += (
        "sys.exit(' '.join(one for one in ('sqlite3', 'msgspec', 'mitmproxy', 'certifi') if one in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_the_version_is_that_of_the_package() -> None:
    done = subprocess.run([LLM_METRICS, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"llm-metrics, version {__version__}\n"


def test_an_unknown_command_is_a_sentence() -> None:
    result = CliRunner().invoke(main, ["nonsense"])
    assert result.exit_code == 2
    assert "No such command 'nonsense'." in result.stderr


# No module fcntl, as on Windows. What runs is a process of its own, in which none of ours was imported before.
WITHOUT_FCNTL = "import sys; sys.modules['fcntl'] = None; "


@pytest.mark.parametrize("command", ["status", "run", "doctor", "backup"])
def test_windows_is_told_what_to_do(command: str, tmp_path: Path) -> None:
    code = f"{WITHOUT_FCNTL}from llm_metrics_proxy.recorder.commands.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "WSL" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_windows_is_told_so_by_mitmdump(tmp_path: Path) -> None:
    code = f"{WITHOUT_FCNTL}from mitmproxy.tools.main import mitmdump; mitmdump()"
    words = [sys.executable, "-c", code, "--listen-port", "0", "--set", f"confdir={tmp_path}", "-s", str(ADDON)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "WSL" in done.stderr
    assert "Traceback" not in done.stderr

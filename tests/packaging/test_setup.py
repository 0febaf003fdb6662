import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "scripts" / "make-venv"
SENTENCE = "This needs Python 3.13 or newer with its venv module, or uv: install one of them, then run make again.\n"
DOES_NOT_RUN = "#!/bin/sh\necho 'shim: command not found' >&2\nexit 127\n"
TOO_OLD = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy" / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "deploy" / "scripts" / "make-venv")
    return tmp_path


def run_script(checkout: Path, commands: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = checkout / "bin"
    folder.mkdir()
    for tool in ("cat", "cp", "dirname", "mkdir", "rm"):
        (folder / tool).symlink_to(shutil.which(tool) or os.devnull)
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["/bin/sh", checkout / "deploy" / "scripts" / "make-venv", *arguments],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param({}, id="nothing there"),
        pytest.param({"python3": TOO_OLD}, id="an old python3"),
        pytest.param(dict.fromkeys(("python3.13", "python3", "uv"), DOES_NOT_RUN), id="shims that do not run"),
    ],
)
def test_without_a_new_python_one_sentence_says_what_to_install(checkout: Path, commands: dict[str, str]) -> None:
    done = run_script(checkout, commands)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", SENTENCE)
    assert not (checkout / ".venv").exists()


def test_a_python_that_runs_is_taken_after_one_that_does_not(checkout: Path) -> None:
    fake = '#!/bin/sh\ntest "$1" = -c || { echo "made with: $*"; exit 3; }\n'
    done = run_script(checkout, {"python3.13": DOES_NOT_RUN, "python3": fake})
    assert (done.returncode, done.stdout) == (3, "made with: -m venv .venv\n")


def test_a_setup_that_failed_is_marked_and_begins_anew(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "setup").write_text("unfinished\n")
    (checkout / ".venv" / "half-installed").touch()
    done = run_script(checkout, {"python3": '#!/bin/sh\ntest "$1" = -c\n'})
    assert done.returncode != 0
    assert sorted(path.name for path in (checkout / ".venv").iterdir()) == ["setup"]
    assert (checkout / ".venv" / "setup").read_text() == "unfinished\n"


def test_another_venv_gets_what_its_file_names_and_not_the_project(checkout: Path) -> None:
    copies_itself = 'test "$2" != venv || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; }'
    fake = f'#!/bin/sh\ntest "$1" = -c && exit\necho "$*"\n{copies_itself}\n'
    done = run_script(checkout, {"python3": fake}, ".venv-other", "other.txt")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("-m")]
    install = "-m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r other.txt"
    assert lines == ["-m venv .venv-other", install, "-m compileall -qq -j 0 .venv-other/lib"]
    assert (checkout / ".venv-other" / "setup").read_text() == f"{checkout.resolve()}\n"
    assert not (checkout / ".venv").exists()

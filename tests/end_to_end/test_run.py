"""`llm-metrics run`: a real proxy, and real programs whose calls go through it."""

import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.running import INSIDE_A_RUN
from tests.support import rig
from tests.support.provider.scenario import Request, Scenario
from tests.support.provider.server import Provider
from tests.support.proxy import REDIRECT, clean_environment
from tests.support.waiting import eventually

LLM_METRICS = str(Path(sys.executable).with_name("llm-metrics"))
ANSWER = {
    "model": "gpt-5-mini",
    "choices": [{"message": {"content": "Because."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}
CALL = """
import os, ssl, sys, urllib.request
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    request = urllib.request.Request("https://api.openai.com/v1/chat/completions",
        headers={"content-type": "application/json"},
        data=b'{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why?"}]}')
    urllib.request.urlopen(request, timeout=20).read()
"""


class Place:
    """An empty folder with a home, a free port, and a provider that answers every host."""

    def __init__(self, folder: Path, upstream: Provider) -> None:
        self.folder, self.upstream = folder, upstream
        self.database = folder / "metrics.db"
        self.port = free_port()
        (folder / "runtime").mkdir(mode=0o700)
        (folder / "call.py").write_text(CALL)
        ca = upstream.authority.write(folder / "upstream-ca.pem")
        self.options = ["--port", str(self.port), "--set", f"scripts={REDIRECT}"]
        self.options += ["--set", f"ssl_verify_upstream_trusted_ca={ca}"]
        self.environment = clean_environment(folder) | {
            "TEST_PROVIDER_PORT": str(upstream.port),
            "TEST_LISTENING_FILE": str(folder / "listening.json"),
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
        }

    def command(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        return [LLM_METRICS, "run", *self.options, *options, *(["--", *words] if words else [])]

    def run(self, *words: str, options: tuple[str, ...] = (), **how: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        return subprocess.run(
            self.command(*words, options=options),
            cwd=self.folder,
            env=self.environment | how.pop("environment", {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **how,
        )

    def calls(self, count: int = 1) -> tuple[str, ...]:
        return (sys.executable, "call.py", str(count))

    def rows(self, columns: str = "model") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(f"SELECT {columns} FROM completion_requests ORDER BY id").fetchall()  # noqa: S608

    def serves(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Provider(lambda _request: rig.at_once(json.dumps(ANSWER).encode())) as upstream:
        yield Place(tmp_path, upstream)


@contextmanager
def serving(place: Place, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = place.command(options=options)
    with subprocess.Popen(command, cwd=place.folder, env=place.environment, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert eventually(place.serves, within=30)
            yield proxy
        finally:
            proxy.terminate()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where a proxy serves all the time: a run that does not start its own takes a quarter of the time."""
    with Provider(lambda _request: rig.at_once(json.dumps(ANSWER).encode())) as upstream:
        made = Place(tmp_path_factory.mktemp("shared"), upstream)
        with serving(made) as proxy:
            assert eventually(made.database.exists, within=30)
            yield made
            assert proxy.poll() is None


def test_a_programs_calls_are_recorded_priced_and_summed_up(place: Place) -> None:
    done = place.run(*place.calls(3), options=("--json", "summary.json"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "llm-metrics: 3 calls, 0 failed, tokens 3,000 in (- cached), 1,500 out, $0.0037\n"
    assert place.rows("model, prompt_tokens, cost_source IS NOT NULL") == [("gpt-5-mini", 1000, 1)] * 3
    found = json.loads((place.folder / "summary.json").read_text())
    assert (found["calls"], found["failures"], found["uncosted"], found["exit_code"]) == (3, 0, 0, 0)
    assert found["cost_usd"] == pytest.approx(3 * (1000 * 0.25 + 500 * 2) / 1e6)
    assert not place.serves(), "the proxy that was started ends"


def test_a_summary_that_cannot_be_written_is_one_sentence_and_shown_all_the_same(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")  # which nobody reads
    done = place.run(sys.executable, "-c", "raise SystemExit(7)", options=("--json", "pipe"))
    refused = "The summary could not be written to pipe (No such device or address): give another path with --json."
    assert (done.returncode, done.stderr) == (7, f"llm-metrics: {refused}\nllm-metrics: no calls\n")


def test_a_summary_never_replaces_the_database(place: Place) -> None:
    place.run("true")
    with closing(sqlite3.connect(place.database)) as other:
        other.execute("SELECT 1 FROM completion_requests")  # now there is a WAL
        for name in ("metrics.db", "metrics.db-wal"):
            before = (place.folder / name).read_bytes()
            done = place.run("true", options=("--json", name))
            assert (done.returncode, "belongs to the database" in done.stderr) == (1, True)
            assert (place.folder / name).read_bytes() == before


def test_a_cost_that_is_not_whole_says_so(place: Place) -> None:
    def answer(request: Request) -> Scenario:
        return rig.at_once(json.dumps(ANSWER | {"model": json.loads(request.body)["model"]}).encode())

    place.upstream.answer = answer
    (place.folder / "two.py").write_text(f"{CALL}\n{CALL.replace('gpt-5-mini', 'unheard-of')}")
    assert place.run(sys.executable, "two.py").stderr.endswith("1,000 out, $0.0013+\n")


def test_quiet_says_nothing(place: Place) -> None:
    assert place.run(*place.calls(), options=("--quiet",)).stderr == ""
    assert len(place.rows()) == 1


@pytest.mark.parametrize(("where", "code"), [("shared", 0), ("shared", 1), ("place", 3), ("shared", 255)])
def test_the_exit_code_is_the_programs(request: pytest.FixtureRequest, where: str, code: int) -> None:
    place: Place = request.getfixturevalue(where)
    assert place.run("sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize(
    ("where", "number"), [("place", signal.SIGTERM), ("shared", signal.SIGKILL), ("shared", signal.SIGSEGV)]
)
def test_a_program_that_a_signal_ended_ends_the_run_by_that_signal(
    request: pytest.FixtureRequest, where: str, number: signal.Signals
) -> None:
    place: Place = request.getfixturevalue(where)
    assert place.run("sh", "-c", f"kill -{number.value} $$").returncode == -number


def test_input_and_output_are_the_programs(shared: Place) -> None:
    done = shared.run("cat", input="in and out\n")
    assert done.stdout == "in and out\n"


def test_descriptors_of_the_shell_reach_the_program(shared: Place) -> None:
    words = " ".join(f"'{word}'" for word in shared.command("cat"))
    done = subprocess.run(
        ["/bin/bash", "-c", f"{words} <(echo substituted)"],
        cwd=shared.folder,
        env=shared.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "substituted\n")


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_proxy_on_a_taken_port_is_refused_in_one_sentence(place: Place, options: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        done = place.run(options=options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"Port {place.port} of 127.0.0.1 is another program's: choose another port with --port" in done.stderr
    assert not place.database.exists()


def test_a_label_is_the_origin_and_counts_alone(shared: Place) -> None:
    before = len(shared.rows())
    shared.run(*shared.calls(2), options=("--label", "other"))
    done = shared.run(*shared.calls(), options=("--label", "my team", "--label", "team=search", "--label", "env=a b"))
    assert "1 call," in done.stderr
    done = shared.run(*shared.calls(), options=("--label", "team=search"))
    assert "2 calls," not in done.stderr
    labels = '{"env":"a b","team":"search"}'
    found = shared.rows("origin, labels")[before:]
    assert found[:3] == [("other", None), ("other", None), ("my team", labels)]
    assert found[3][1] == '{"team":"search"}'


def test_a_proxy_that_serves_into_the_same_database_is_used_and_goes_on(place: Place) -> None:
    with serving(place) as proxy:
        done = place.run(*place.calls())
        assert done.returncode == 0
        assert "with those of other programs" in done.stderr
        assert proxy.poll() is None
        assert place.serves()
    assert len(place.rows()) == 1


def test_a_proxy_that_records_elsewhere_is_refused(shared: Place) -> None:
    done = shared.run(*shared.calls(), options=("--db", "another.db"))
    assert done.returncode == 1
    assert "does not record into" in done.stderr
    assert "--port" in done.stderr
    assert not (shared.folder / "another.db").exists()


def test_a_port_of_another_program_is_refused_in_one_sentence(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)) as server:
        server.settimeout(20)
        with subprocess.Popen(
            place.command(*place.calls()), cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True
        ) as run:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-x\r\n")
            _, said = run.communicate()
    assert run.returncode == 1
    assert said.count("\n") == 1
    assert "another program's" in said
    assert "choose another port with --port." in said
    assert not place.database.exists()


def test_a_proxy_of_another_ca_is_refused(place: Place, shared: Place) -> None:
    shutil.copytree(shared.folder / ".mitmproxy", place.folder / ".mitmproxy")  # the usual CA
    with serving(place, "--set", f"confdir={place.folder}/another"):
        assert eventually(place.database.exists)
        done = place.run(*place.calls())
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "signs with another CA" in done.stderr
        assert place.run("true", options=("--set", f"confdir={place.folder}/another")).returncode == 0


def test_the_way_out_of_a_network_is_not_left_without_a_word(place: Place) -> None:
    corporate = {"HTTPS_PROXY": "http://me:secret@proxy.example:3128"}
    said = place.run("true", environment=corporate).stderr
    assert "add --mode upstream:http://me:***@proxy.example:3128." in said
    assert "secret" not in said


def test_own_prices_count_in_the_summary(place: Place) -> None:
    prices = place.folder / "own.toml"
    prices.write_text('[[price]]\nmodel = "gpt-5-mini"\ninput = 1000\noutput = 0\n')
    done = place.run(*place.calls(), options=("--set", f"metrics_prices={prices}"))
    assert done.stderr.endswith("500 out, $1.00\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_option_that_nobody_knows_is_said_and_the_greeting_is_not(place: Place, log_format: str) -> None:
    options = ("--set", "nosuch=1", "--set", f"metrics_log_format={log_format}")
    *lines, _ = place.run("true", options=options).stderr.splitlines()
    assert len(lines) == 1
    assert "There is no option nosuch: check its name." in lines[0]


def test_a_current_folder_that_is_gone_is_one_sentence(place: Place) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    command = ["sh", "-c", script, "sh", *place.command("true")]
    done = subprocess.run(command, cwd=place.folder, env=place.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "Error: The current folder is gone: change to one that is there.",
    )


def test_a_runtime_folder_that_cannot_be_used_is_not_needed(place: Place) -> None:
    variables = {"XDG_RUNTIME_DIR": "/nonexistent", "TMPDIR": str(place.folder / "runtime")}
    assert place.run("true", environment=variables).returncode == 0


def test_no_log_is_left_and_no_folder_for_events_that_wait(place: Place) -> None:
    place.run(*place.calls())
    assert not (place.folder / "metrics.db.spill").exists()
    assert [file.suffix for file in (place.folder / "runtime").rglob("*") if file.is_file()] == [".users"]


def test_two_runs_share_a_proxy_that_lasts_as_long_as_the_longer(place: Place) -> None:
    slow = "import time, pathlib, runpy; runpy.run_path('call.py'); pathlib.Path('up').touch()\n"
    slow += "while not pathlib.Path('go').exists(): time.sleep(0.02)\nrunpy.run_path('call.py')"
    with subprocess.Popen(place.command(sys.executable, "-c", slow), cwd=place.folder, env=place.environment) as longer:
        assert eventually((place.folder / "up").exists, within=30)
        joined = place.run(*place.calls())
        assert joined.returncode == 0
        assert "with those of other programs" in joined.stderr
        (place.folder / "go").touch()
        assert longer.wait(30) == 0
    assert len(place.rows()) == 3
    assert eventually(lambda: not place.serves())


def test_the_first_of_two_runs_may_end_before_the_other(place: Place) -> None:
    wait = "import time, pathlib\nwhile not pathlib.Path('{}').exists(): time.sleep(0.02)\n"
    first = subprocess.Popen(
        place.command(sys.executable, "-c", wait.format("first")), cwd=place.folder, env=place.environment
    )
    with first:
        assert eventually(place.serves, within=30)
        second = place.command(sys.executable, "-c", f"{wait.format('second')}import runpy; runpy.run_path('call.py')")
        with subprocess.Popen(second, cwd=place.folder, env=place.environment) as other:
            time.sleep(1.5)
            (place.folder / "first").touch()
            assert first.wait(30) == 0
            (place.folder / "second").touch()
            assert other.wait(30) == 0
    assert len(place.rows()) == 1
    assert eventually(lambda: not place.serves())


def test_after_a_kill_of_the_run_the_program_keeps_its_proxy_to_its_end(place: Place) -> None:
    code = "import time, pathlib, runpy; pathlib.Path('up').touch()\n"
    code += "while not pathlib.Path('go').exists(): time.sleep(0.02)\nrunpy.run_path('call.py')"
    with subprocess.Popen(place.command(sys.executable, "-c", code), cwd=place.folder, env=place.environment) as run:
        assert eventually((place.folder / "up").exists, within=30)
        run.kill()
    assert place.serves()
    (place.folder / "go").touch()
    assert eventually(lambda: not place.serves(), within=20), "the proxy ends after its last user"
    assert len(place.rows()) == 1


def test_what_a_program_leaves_running_keeps_the_proxy(place: Place) -> None:
    """A daemon that a program starts has the program's variables, and would otherwise call into nothing."""
    script = f"(sleep 1.5; '{sys.executable}' call.py) > /dev/null 2>&1 &"
    assert place.run("sh", "-c", script).returncode == 0
    assert eventually(lambda: not place.serves(), within=20)
    assert len(place.rows()) == 1


def test_a_killed_proxy_costs_calls_but_not_the_program(place: Place) -> None:
    code = "import os, signal, subprocess, sys\n"
    code += "found = subprocess.check_output(['pgrep', '-f', f'mitmdump.*listen-port {sys.argv[1]}'])\n"
    code += "os.kill(int(found.split()[0]), 9)"
    done = place.run(sys.executable, "-c", code, str(place.port))
    assert done.returncode == 0
    assert "llm-metrics: " in done.stderr


@pytest.mark.parametrize("words", [(sys.executable, "call.py"), ()])
def test_a_run_inside_a_run_is_refused(place: Place, words: tuple[str, ...]) -> None:
    done = place.run(*words, environment={INSIDE_A_RUN: "1"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "inside llm-metrics run" in done.stderr
    assert sorted(file.name for file in place.folder.iterdir()) == ["call.py", "runtime", "upstream-ca.pem"]


@pytest.mark.parametrize(("name", "code"), [("no-such-program", 127), ("./call.py", 126), ("./nothing", 127)])
def test_a_program_that_cannot_be_run_is_one_sentence_and_makes_nothing(place: Place, name: str, code: int) -> None:
    done = place.run(name)
    assert done.returncode == code
    assert done.stderr.count("\n") == 1
    assert sorted(file.name for file in place.folder.iterdir()) == ["call.py", "runtime", "upstream-ca.pem"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--set", "metrics_dbb=x"), "There is no option metrics_dbb"),
        (("--set", "metrics_hosts"), "has no value: write --set NAME=VALUE."),
        (("--db", "/proc/metrics.db"), "/proc"),
        (("--db", "."), "is "),
        (("--label", "a\nb"), "is no label"),
        (("--label", "Team=a"), "is no name of a label"),
        (("--label", "a", "--label", "b"), "give one name of who calls"),
        (("--workers", "0"), "is no number of workers: write 1 to 64, or auto."),
        (("--nonsense",), "No such option"),
        (("--json", "missing/x.json"), "is no folder that can be written"),
    ],
)
def test_bad_words_are_one_sentence(place: Place, options: tuple[str, ...], sentence: str) -> None:
    done = place.run("true", options=options)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not place.serves()
    assert not place.database.exists()


def test_local_servers_stay_reachable_and_are_not_recorded(shared: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:{port}/mcp').read())"
        run = subprocess.Popen(
            shared.command(sys.executable, "-c", code),
            cwd=shared.folder,
            env=shared.environment | {"no_proxy": "internal.example"},
            stdout=subprocess.PIPE,
            text=True,
        )
        with run:
            server.settimeout(30)
            connection, _ = server.accept()
            with connection:
                assert b"GET /mcp HTTP/1.1" in connection.recv(1000), "a proxy would be asked for the whole URL"
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            assert run.communicate(timeout=30)[0] == "b'ok'\n"


def test_what_no_proxy_excepts_already_stays_excepted(shared: Place) -> None:
    code = "import os; print(os.environ['NO_PROXY'], os.environ['no_proxy'])"
    done = shared.run(sys.executable, "-c", code, environment={"NO_PROXY": "a.example, b.example"})
    assert done.stdout == " ".join(["a.example,b.example,localhost,127.0.0.1,::1"] * 2) + "\n"


class Terminal:
    """A terminal, and a shell with job control in it."""

    def __init__(self, place: Place) -> None:
        self._master, slave = pty.openpty()
        environment = place.environment | {"TERM": "dumb", "PS1": "$ "}

        def take_the_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.shell = subprocess.Popen(
            ["/bin/bash", "--norc", "--noprofile", "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=place.folder,
            env=environment,
            preexec_fn=take_the_terminal,  # noqa: PLW1509 - no threads
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self.said = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str, *, within: float = 30) -> None:
        def heard() -> bool:
            with suppress(BlockingIOError):
                self.said += os.read(self._master, 65536).decode(errors="replace")
            return text in self.said

        assert eventually(heard, within=within), self.said
        self.said = self.said.partition(text)[2]

    def close(self) -> None:
        self.shell.kill()
        self.shell.wait()
        os.close(self._master)


@pytest.fixture
def terminal(place: Place) -> Iterator[Terminal]:
    made = Terminal(place)
    yield made
    made.close()


def test_ctrl_c_reaches_the_program_alone(place: Place, terminal: Terminal) -> None:
    code = "import os, signal, sys, time\n"
    code += "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'inter' + b'rupted') and sys.exit(5))\n"
    (place.folder / "waits.py").write_text(f"{code}print('rea' + 'dy', flush=True)\ntime.sleep(60)\n")
    terminal.type(" ".join(place.command(sys.executable, "waits.py")) + '; echo "co"de $?\n')
    terminal.wait_for("ready")
    terminal.type("\x03")
    terminal.wait_for("interrupted")
    terminal.wait_for("no calls")
    terminal.wait_for("code 5")


def test_ctrl_z_and_fg_stop_and_continue_it_and_the_proxy_serves_on(place: Place, terminal: Terminal) -> None:
    (place.folder / "asks.py").write_text("print('rea' + 'dy', flush=True)\nprint('got ' + input())\n" + CALL)
    terminal.type(" ".join(place.command(sys.executable, "asks.py")) + "\n")
    terminal.wait_for("ready")
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    assert place.serves()
    terminal.type("fg\n")
    time.sleep(0.3)
    terminal.type("a line\n")
    terminal.wait_for("got a line")
    terminal.wait_for("1 call,")


def test_a_program_may_have_a_proxy_of_several_workers(place: Place) -> None:
    options = ("--workers", "2", "--set", "connection_strategy=lazy")
    wait = "import time, pathlib\npathlib.Path('up').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)\n"
    program = place.command(sys.executable, "-c", f"{wait}import runpy; runpy.run_path('call.py')", options=options)
    with subprocess.Popen(program, cwd=place.folder, env=place.environment, stderr=subprocess.PIPE, text=True) as first:
        assert eventually((place.folder / "up").exists, within=30)
        another = place.run("true", options=("--workers", "3"))
        assert (another.returncode, another.stderr.count("\n")) == (1, 1)
        assert "has 2 workers, not 3: leave --workers out to use it, or choose another port" in another.stderr
        assert place.run(*place.calls(3), options=options).returncode == 0
        (place.folder / "go").touch()
        assert "4 calls" in first.communicate(timeout=30)[1]
        assert first.returncode == 0
    assert len(place.rows()) == 4
    assert not place.serves()
    assert not (place.folder / "metrics.db.spill").exists()


def test_workers_are_refused_where_one_proxy_serves(place: Place) -> None:
    with serving(place):
        done = place.run("true", options=("--workers", "2"))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert (
            f"The proxy that serves on 127.0.0.1:{place.port} has 1 worker, not 2: leave --workers out" in done.stderr
        )
        assert place.run("true", options=("--workers", "1")).returncode == 0

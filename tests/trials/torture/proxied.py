"""The faults through a real mitmdump: nothing is lost, and its clients do not notice, as their latency tells.

Calm and faults take turns, so that the machine's own moods meet both.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill
from tests.support.percentile import percentile
from tests.support.provider.scenario import Framing, Request, Scenario, Step
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.disks import memory_disk
from tests.trials.torture.faults import MOVES, full_disk, write_lock
from tests.trials.torture.recording import processes
from tests.trials.torture.verdict import ask, check_sound, wait_until

_CLIENTS = 4
_RATE = 200
_TURNS = 2
_CALM_SECONDS = 4.0
_LOCK_SECONDS = 10.0
_FULL_SECONDS = 4.0
_MOVED_SECONDS = 3.0
_MEGABYTES = 48
_MOST_TIMES = 1.5
_MOST_MS_MORE = 5.0
_HEADERS = {"content-type": "application/json"}
_QUESTION = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "Why?"}]})
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-5",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "So."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
).encode()

type Call = tuple[float, float, int]  # when it began (monotonic seconds), how long it took (ms), its status
type Span = tuple[float, float]


def latency(stage: Stage) -> Outcome:
    """One row for each call, and a p99 that stays what it is without faults."""
    with memory_disk(stage.folder, _MEGABYTES) as disk, called(stage, disk) as (path, end):
        time.sleep(2)
        calm, faults = _take_turns(stage, disk, path)
        return _judge(end(), calm, faults, path)


@contextmanager
def called(stage: Stage, folder: Path) -> Iterator[tuple[Path, Callable[[], list[Call]]]]:
    """A proxy that is called all the time: its database, in `folder`, and the function that ends it.

    That waits until the database has as many rows as there were calls, and returns the calls.
    """
    with ExitStack() as rig:
        ours, theirs = processes.Pipe()
        served = processes.Process(target=_serve, args=(stage.folder, theirs), daemon=True)
        served.start()
        rig.callback(served.kill)
        port, authority = ours.recv()
        # Kept connections: in regular mode what redirects the demo's traffic would open a new one for each call.
        mode = f"reverse:http://127.0.0.1:{port}"
        options = [f"metrics_backup_dir={stage.sub('backups')}"]
        proxy = rig.enter_context(Proxy(folder, port, authority, mode=mode, options=options))
        client, far = processes.Pipe()
        calling = processes.Process(target=_call, args=(proxy.port, far), daemon=True)
        calling.start()
        rig.callback(calling.kill)

        def end() -> list[Call]:
            client.send("stop")
            calls: list[Call] = client.recv()
            calling.join()
            wait_until(partial(_all_written, proxy.database, len(calls)), "all is written")
            proxy.stop()
            ours.send("stop")
            served.join()
            return calls

        yield proxy.database, end


def _take_turns(stage: Stage, disk: Path, path: Path) -> tuple[list[Span], dict[str, list[Span]]]:
    calm: list[Span] = []
    faults: dict[str, list[Span]] = {"locked": [], "disk full": [], "removed": []}

    def rest() -> None:
        wait_until(lambda: not spill.files(spill_folder.folder_of(path)), "what was kept aside is written", seconds=90)
        began = time.monotonic()
        time.sleep(_CALM_SECONDS)
        calm.append((began, time.monotonic()))

    for _ in range(stage.rounds(_TURNS)):
        rest()
        began = time.monotonic()
        with write_lock(path):
            time.sleep(min(stage.seconds(_LOCK_SECONDS), _LOCK_SECONDS))
        faults["locked"].append((began, time.monotonic()))
        rest()
        began = time.monotonic()
        with full_disk(disk):
            time.sleep(_FULL_SECONDS)
        faults["disk full"].append((began, time.monotonic()))
        rest()
        began = time.monotonic()
        MOVES["all three unlinked"](path)
        time.sleep(_MOVED_SECONDS)
        faults["removed"].append((began, time.monotonic()))
    rest()
    return calm, faults


def _judge(calls: list[Call], calm: list[Span], faults: dict[str, list[Span]], path: Path) -> Outcome:
    check_calls(calls, path)
    quiet = percentile(_within(calls, calm), 0.99)
    figures: dict[str, object] = {
        "calls": len(calls),
        "lost": 0,
        "p50 calm ms": round(percentile(_within(calls, calm), 0.5), 1),
        "p99 calm ms": round(quiet, 1),
    }
    broken = percentile(_within(calls, [span for spans in faults.values() for span in spans]), 0.99)
    for name, spans in faults.items():
        figures[f"p99 {name} ms"] = round(percentile(_within(calls, spans), 0.99), 1)
    figures["p99 with faults / without"] = round(broken / quiet, 2)
    slower = broken > quiet * _MOST_TIMES and broken > quiet + _MOST_MS_MORE
    expect(not slower, f"the p99 went from {quiet:.1f} ms to {broken:.1f} ms: {figures}")
    return Outcome(len(calm), figures)


def check_calls(calls: list[Call], path: Path) -> None:
    """All calls succeeded, and each is one row.

    Raises:
        Broken: otherwise.
    """
    failed = [status for _, _, status in calls if status != http.client.OK]
    expect(not failed, f"{len(failed)} of {len(calls)} calls failed")
    check_sound(path)
    ((rows, distinct),) = ask(path, "SELECT count(*), count(DISTINCT event_id) FROM completion_requests NOT INDEXED")
    expect(rows == distinct == len(calls), f"{len(calls)} calls, {rows} rows, {distinct} of them different")


def _within(calls: list[Call], spans: list[Span]) -> list[float]:
    return [took for began, took, _ in calls if any(first <= began < last for first, last in spans)]


def _all_written(path: Path, count: int) -> bool:
    return ask(path, "SELECT count(*) >= ? FROM completion_requests".replace("?", str(count))) == [(1,)]


def _serve(folder: Path, pipe: Connection) -> None:
    answer = Scenario((Step(0, _ANSWER),), headers=(("content-type", "application/json"),), framing=Framing.LENGTH)

    def choose(_request: Request) -> Scenario:
        return answer

    with Provider(choose) as provider:
        pipe.send((provider.port, provider.authority.write(folder / "provider-ca.pem")))
        pipe.recv()


def _call(port: int, pipe: Connection) -> None:
    """Clients that keep their connections, each at its share of the rate."""
    calls: list[Call] = []
    ended: list[bool] = []

    def run(first: float) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            at = first
            while not ended:
                time.sleep(max(at - time.monotonic(), 0))
                began = time.monotonic()
                connection.request("POST", "/v1/chat/completions", body=_QUESTION, headers=_HEADERS)
                with closing(connection.getresponse()) as response:
                    response.read()
                    calls.append((began, (time.monotonic() - began) * 1e3, response.status))
                at += _CLIENTS / _RATE
                at = max(at, time.monotonic())  # no bursts after a stall

    now = time.monotonic()
    threads = [Thread(target=run, args=(now + number / _RATE,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    pipe.recv()
    ended.append(True)
    for thread in threads:
        thread.join()
    pipe.send(calls)

"""T25: the files and the folder of a real mitmdump's database are overwritten and moved: each call has its row."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store import spill_folder
from tests.support.provider.scenario import Framing, Request, Scenario, Step
from tests.support.provider.server import Provider
from tests.support.proxy import Proxy
from tests.trials.torture.case import Broken, Outcome, Stage, expect
from tests.trials.torture.faults import DAMAGES, FOLDER_MOVES, WAL_DAMAGES
from tests.trials.torture.verdict import ask, check_sound, run_once

_CALLS = 20
_SHOWN = 600  # characters of the log
_FOREIGN = "another program's database copied over"
_KILLS = "-shm emptied"  # it may, and that has a case of its own
_ANSWER = json.dumps({"model": "gpt-5", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}).encode()
_QUESTION = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "Why?"}]})


def overwritten_and_moved(stage: Stage) -> Outcome:
    """Every kind once in a round: calls, the fault, calls, the end; then a restore if the log asks for one."""
    answer = Scenario((Step(0, _ANSWER),), headers=(("content-type", "application/json"),), framing=Framing.LENGTH)

    def choose(_request: Request) -> Scenario:
        return answer

    faults: dict[str, Callable[[Path], object]] = {
        how: damage for how, damage in (DAMAGES | WAL_DAMAGES).items() if how != _KILLS
    }
    for how, move in FOLDER_MOVES.items():
        faults[f"folder {how}"] = lambda path, move=move: move(path.parent)  # type: ignore[misc] # a default
    lives = restored = 0
    with Provider(choose) as provider:
        authority = provider.authority.write(stage.folder / "provider-ca.pem")
        for number in range(stage.rounds(1)):
            for name, fault in faults.items():
                restored += _live(stage.sub(f"{number} {name}"), provider.port, authority, name, fault)
                lives += 1
    return Outcome(lives, {"calls": lives * 2 * _CALLS, "restored": restored})


def _live(folder: Path, port: int, authority: Path, name: str, fault: Callable[[Path], object]) -> bool:
    data = folder / "data"
    data.mkdir()
    options = [f"metrics_backup_dir={folder}"]
    proxy = Proxy(folder, port, authority, mode=f"reverse:http://127.0.0.1:{port}", options=options)
    proxy.command = [word.replace(str(proxy.database), str(data / "metrics.db")) for word in proxy.command]
    with proxy:
        _call(proxy.port)
        time.sleep(0.5)
        copy = backup.create(data / "metrics.db", backup_dir=folder)
        fault(data / "metrics.db")
        _call(proxy.port)
        proxy.stop()
    away = folder / "away"
    path = (away if away.exists() else data) / "metrics.db"
    is_damaged = bool(spill_folder.damage(spill_folder.folder_of(path)))
    if is_damaged:
        if name == _FOREIGN:
            path.unlink()
        restore(path, copy, backup_dir=folder)
    try:
        run_once(path)
        check_sound(path)
    except Broken as error:
        raise Broken(f"{error} ({name}): {(folder / 'mitmdump.log').read_text()[-_SHOWN:]}") from error
    ((rows,),) = ask(path, "SELECT count(DISTINCT event_id) FROM completion_requests NOT INDEXED")
    expect(rows == 2 * _CALLS, f"{2 * _CALLS} calls, {rows} rows ({name})")
    return is_damaged


def _call(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for _ in range(_CALLS):
            connection.request("POST", "/v1/chat/completions", _QUESTION, {"content-type": "application/json"})
            with closing(connection.getresponse()) as response:
                response.read()
                expect(response.status == http.client.OK, f"a call failed with {response.status}")

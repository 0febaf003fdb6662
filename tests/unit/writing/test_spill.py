"""What is kept aside comes back whole, once, in spite of kills, damage and bounds."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest, Limit, Limits, Tunnelled, Unrecognised, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.reporting import Reporter
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.account import Counters, Gap, Tally
from llm_metrics_proxy.recorder.store.spill_folder import folder_of, make
from llm_metrics_proxy.recorder.writing import rejected, spill
from llm_metrics_proxy.recorder.writing.rejected import Rejected
from llm_metrics_proxy.recorder.writing.replay import PIECE_LINES, Replay
from llm_metrics_proxy.recorder.writing.spill import Record, Spill, SpillFiles
from tests.support.database import ask

type MakeEvent = Callable[..., CompletionRequest]

AT = "2026-03-01T12:00:00.000Z"
PROCESS = "host-1-1"


def lines_of(*records: Record) -> bytes:
    return b"".join(map(spill.line_of, records))


def kept(path: Path) -> list[Path]:
    return spill.files(folder_of(path))


def spilled(path: Path, *records: Record, process: str = PROCESS) -> Path:
    """A spill file that its process has left behind."""
    writer = SpillFiles(path, process, count(1))
    writer.write(lines_of(*records))
    writer.let_go()
    return kept(path)[-1]


def replayed(path: Path) -> dict[str, int]:
    """Start a recorder, let it replay everything, and return its counters."""
    recorder = Recorder(path)
    recorder.open()
    recorder.start()
    ends = time.monotonic() + 5
    while kept(path) and time.monotonic() < ends:
        time.sleep(0.01)
    recorder.close()
    assert not kept(path)
    return recorder.counters()


def read_back(path: Path) -> list[Record | None]:
    replay = Replay(folder_of(path), Counters(), Reporter())
    records = []
    while (piece := replay.piece()) is not None:
        records += piece.records
        replay.done()
    return records


@pytest.fixture
def spill_file(db_path: Path) -> Iterator[SpillFiles]:
    writer = SpillFiles(db_path, PROCESS, count(1))
    yield writer
    writer.let_go()


values = st.one_of(st.none(), st.text(max_size=30).filter(lambda text: text.isprintable()))


@given(
    st.builds(
        CompletionRequest,
        timestamp=st.just(AT),
        success=st.booleans(),
        status_code=st.integers(100, 599),
        response_time_ms=st.integers(0, 2**62),
        is_streaming=st.booleans(),
        event_id=st.just(new_event_id(0)),
        model=values,
        error_message=values,
        cost_usd=st.one_of(st.none(), st.floats(0, 1e300)),
    )
)
def test_a_line_holds_a_call_exactly(event: CompletionRequest) -> None:
    assert spill.record_of(spill.line_of(event)) == event


@pytest.mark.parametrize(
    "record",
    [
        Unrecognised("host", "/path", AT),
        Tunnelled("host", 2, AT, AT),
        Limits("openai", None, AT, (Limit("requests", "1m", "gpt-5", 500.0, 499.0, AT),)),
        Gap("queue_full", 3, AT, AT),
        Tally(PROCESS, {"written": 7}),
    ],
)
def test_a_line_holds_the_other_records_exactly(record: Record) -> None:
    assert spill.record_of(spill.line_of(record)) == record


def test_no_line_with_one_changed_byte_passes_for_a_record(make_event: MakeEvent) -> None:
    line = spill.line_of(make_event())
    for position in range(len(line)):
        damaged = bytearray(line)
        damaged[position] ^= 1
        assert spill.record_of(bytes(damaged)) is None
    for end in range(len(line)):
        assert spill.record_of(line[:end]) is None


def test_files_are_private_and_nothing_follows_a_link(
    db_path: Path, spill_file: SpillFiles, make_event: MakeEvent
) -> None:
    spill_file.write(lines_of(make_event()))
    assert stat.S_IMODE(folder_of(db_path).stat().st_mode) == 0o700
    (file,) = kept(db_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_planted_folder_is_refused(db_path: Path, tmp_path: Path, current_db: Path, spill_file: SpillFiles) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder_of(db_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatabaseRefused, match="symbolic link"):
        Recorder(current_db).open()
    with pytest.raises(DatabaseRefused, match="symbolic link"):
        spill_file.write(b"")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_planted_link_in_the_folder_is_not_written_through(
    db_path: Path, tmp_path: Path, spill_file: SpillFiles, make_event: MakeEvent
) -> None:
    make(db_path)
    (folder_of(db_path) / f"{PROCESS}-1.jsonl.v{spill.VERSION}").symlink_to(tmp_path / "victim")
    (folder_of(db_path) / rejected.FILE_NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        spill_file.write(lines_of(make_event()))
    with pytest.raises(OSError, match="symbolic link"):
        rejected.keep(folder_of(db_path), [Rejected(make_event(), ValueError())])
    assert not (tmp_path / "victim").exists()


def test_a_file_ends_at_its_bound_and_all_files_at_theirs(
    db_path: Path, spill_file: SpillFiles, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = lines_of(make_event(), make_event())
    monkeypatch.setattr(spill, "FILE_BYTES", 2 * len(lines))
    monkeypatch.setattr(spill, "TOTAL_BYTES", 5 * len(lines))
    for _ in range(5):
        spill_file.write(lines)
    assert [file.stat().st_size // len(lines) for file in kept(db_path)] == [2, 2, 1]
    with pytest.raises(OSError, match="full") as refused:
        spill_file.write(lines)
    assert refused.value.errno == errno.ENOSPC
    spill_file.let_go()
    assert len(read_back(db_path)) == 10


def test_what_could_not_be_written_whole_leaves_nothing_of_itself(db_path: Path) -> None:
    code = """
import os, resource, signal, sys, pathlib
from itertools import count
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.writing.spill import SpillFiles, files
from llm_metrics_proxy.recorder.store.spill_folder import folder_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = pathlib.Path(sys.argv[1])
spill = SpillFiles(path, "host-1-1", count(1))
spill.write(b"whole\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    spill.write(b"x" * 1000)
except OSError:
    pass
else:
    raise SystemExit("it was written")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spill.write(b"next\\n")
spill.let_go()
assert [file.read_bytes() for file in files(folder_of(path))] == [b"whole\\n", b"next\\n"]
"""
    command = [sys.executable, "-c", code, str(db_path), str(Path(__file__).parents[3])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_removed_folder_is_made_again(db_path: Path, spill_file: SpillFiles, make_event: MakeEvent) -> None:
    spill_file.write(lines_of(make_event()))
    for file in kept(db_path):
        file.unlink()
    folder_of(db_path).rmdir()
    with pytest.raises(FileNotFoundError):
        spill_file.write(lines_of(make_event()))
    spill_file.write(lines_of(make_event()))
    spill_file.let_go()
    assert len(read_back(db_path)) == 1


def test_everything_comes_back_in_order(db_path: Path, spill_file: SpillFiles, make_event: MakeEvent) -> None:
    events = [make_event(model=str(number)) for number in range(2 * PIECE_LINES)]
    for start in range(0, len(events), 77):
        spill_file.write(lines_of(*events[start : start + 77]))
    assert read_back(db_path) == []  # its process still writes it
    spill_file.let_go()
    assert read_back(db_path) == events
    assert kept(db_path) == []


def test_what_a_killed_process_left_is_written_by_the_next_recorder(current_db: Path, make_event: MakeEvent) -> None:
    events = [make_event() for _ in range(1_200)]
    unknown = Unrecognised("api.openai.com", "/v1/new", AT)
    spilled(current_db, *events, unknown, unknown, Gap("queue_full", 3, AT, AT), Tally(PROCESS, {"received": 1_205}))
    assert replayed(current_db) == {"written": 1_200, "unrecognised": 2, "replayed": 1_202}
    assert ask(current_db, "SELECT count(*) FROM completion_requests") == [(1_200,)]
    assert ask(current_db, "SELECT count FROM unrecognised") == [(2,)]
    assert ask(current_db, "SELECT process, count FROM recorder_events WHERE kind = 'gap'") == [(PROCESS, 3)]
    assert ask(current_db, f"SELECT name, value FROM recorder_counters WHERE process = '{PROCESS}'") == [  # noqa: S608 - our own
        ("received", 1_205)
    ]
    assert not folder_of(current_db).exists()


def test_a_file_that_was_written_but_not_removed_counts_once(current_db: Path, make_event: MakeEvent) -> None:
    file = spilled(current_db, *(make_event() for _ in range(700)), Unrecognised("host", "/path", AT))
    content = file.read_bytes()
    assert replayed(current_db)["replayed"] == 701
    make(current_db)
    file.write_bytes(content)
    assert "replayed" not in replayed(current_db)
    assert ask(current_db, "SELECT count(*) FROM completion_requests") == [(700,)]
    assert ask(current_db, "SELECT count FROM unrecognised") == [(1,)]


def test_rows_that_the_database_has_already_are_duplicates(current_db: Path, make_event: MakeEvent) -> None:
    event = make_event()
    spilled(current_db, event, event)
    assert replayed(current_db) == {"written": 1, "duplicates": 1, "replayed": 2}


def test_a_damaged_line_costs_itself_alone_and_its_file_is_kept(current_db: Path, make_event: MakeEvent) -> None:
    file = spilled(current_db, *(make_event() for _ in range(5)))
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = b"0" * 8 + lines[2][8:]
    lines.insert(4, b"a line of somebody else\n")
    file.write_bytes(b"".join(lines))
    assert replayed(current_db) == {"written": 4, "replayed": 4, "dropped_spill_damaged": 2}
    gaps = "SELECT count, detail FROM recorder_events WHERE kind = 'gap'"
    assert ask(current_db, gaps) == [(2, "spill_damaged")]
    assert [path.name for path in folder_of(current_db).iterdir()] == [f"{PROCESS}-1.damaged"]


def test_a_torn_tail_costs_itself_alone(current_db: Path, make_event: MakeEvent) -> None:
    file = spilled(current_db, make_event(), make_event())
    file.write_bytes(file.read_bytes()[:-40])
    assert replayed(current_db) == {"written": 1, "replayed": 1, "dropped_spill_damaged": 1}
    assert not folder_of(current_db).exists()


def of_release_0_1_0(path: Path) -> Path:
    """A spill file as that release wrote it: four calls, an address, a gap and counters."""
    file = make(path) / "host-7-1767225600000-1.jsonl"
    file.write_bytes((Path(__file__).parents[2] / "databases" / "spill_0.1.0.jsonl").read_bytes())
    return file


def test_a_file_of_the_release_before_names_is_read_as_version_1(current_db: Path) -> None:
    of_release_0_1_0(current_db)
    assert replayed(current_db) == {"written": 4, "unrecognised": 1, "replayed": 5}
    assert ask(current_db, "SELECT model, prompt_tokens, usage FROM completion_requests ORDER BY id LIMIT 2") == [
        ("gpt-4o", 100, '{"prompt_tokens": 100, "completion_tokens": 20}'),
        ("modèle-é-模型-🙂", 101, '{"prompt_tokens": 101, "completion_tokens": 21}'),
    ]
    (full,) = ask(current_db, "SELECT * FROM completion_requests WHERE model = 'text'")
    assert None not in full[:57]  # the columns of that release
    assert ask(current_db, "SELECT process, count FROM recorder_events WHERE kind = 'gap'") == [
        ("host-7-1767225600000", 3)
    ]
    assert not folder_of(current_db).exists()


def test_a_truncated_file_of_the_release_before_loses_its_last_line_alone(current_db: Path) -> None:
    file = of_release_0_1_0(current_db)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3]) + lines[3][:300])
    assert replayed(current_db) == {"written": 3, "replayed": 3, "dropped_spill_damaged": 1}
    assert not folder_of(current_db).exists()


def test_the_release_before_leaves_our_files_alone(current_db: Path, make_event: MakeEvent) -> None:
    file = spilled(current_db, make_event())
    assert not file.match("*-*-*-[0-9]*.jsonl")  # what that release looks for
    assert file.name == f"{PROCESS}-1.jsonl.v{spill.VERSION}"


def test_a_file_of_a_newer_release_is_left_alone_and_named_once_while_others_are_replayed(
    current_db: Path, make_event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    newer = make(current_db) / f"aaa-1-1-1.jsonl.v{spill.VERSION + 1}"
    newer.write_bytes(b"\x00 not lines at all")
    replay = Replay(folder_of(current_db), Counters(), Reporter())
    for _ in range(3):
        replay.look_now()
        assert replay.piece() is None
    replay.stop()
    assert caplog.text.count(f"the first is {newer.name}: they are left alone") == 1
    spilled(current_db, make_event(), process="host-2-1")
    assert replayed(current_db) == {"written": 1, "replayed": 1}
    assert [path.name for path in folder_of(current_db).iterdir()] == [newer.name]
    assert newer.read_bytes() == b"\x00 not lines at all"
    assert spill.waiting_bytes(folder_of(current_db)) == 0


def test_files_of_a_newer_release_fill_the_folder_too(
    db_path: Path, spill_file: SpillFiles, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    (make(db_path) / "aaa-1-1-1.jsonl.v99").write_bytes(b"x" * 1_000)
    monkeypatch.setattr(spill, "TOTAL_BYTES", 1_000)
    with pytest.raises(OSError, match="full"):
        spill_file.write(lines_of(make_event()))


def test_a_row_in_a_spill_file_that_cannot_be_stored_is_kept_aside(current_db: Path, make_event: MakeEvent) -> None:
    spilled(current_db, make_event(), make_event(prompt_tokens=2**63), make_event())
    assert replayed(current_db) == {"written": 2, "replayed": 3, "rejected": 1}


def test_a_file_that_cannot_be_read_keeps_nothing_else_from_the_database(
    current_db: Path, make_event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    spilled(current_db, make_event(), process="host-2-1")
    unreadable = folder_of(current_db) / "host-1-1-1.jsonl"
    unreadable.symlink_to(current_db)  # not even root opens it, since links are not followed
    recorder = Recorder(current_db)
    recorder.open()
    recorder.start()
    recorder.submit(make_event())
    recorder.close()
    assert ask(current_db, "SELECT count(*) FROM completion_requests") == [(2,)]
    assert "spilled" not in recorder.counters()
    assert f"{unreadable} cannot be read" in caplog.text


def test_two_recorders_never_replay_a_file_twice(current_db: Path, make_event: MakeEvent) -> None:
    unknown = [Unrecognised("host", "/path", AT)] * 50
    for number in range(8):
        spilled(current_db, make_event(), *unknown, process=f"host-2-{number}")
    pair = [Recorder(current_db), Recorder(current_db)]
    for recorder in pair:
        recorder.open()
        recorder.start()
    ends = time.monotonic() + 5
    while kept(current_db) and time.monotonic() < ends:
        time.sleep(0.01)
    for recorder in pair:
        recorder.close()
    assert ask(current_db, "SELECT count FROM unrecognised") == [(400,)]


def test_kills_during_replay_neither_lose_nor_repeat(current_db: Path, make_event: MakeEvent) -> None:
    unknown = Unrecognised("host", "/path", AT)
    spilled(current_db, *(record for _ in range(3_000) for record in (make_event(), unknown)))
    code = """
import sys, pathlib, time
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.recorder import Recorder
recorder = Recorder(pathlib.Path(sys.argv[1]))
recorder.open()
print("open", flush=True)
recorder.start()
time.sleep(60)
"""
    command = [sys.executable, "-c", code, str(current_db), str(Path(__file__).parents[3])]
    for milliseconds in (5, 20, 45, 80):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
    replayed(current_db)
    assert ask(current_db, "SELECT count(*), count(DISTINCT event_id) FROM completion_requests") == [(3_000, 3_000)]
    assert ask(current_db, "SELECT count FROM unrecognised") == [(3_000,)]


def test_the_reserve_is_given_up_for_events_when_the_disk_is_full(
    db_path: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()
    aside = Spill(db_path, PROCESS, count(1), counters, Reporter())
    make(db_path)
    aside.ready()
    held = folder_of(db_path) / f"{PROCESS}.reserve"
    assert held.stat().st_blocks * 512 >= spill_folder.RESERVED_BYTES
    real = os.write

    def full_while_reserved(descriptor: int, data: bytes) -> int:
        if held.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full_while_reserved)  # a disk of our own needs root
        assert aside.keep([make_event()]) is True
    assert not held.exists()
    aside.ready()
    assert held.exists()
    aside.close()
    assert len(read_back(db_path)) == 2  # the event, and the counters
    assert not held.exists()


def test_rejected_events_end_at_their_bound(
    db_path: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejected, "MOST_BYTES", 2_000)
    counters = Counters()
    aside = Spill(db_path, PROCESS, count(1), counters, Reporter())
    make(db_path)
    for _ in range(20):
        aside.reject([Rejected(make_event(), ValueError("too odd"))])
    kept_aside = (folder_of(db_path) / rejected.FILE_NAME).read_text().count("\n")
    assert 0 < kept_aside < 20
    assert counters.values() == {"rejected": kept_aside, "dropped_rejected": 20 - kept_aside}

"""Checks of the storage: rows can be written, and are. The database, its disk, its recorders and their counters."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress

from llm_metrics_proxy.recorder.care import status as status_report
from llm_metrics_proxy.recorder.care.status import Status
from llm_metrics_proxy.recorder.client_setup.signature import fingerprint
from llm_metrics_proxy.recorder.doctor import Check, Circumstances, fail, ok, untried, warn
from llm_metrics_proxy.recorder.doctor.port import Found
from llm_metrics_proxy.recorder.errors import DatabaseRefused, RecorderError
from llm_metrics_proxy.recorder.store import database, identity, presence, spill_folder
from llm_metrics_proxy.recorder.writing import spill

_PATIENCE_SECONDS = 2.0  # for locks: a recorder holds one for 20 ms
_OTHER = "give the proxy's database with --db or LLM_METRICS_DB; its start prints the path"


def look(at: Circumstances, found: Found) -> Iterator[Check]:
    """Look at the database, unless there is none."""
    path = at.database
    if not path.is_file() and found.signature is not None and not at.database_is_given:
        what = f"There is no {path}: the proxy records into another file, which was not looked at."
        yield warn("database", what, _OTHER)
        return
    try:
        status = status_report.collect(path)
    except RecorderError as error:
        yield fail("database", f"{error.what}.", error.cure)
    else:
        yield _writable(at, status)
        yield from _rows(status)
        yield from _losses(status, found)
    yield _recorder(at, found)
    yield _disk(at)
    folder = spill_folder.folder_of(path.resolve())
    if waiting := spill.waiting_bytes(folder):
        what = f"{waiting:,} bytes of events are kept aside in {folder} until the database takes them."
        yield warn("kept aside", what, "see to the database; they are written by themselves, while a proxy runs")
    else:
        yield ok("kept aside", "No events wait for the database.")


def _writable(at: Circumstances, status: Status) -> Check:
    """Take the write lock for a moment, which changes nothing."""
    path = at.database.resolve()
    try:
        with closing(database.connect(path, timeout=_PATIENCE_SECONDS)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        refusal = identity.refusal(path, error)
        return fail("database", f"{refusal.what}.", refusal.cure)
    what = f"{path} can be written: {status.database.bytes:,} bytes, schema version {status.database.schema_version}."
    return ok("database", what)


def _rows(status: Status) -> Iterator[Check]:
    if status.rows.last_at is None:
        what = "There is no row yet."
        yield warn("last row", what, "make a call, with the variables of llm-metrics env in that terminal")
    else:
        yield ok(
            "last row", f"{status.rows.last_at}, of {'' if status.rows.exact else 'at most '}{status.rows.count:,}."
        )


def _losses(status: Status, found: Found) -> Iterator[Check]:
    if lost := {cause: n for cause, n in status.dropped.items() if n}:
        causes = ", ".join(f"{cause} {n:,}" for cause, n in lost.items())
        yield warn(
            "dropped", f"Events were lost ({causes}).", "llm-metrics status shows when; check the disk and the database"
        )
    else:
        yield ok("dropped", "No event was lost.")
    names = {found.signature.recorder} if found.signature else set()
    own = [one.counters for one in status.recent_processes if fingerprint(one.process) in names]
    if refused := sum(counters.get("client_tls_failed", 0) for counters in own):
        what = f"Since the proxy was started, clients have refused its certificate {refused:,} times."
        yield warn("refused", what, "the proxy's log names the hosts; those clients need the lines of llm-metrics env")


def _recorder(at: Circumstances, found: Found) -> Check:
    living: set[str] = set()
    with suppress(OSError, DatabaseRefused):
        living = presence.living(at.database.resolve())
    if found.signature is None:
        what = f"{len(living)} run on it" if living else "None runs on it"
        return untried(
            "recorder", f"{what}; whether the proxy's is one of them is not known, since it does not answer."
        )
    if found.signature.recorder is None:
        return warn("recorder", "The proxy has not opened its database.", "try again in a moment")
    if found.signature.recorder in {fingerprint(process) for process in living}:
        return ok("recorder", f"The proxy records into {at.database}.")
    return fail("recorder", f"The proxy does not record into {at.database}, but elsewhere.", _OTHER)


def _disk(at: Circumstances) -> Check:
    folder = at.database.resolve().parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return untried("disk", f"{folder} cannot be looked at ({error.strerror}).")
    what = f"{free:,} bytes are free for {folder}."
    if free < at.least_free:
        return fail("disk", what, "make room: without it rows are kept in memory, and dropped in the end")
    if free < at.little_free:
        return warn("disk", what, "make room, or set metrics_retention; llm-metrics prune deletes old rows")
    return ok("disk", what)

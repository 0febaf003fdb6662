"""Promises of hostile traffic: all passes as sent, all is recorded within bounds, and nothing secret is kept."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.addon.providers.errors import LONGEST_MESSAGE
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from tests.support.process_watch import Sample, slope, warm
from tests.support.verdict import Promise, counters_in, faults_in, not_once, uncounted
from tests.trials.hostile import plants
from tests.trials.hostile.traffic import Traffic

_SQLITE = b"SQLite format 3\0"
_LONGEST_TEXT, _LONGEST_JSON = 256, 8192
_LARGEST = 10**12
_MOST_GROWTH_MB = 150.0  # copies of twelve bodies of 16 MiB may be there at once, when bombs meet
_MOST_SLOPE_MB = 0.5  # in 1,000 exchanges, over the second half
_WARM = 0.5
_FEWEST_FOR_A_SLOPE = 5_000
# Counts of a provider that contradict each other are kept as it reported them.
_PROVIDERS_WORD = "a part of the tokens is more than the whole"


def promises(traffic: Traffic, harmed: list[str], samples: list[Sample], database: Path, log: str) -> list[Promise]:
    """Judge a run that has ended."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [
            Promise.unless(
                traffic.wrong, "every client got what the provider sent", f"{traffic.kinds.total()} answers"
            ),
            Promise.unless(harmed, "every provider got what the client sent", "and no header of ours"),
            _rows(traffic, connection),
            _counted(traffic, connection),
            _bounds(connection),
            _counters(counters_in(database)),
            _sound(connection),
            *_memory(samples),
            Promise.unless(faults_in(log), "the proxy logged no traceback", f"{len(log)} characters"),
        ]


def secrets(files: list[Path]) -> Promise:
    """Judge what is left in files, and in every column of every table of those that are databases."""
    found = [f"{path.name}: {one}" for path in files for one in plants.found_in(path)]
    for path in filter(_is_database, files):
        texts = plants.texts_in(path)  # also those that are longer than a page of the file, and so stand in two
        found += [
            f"{path.name}: {table}.{column} {text[:80]!r}"
            for table, column, text in texts
            if plants.found_in_text(text)
        ]
    size = sum(path.stat().st_size for path in files)
    return Promise.unless(found, "no secret is kept", f"in {len(files)} files of {size:,} bytes")


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _rows(traffic: Traffic, connection: sqlite3.Connection) -> Promise:
    found = Counter(name for (name,) in connection.execute("SELECT session_id FROM completion_requests"))
    problems = not_once(found, traffic.rows)
    return Promise.unless(problems, "every exchange of an LLM's path has its row, once", f"{found.total()} rows")


def _counted(traffic: Traffic, connection: sqlite3.Connection) -> Promise:
    (counted,) = connection.execute("SELECT ifnull(sum(count), 0) FROM unrecognised").fetchone()
    others = list(traffic.rows.values()).count(0)
    return Promise("every other one is counted", counted == others, f"{counted} of {others}")


_LONGEST = dict.fromkeys(("usage", "billed", "server_timing"), _LONGEST_JSON) | {"error_message": LONGEST_MESSAGE}


def _bounds(connection: sqlite3.Connection) -> Promise:
    off = []
    for row in connection.execute("SELECT * FROM completion_requests"):
        for name, value in dict(row).items():
            longest = _LONGEST.get(name, _LONGEST_TEXT)
            if isinstance(value, str) and (len(value) > longest or not _printable(value)):
                off.append(f"{row['session_id']}: {name} {value[:40]!r}")
            elif isinstance(value, int) and not 0 <= value <= _LARGEST:
                off.append(f"{row['session_id']}: {name} {value}")
    return Promise.unless(off, "every value is within its bounds, and steers no terminal", "all")


def _printable(value: str) -> bool:
    return not any(
        ord(sign) < 32 or 127 <= ord(sign) < 160 or sign in "\u061c\u200e\u200f\u202e\u2066\u2069\ufeff"
        for sign in value
    )


def _counters(counters: dict[str, int]) -> Promise:
    known = ", ".join(f"{name} {n}" for name, n in sorted(counters.items()))
    problems = uncounted(counters, stored=("written", "unrecognised", "tunnelled", "limits"))
    return Promise.unless(problems, "nothing was dropped or refused, and no fault of ours counted", known)


def _sound(connection: sqlite3.Connection) -> Promise:
    connection.row_factory = None
    problems = CompletionRequestsDAO(connection).validate_data_integrity()
    ours = [one for one in problems if not one.startswith(_PROVIDERS_WORD)]
    return Promise.unless(ours, "the database is sound", "all pages and rows")


def _memory(samples: list[Sample]) -> list[Promise]:
    first, most, last = samples[0].rss_mb, max(sample.rss_mb for sample in samples), samples[-1].rss_mb
    found = f"{first:.0f} MB at first, {most:.0f} at most, {last:.0f} at the end"
    judged = [Promise("memory is bounded", most - first <= _MOST_GROWTH_MB, found)]
    if samples[-1].calls >= _FEWEST_FOR_A_SLOPE:
        growth = slope(warm(samples, _WARM))
        judged.append(Promise("memory does not grow", growth <= _MOST_SLOPE_MB, f"{growth:+.2f} MB in 1,000 exchanges"))
    return judged

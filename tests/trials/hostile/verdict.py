"""What was promised, and whether it was kept."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.addon.providers.errors import LONGEST_MESSAGE
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from tests.support.process_watch import Sample, slope
from tests.trials.hostile import plants
from tests.trials.hostile.traffic import Traffic
from tests.trials.soak.verdict import Promise

_LONGEST_TEXT, _LONGEST_JSON = 256, 8192
_LARGEST = 10**12
_MOST_GROWTH_MB = 150.0  # copies of twelve bodies of 16 MiB may be there at once, when bombs meet
_MOST_SLOPE_MB = 0.5  # in 1,000 exchanges, over the second half
_WARM = 0.5
_FEWEST_FOR_A_SLOPE = 5_000
_SHOWN = 5
# Counts of a provider that contradict each other are kept as it reported them.
_PROVIDERS_WORD = "a part of the tokens is more than the whole"


def promises(traffic: Traffic, harmed: list[str], samples: list[Sample], database: Path, log: str) -> list[Promise]:
    """Judge a run that has ended."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        counters = dict(connection.execute("SELECT name, sum(value) FROM recorder_counters GROUP BY 1").fetchall())
        return [
            _none("every client got what the provider sent", traffic.wrong, f"{traffic.kinds.total()} answers"),
            _none("every provider got what the client sent", harmed, "and no header of ours"),
            _rows(traffic, connection),
            _counted(traffic, connection),
            _bounds(connection),
            _counters(counters),
            _sound(connection),
            *_memory(samples),
            _none(
                "the proxy logged no traceback", ["a traceback"] if "Traceback" in log else [], f"{len(log)} characters"
            ),
        ]


def secrets(files: list[Path]) -> Promise:
    """Judge what is left in files."""
    found = [f"{path.name}: {one}" for path in files for one in plants.found_in(path)]
    size = sum(path.stat().st_size for path in files)
    return _none("no secret is kept", found, f"in {len(files)} files of {size:,} bytes")


def _none(what: str, found: list[str], fine: str) -> Promise:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Promise(what, not found, "; ".join(found[:_SHOWN]) + more if found else fine)


def _rows(traffic: Traffic, connection: sqlite3.Connection) -> Promise:
    found = Counter(name for (name,) in connection.execute("SELECT session_id FROM completion_requests"))
    off = [
        f"{name}: {found[name]} rows"
        for name in traffic.rows.keys() | found.keys()
        if found[name] != traffic.rows.get(name)
    ]
    return _none("every exchange of an LLM's path has its row, once", sorted(off), f"{found.total()} rows")


def _counted(traffic: Traffic, connection: sqlite3.Connection) -> Promise:
    (counted,) = connection.execute("SELECT ifnull(sum(count), 0) FROM unrecognised").fetchone()
    others = list(traffic.rows.values()).count(0)
    return Promise("every other one is counted", counted == others, f"{counted} of {others}")


def _bounds(connection: sqlite3.Connection) -> Promise:
    off = []
    for row in connection.execute("SELECT * FROM completion_requests"):
        for name, value in dict(row).items():
            longest = {"usage": _LONGEST_JSON, "server_timing": _LONGEST_JSON, "error_message": LONGEST_MESSAGE}.get(
                name, _LONGEST_TEXT
            )
            if isinstance(value, str) and (len(value) > longest or not _printable(value)):
                off.append(f"{row['session_id']}: {name} {value[:40]!r}")
            elif isinstance(value, int) and not 0 <= value <= _LARGEST:
                off.append(f"{row['session_id']}: {name} {value}")
    return _none("every value is within its bounds, and steers no terminal", off, "all")


def _printable(value: str) -> bool:
    return not any(
        ord(sign) < 32 or 127 <= ord(sign) < 160 or sign in "\u061c\u200e\u200f\u202e\u2066\u2069\ufeff"
        for sign in value
    )


def _counters(counters: dict[str, int]) -> Promise:
    bad = [
        f"{name} {n}"
        for name, n in counters.items()
        if n and ("dropped" in name or "error" in name or name == "rejected")
    ]
    written = counters.get("written", 0) + counters.get("unrecognised", 0)
    if counters.get("received") != written:
        bad.append(f"{counters.get('received')} received, {written} written")
    known = ", ".join(f"{name} {n}" for name, n in sorted(counters.items()))
    return _none("nothing was dropped or refused, and no fault of ours counted", bad, known)


def _sound(connection: sqlite3.Connection) -> Promise:
    connection.row_factory = None
    problems = CompletionRequestsDAO(connection).validate_data_integrity()
    return _none(
        "the database is sound", [one for one in problems if not one.startswith(_PROVIDERS_WORD)], "all pages and rows"
    )


def _memory(samples: list[Sample]) -> list[Promise]:
    first, most, last = samples[0].rss_mb, max(sample.rss_mb for sample in samples), samples[-1].rss_mb
    found = f"{first:.0f} MB at first, {most:.0f} at most, {last:.0f} at the end"
    judged = [Promise("memory is bounded", most - first <= _MOST_GROWTH_MB, found)]
    warm = [sample for sample in samples if sample.calls >= samples[-1].calls * _WARM]
    if samples[-1].calls >= _FEWEST_FOR_A_SLOPE:
        growth = slope(warm)
        judged.append(Promise("memory does not grow", growth <= _MOST_SLOPE_MB, f"{growth:+.2f} MB in 1,000 exchanges"))
    return judged

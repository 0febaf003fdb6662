"""The tables of the documentation, printed from the records: what stands between two marks of a page.

`<!-- bench RECORD TABLE -->` begins one and `<!-- end of bench -->` ends it; RECORD is a JSON file of this folder.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.support.proxy import ROOT
from tests.trials.bench.comparison import How, compared, spread
from tests.trials.bench.goals import REACH, reached, standing
from tests.trials.bench.peers.catalogue import PEERS
from tests.trials.bench.rounds import Results
from tests.trials.bench.systems import AGAIN, BARE, DIRECT, FLOOR, OFF, OURS, SYSTEMS

PAGES: Final = (ROOT / "README.md", ROOT / "docs" / "performance.md", ROOT / "docs" / "upstream.md")
_FOLDER = Path(__file__).parent
_MARKED = re.compile(r"(<!-- bench (\w+) (\w+) -->\n).*?(<!-- end of bench -->)", re.DOTALL)

type Row = tuple[str, str, str]
"""What a figure is called, and its workload and name."""

_ROWS: Final[Sequence[Row]] = (
    ("small call, one at a time: p50, ms", "small1", "p50_ms"),
    ("the same: p99 added to no proxy, ms", "small1", "p99_added_ms"),
    ("small calls, 16 at a time: p99 added, ms", "small16", "p99_added_ms"),
    ("small calls, 32 at a time: requests/s", "small32", "requests_per_s"),
    ("CPU of such a call, us", "small32", "cpu_us_per_request"),
    ("16 streams without pauses: events/s", "burst16", "events_per_s"),
    ("CPU of such an event, us", "burst16", "cpu_us_per_event"),
    ("the same: events in a chunk of their own, %", "burst16", "own_chunk_percent"),
    ("50 streams of 50 events/s: first token, p50, ms", "paced50", "ttft_p50_ms"),
    ("the same, p99, ms", "paced50", "ttft_p99_ms"),
    ("the same: delay of an event, p99, ms", "paced50", "delay_p99_ms"),
    ("the same: jitter, p99, ms", "paced50", "jitter_p99_ms"),
    ("the same: events in a chunk of their own, %", "paced50", "own_chunk_percent"),
    ("the same: events there before the next was sent, %", "paced50", "before_next_percent"),
    ("the same: CPU of an event, us", "paced50", "cpu_us_per_event"),
    ("10 streams beside requests of 5 MB: delay of an event, p99, ms", "blocked", "delay_p99_ms"),
    ("prompt of 100,000 tokens: first token, p50, ms", "prompt100k", "ttft_p50_ms"),
    ("request of 200 KB: requests/s", "body200k", "requests_per_s"),
    ("request of 5 MB: p50, ms", "body5m", "p50_ms"),
    ("new connection for each call: p50, ms", "connect", "p50_ms"),
    ("peak memory, 15,000 small calls, MB", "memory", "peak_rss_mb"),
)
_IN_README: Final[Sequence[Row]] = (
    ("small call: p50, ms", "small1", "p50_ms"),
    ("small calls, 32 at a time: requests/s", "small32", "requests_per_s"),
    ("50 streams of 50 events/s: first token, p99, ms", "paced50", "ttft_p99_ms"),
    ("16 streams without pauses: events/s", "burst16", "events_per_s"),
)
_OPTIMISED: Final[Sequence[Row]] = tuple(row for row in _ROWS if row[1] in {"small1", "small32", "burst16", "paced50"})
_CARRIED: Final[Mapping[str, str]] = {
    "ttft_p50_ms": "first token p50, ms",
    "ttft_p99_ms": "p99, ms",
    "delay_p99_ms": "event delay p99, ms",
    "events_per_s": "events/s",
    "requests_per_s": "calls/s",
    "cores": "cores of the proxies",
}
_NOTHING = "-"
_NOT_YET = "Not measured yet.\n"


def filled(text: str, records: Mapping[str, Results]) -> str:
    """Return the text of a page with its tables made anew."""

    def made(mark: re.Match[str]) -> str:
        record = records.get(mark[2])
        return f"{mark[1]}{TABLES[mark[3]](record) if record else _NOT_YET}{mark[4]}"

    return _MARKED.sub(made, text)


def records() -> dict[str, Results]:
    """Return the committed records by name."""
    return {path.stem: read(path) for path in _FOLDER.glob("*.json")}


def read(path: Path) -> Results:
    """Return what a record holds; one from before systems had their titles in it has those of today."""
    results = msgspec.json.decode(path.read_bytes(), type=Results)
    results.titles = results.titles or {system.name: system.title for system in SYSTEMS}
    return results


def write() -> None:
    """Make the tables of all pages anew."""
    known = records()
    for page in PAGES:
        page.write_text(filled(page.read_text(), known))


def _ran(results: Results) -> str:
    """Return where and with what it was measured, as a paragraph."""
    machine = results.machine
    said = (
        f"`make bench` measured this on {machine['date']} on {machine['cores']} cores ({machine['cpu']}) with "
        f"CPython {machine['python']} ({machine.get('build', 'build not noted')}), "
        f"{' '.join(str(machine['openssl']).split()[:2])} and "
        f"mitmproxy {machine['mitmproxy']}, in {len(results.rounds)} interleaved rounds."
    )
    titles = {peer.name: peer.title for peer in PEERS}
    missing = [f"Not measured: {titles.get(name, name)} ({reason})." for name, reason in results.not_run.items()]
    return " ".join([said, *missing]) + "\n"


def _beside(results: Results) -> str:
    names = (DIRECT, BARE, FLOOR, OFF, OURS, "envoy", "litellm")
    return _figures(results, _ROWS, names)


def _in_readme(results: Results) -> str:
    return _figures(results, _IN_README, (DIRECT, FLOOR, OURS, "litellm"))


def _optimised(results: Results) -> str:
    return _figures(results, _OPTIMISED, (FLOOR, OURS, "pgo-floor", "pgo-ours"))


def _goals(results: Results) -> str:
    rows = []
    for goal in REACH:
        found = reached(results, goal)
        own = [spread(results, goal.workload, goal.figure, system) for system in (FLOOR, OURS)]
        cells = [number(one.middle) if one else _NOTHING for one in own]
        if found is None:
            cells += [_NOTHING] * 3
        else:
            control = _NOTHING if found.control is None else f"{found.control:.2f}"
            ranged = f"{found.spread.middle:.2f} [{found.spread.least:.2f}-{found.spread.most:.2f}]"
            cells += [ranged, control, f"**{found.adjusted:.2f}**"]
        limit = f"{'>=' if goal.at_least else '<='} {goal.limit:.2f}"
        rows.append([goal.measure, *cells, limit, standing(results, goal)])
    heads = ["", "pass-through", "llm-metrics", "compared [range]", "control", "adjusted", "goal", ""]
    return _table(heads, rows)


def _capacity(results: Results) -> str:
    rows = []
    for one in results.capacity:
        cells = [number(one.figures[name]) if one.figures.get(name) else _NOTHING for name in _CARRIED]
        rows.append([str(one.load.processes), f"{one.load.connections} {one.load.title}", *cells])
    return _table(["proxies", "load", *_CARRIED.values()], rows)


def _patches(results: Results) -> str:
    """Return the ratios of patched mitmproxies to an unpatched one, and of that to itself."""
    names = (AGAIN, "patch-dispatch", "patch-writes", "patch-both")
    rows = []
    for title, workload, figure in _ROWS:
        found = [compared(results, workload, figure, name, How.RATIO) for name in names]
        own = spread(results, workload, figure, FLOOR)
        if own is not None and any(found) and figure != "own_chunk_percent":
            ratios = [
                f"{one.spread.middle:.2f} [{one.spread.least:.2f}-{one.spread.most:.2f}]" if one else _NOTHING
                for one in found
            ]
            rows.append([title, number(own.middle), *ratios])
    return _table(["", "unpatched", "unpatched again", "`dispatch.patch`", "`writes.patch`", "both"], rows)


TABLES: Final[Mapping[str, Callable[[Results], str]]] = {
    "ran": _ran,
    "beside": _beside,
    "readme": _in_readme,
    "optimised": _optimised,
    "goals": _goals,
    "capacity": _capacity,
    "patches": _patches,
}


def _figures(results: Results, rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return the medians of some figures, a column for each system that was measured."""
    there = [name for name in names if any(spread(results, *row[1:], name) for row in rows)]
    lines = []
    for title, workload, figure in rows:
        found = [spread(results, workload, figure, name) for name in there]
        if any(found):
            lines.append([title, *(number(one.middle) if one else _NOTHING for one in found)])
    return _table(["", *(results.titles[name] for name in there)], lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |")


def number(value: float) -> str:
    """Return a figure with three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

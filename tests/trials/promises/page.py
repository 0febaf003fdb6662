"""docs/promises.md, made of promises.toml and of the records in tests/trials/results/."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from tests.trials.bench.goals import GOALS, Standing, reached, standing
from tests.trials.bench.rounds import Results
from tests.trials.promises.catalogue import HEADS, Catalogue, Promise, as_one_line, catalogue, split
from tests.trials.record import RESULTS, ROOT, Check, Record, Result, read

PAGE = ROOT / "docs" / "promises.md"
BENCH = ROOT / "tests" / "trials" / "bench" / "results.json"
_UNITS = {
    "torture": "rounds",
    "hostile": "exchanges",
    "fleet": "calls",
    "soak": "calls",
    "fuzz": "inputs",
    "tests": "tests",
    "bench": "rounds",
}
_COMMANDS = {"tests": "make promises ARGS=tests", "break": "make promises ARGS=break"}
_STANDINGS: Final[Mapping[Standing, Result]] = {
    Standing.MET: "kept",
    Standing.NOT_MET: "broken",
    Standing.NOT_MEASURED: "blocked",
}
_LONGEST = 160  # characters of what was found wrong
_BEGINNING = """\
# What we promise, and how it is proven

Each promise of [README](../README.md), [SECURITY](../SECURITY.md) and [Operations](operations.md) stands here with
the trials and tests that fail when it is broken. They run real proxies, files and processes on the loopback interface.

- **Tries** is how often the proof was tried in its last run: calls, exchanges or inputs of a trial, repetitions of a
  fault, or tests, of which each set of parameters counts.
- **Last result** is that of the committed record, with its date.
- **Broken once by** is one change of the code that breaks the promise. `make promises ARGS=break` makes each of these
  changes, one at a time, and looks if the proof fails; ✓ says that it did.

`make promises` makes this page of `tests/trials/promises/promises.toml` and of the records in `tests/trials/results/`;
`make trials` runs everything anew. A test fails if README or SECURITY has a sentence that is neither proven here nor
marked as promising nothing, or if a proof names something that does not exist.
"""


def records() -> dict[str, Record]:
    """Return the last record of every trial, the bench among them."""
    found = [read(path) for path in sorted(RESULTS.glob("*.json"))]
    if BENCH.exists():
        found.append(_of_bench(msgspec.json.decode(BENCH.read_bytes(), type=Results)))
    return {record.trial: record for record in found}


def page() -> str:
    """Return the whole page."""
    return "\n".join(lines(catalogue(), records()))


def lines(all_of_it: Catalogue, records: dict[str, Record]) -> Iterator[str]:
    """Yield the lines of the page for some promises and the last record of each trial."""
    names = _names(all_of_it.promise)
    yield _BEGINNING
    for head in HEADS:
        chosen = [promise for promise in all_of_it.promise if promise.head == head and promise.proofs]
        yield f"## {head}\n"
        yield "| promise | proof | tries | last result | broken once by |"
        yield "| --- | --- | --- | --- | --- |"
        yield from (_row(promise, names, records) for promise in chosen)
        yield ""
    unproven = [promise for promise in all_of_it.promise if not promise.proofs]
    if unproven:
        yield "## Not proven\n"
        yield "These are promised, and no trial of ours shows them.\n"
        yield "| promise | why not |"
        yield "| --- | --- |"
        yield from (f"| {promise.says} | {promise.unproven} |" for promise in unproven)
        yield ""
    yield "## The last runs\n"
    yield "| trial | command | tries | held | minutes | date | version, commit | machine |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from (_run(record) for record in sorted(records.values(), key=lambda record: record.trial))
    yield ""
    yield from (f"[{name}]: ../{place}" for place, name in names.items())
    yield ""


def _row(promise: Promise, names: Mapping[str, str], records: dict[str, Record]) -> str:
    found = [_found(proof, records) for proof in promise.proofs]
    cells = (promise.says, _proofs(promise.proofs, names), _tries(found), _result(found), _broken(promise, records))
    return f"| {' | '.join(cells)} |"


type Found = tuple[str, Record | None, list[Check]]
"""A proof's trial, its last record, and the checks that the proof names there."""


def _found(proof: str, records: dict[str, Record]) -> Found:
    trial, wanted = split(proof)
    record = records.get(trial)
    return trial, record, [one for one in record.checks if fnmatchcase(one.name, wanted)] if record else []


def _proofs(proofs: Sequence[str], names: Mapping[str, str]) -> str:
    """Return each trial once with its checks, of a torture their numbers, and each file of tests once."""
    named: dict[str, dict[str, None]] = {}
    for trial, check in map(split, proofs):
        checks = named.setdefault(f"[{names[_place(trial, check)]}]", {})
        if trial != "tests":
            short = check.partition(":")[0].removesuffix(" control").strip("*")
            checks[short if trial == "torture" else f'"{check}"'] = None
    return "; ".join(f"{place} {', '.join(checks)}".strip() for place, checks in named.items())


def _names(promises: Iterable[Promise]) -> dict[str, str]:
    """Return the name by which each file that proves something is linked: with its folder where two have the same."""
    proofs = sorted(split(proof) for promise in promises for proof in promise.proofs)
    places = {_place(trial, check): trial if trial != "tests" else "" for trial, check in proofs}
    stems = Counter(Path(place).stem for place in places)
    names = {}
    for place, trial in places.items():
        path = Path(place)
        names[place] = trial or (path.stem if stems[path.stem] == 1 else f"{path.parent.name}/{path.stem}")
    return names


def _place(trial: str, check: str) -> str:
    return check.partition("::")[0] if trial == "tests" else f"tests/trials/{trial}/__main__.py"


def _tries(found: list[Found]) -> str:
    """Checks of a torture or tests are tried one by one; those of another trial are all judged over the same tries."""
    tries = Counter[str]()
    for trial, _, checks in found:
        counts = [check.tries for check in checks]
        alone = trial in ("torture", "tests", "fuzz")
        tries[trial] = tries[trial] + sum(counts) if alone else max([tries[trial], *counts])
    return ", ".join(f"{count:,} {_UNITS[trial]}" for trial, count in tries.items() if count) or "-"


def _result(found: list[Found]) -> str:
    missing = {trial for trial, _, checks in found if not checks}
    checks = [check for _, _, some in found for check in some]
    broken = [as_one_line(f"{check.name}: {check.found}")[:_LONGEST] for check in checks if check.result == "broken"]
    blocked = sum(check.result == "blocked" for check in checks)
    dates = [record.date for _, record, some in found if record and some]
    if broken:
        return f"**BROKEN** {min(dates)}: {broken[0].replace('|', '/')}"
    parts = [f"kept {min(dates)}"] if any(check.result == "kept" for check in checks) else []
    parts += [f"{blocked} could not run"] if blocked else []
    parts += [f"not run yet: {', '.join(sorted(missing))}"] if missing else []
    return "; ".join(parts)


def _broken(promise: Promise, records: dict[str, Record]) -> str:
    if promise.broken is None:
        return "-"
    checks = {check.name: check for check in records["break"].checks} if "break" in records else {}
    seen = checks.get(promise.name)
    mark = {"kept": " ✓", "broken": " (NOT NOTICED)"}.get(seen.result, "") if seen else ""
    return f"{promise.broken.by}{mark}"


def _run(record: Record) -> str:
    counts = Counter(check.result for check in record.checks)
    held = f"{counts['kept']} of {counts.total()}" + (f", {counts['blocked']} blocked" if counts["blocked"] else "")
    machine = f"{record.python}, mitmproxy {record.mitmproxy}, SQLite {record.sqlite}, {record.system}"
    command = _COMMANDS.get(record.trial, f"make {record.trial}")
    minutes = f"{record.seconds / 60:.0f}" if record.seconds else "-"
    cells = (record.trial, f"`{command}`", f"{record.tries:,}", held, minutes, record.date or "-")
    version = ", ".join(part for part in (record.version, record.commit) if part)
    return f"| {' | '.join((*cells, version or '-', machine))} |"


def _of_bench(results: Results) -> Record:
    """Return the goals of the bench as checks; its file has figures of all systems and rounds."""
    checks = []
    for goal in GOALS:
        figure = reached(results, goal)
        limit = f"may be {'no less' if goal.at_least else 'no more'} than {goal.limit:g}"
        found = f"{figure.adjusted:.3g}, {limit}" if figure else ""
        checks.append(Check(goal.measure, _STANDINGS[standing(results, goal)], len(results.rounds), found))
    machine = {name: str(value) for name, value in results.machine.items()}
    return Record(
        trial="bench",
        date=machine.get("date", ""),
        seconds=0,
        tries=len(results.rounds),
        version="",
        commit="",
        python=f"CPython {machine.get('python')}",
        mitmproxy=machine.get("mitmproxy", ""),
        sqlite=machine.get("sqlite", ""),
        system=machine.get("system", "").partition(" ")[0],
        kinds={},
        checks=checks,
    )

"""The trial: recorded cases, then conversations at random, through two proxies at once that differ in one option."""

import asyncio
import random
import sqlite3
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.support.fixture import FIXTURES
from tests.support.proxy import Proxy
from tests.support.traffic.client import trusting
from tests.support.verdict import Promise, counters_in, faults_in
from tests.trials.hostile.both_ways.comparison import anything, difference
from tests.trials.hostile.both_ways.kinds import Conversation, drawn, recorded
from tests.trials.hostile.both_ways.wires import RawProvider, talk

_USERS = 12
_QUIET = (0.4, 3.0, 6.0)  # seconds: what a slow machine did differs once, what the option does at each attempt


@dataclass(frozen=True)
class Pair:
    """One option, its two values, and what may differ."""

    promise: str
    option: str
    values: tuple[str, str]
    difference: Callable[..., str]
    same_rows: bool
    every: int = 1  # which of the recorded cases a short run makes


_SHORT_RUN = 100  # conversations

PAIRS = (
    Pair(
        "asking for usage changes nothing else", "metrics_include_usage", ("false", "true"), difference, same_rows=False
    ),
    Pair("the fast path changes nothing", "metrics_fast_path", ("off", "auto"), anything, same_rows=True, every=8),
)

type _Made = Callable[[str], Conversation]


class _Way:
    """One proxy and the provider behind it."""

    def __init__(self, proxy: Proxy, provider: RawProvider) -> None:
        self.proxy, self.provider = proxy, provider
        self._context: ssl.SSLContext | None = None

    async def talk(self, name: str, said: Conversation, quiet: float) -> None:
        if self._context is None:
            self._context = trusting(self.proxy.ca)
        self.provider.talks[name.encode()] = said
        await talk(self.proxy.port, self._context, said, self.provider.seen[name.encode()], quiet)


async def run(
    folder: Path, *, first: int, count: int, seed: int
) -> tuple[list[tuple[list[Promise], int]], Counter[str]]:
    """Make all recorded cases, and then so many conversations of the seed, with each pair of values.

    Return for each pair its promises and how many conversations tried them, and the kinds of all.
    """
    judged, kinds = list[tuple[list[Promise], int]](), Counter[str]()
    for pair in PAIRS:
        before = kinds.total()
        promises = await _compare(pair, folder, range(first, first + count), seed, kinds)
        judged.append((promises, kinds.total() - before))
    return judged, kinds


def cases(pair: Pair, count: int) -> list[tuple[str, _Made]]:
    """Return the recorded cases that a run of so many conversations makes."""
    return list(recordings())[:: pair.every if count < _SHORT_RUN else 1]


async def _compare(pair: Pair, folder: Path, numbers: range, seed: int, kinds: Counter[str]) -> list[Promise]:
    wrong, settled, before = list[str](), set[str](), kinds.total()
    with ExitStack() as stack:
        ways = [await _way(folder / f"{pair.option}-{value}", f"{pair.option}={value}", stack) for value in pair.values]
        left = iter([*cases(pair, len(numbers)), *((f"r-{number}", None) for number in numbers)])
        async with asyncio.TaskGroup() as users:
            for _ in range(_USERS):
                users.create_task(_user(left, ways, pair, seed, _Found(kinds, wrong, settled)))
        for way in ways:
            await asyncio.to_thread(way.proxy.stop)
    tries = kinds.total() - before
    problems = [f"{name} {n}" for way in ways for name, n in counters_in(way.proxy.database).items() if _is_bad(name)]
    problems += [one for way in ways for one in faults_in(way.proxy.log)]
    if pair.same_rows:
        plain, other = (rows_in(way.proxy.database) for way in ways)
        wrong += _other_rows(plain, other, settled)
    return [
        Promise.unless(wrong, pair.promise, f"{tries} conversations, both ways"),
        Promise.unless(problems, f"{pair.option}: both proxies met no fault of their own", "counters and logs"),
    ]


def _is_bad(counter: str) -> bool:
    return "error" in counter or counter.startswith("fast_path")


def rows_in(database: Path) -> dict[str, list[dict[str, object]]]:
    """Return the rows of each exchange, without what a clock or chance has put there."""
    found = defaultdict[str, list[dict[str, object]]](list)
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM completion_requests ORDER BY rowid"):
            kept = {name: row[name] for name in row.keys() if not _is_of_the_proxy(name)}  # noqa: SIM118 - a sqlite3.Row
            found[str(row["session_id"])].append(kept)
    return found


def _is_of_the_proxy(column: str) -> bool:
    """Tell whether two proxies, each with its clock and its database's secret, may say another thing there."""
    return column.endswith("_ms") or column in {"id", "event_id", "timestamp", "tokens_per_second", "key_id"}


def _other_rows(
    rows: dict[str, list[dict[str, object]]], others: dict[str, list[dict[str, object]]], settled: set[str]
) -> list[str]:
    """Return whose rows differ, of the conversations that have settled: of others chance says how far they came."""
    exchanges = sorted(one for one in rows.keys() | others.keys() if one.partition(" ")[0] in settled)
    wrong = [one for one in exchanges if rows.get(one) != others.get(one)]
    if settled and not exchanges:
        wrong.append("there are no rows")
    return [f"{one}: the rows are {others.get(one)} and not {rows.get(one)}"[:1500] for one in wrong]


def recordings() -> Iterator[tuple[str, _Made]]:
    """Yield a name for each case of tests/fixtures, and what makes a conversation of it."""
    for number, place in enumerate(sorted(FIXTURES.glob("*/*/response.http"))):
        yield f"f-{number}", partial(recorded, folder=place.parent.relative_to(FIXTURES).as_posix())


async def _way(folder: Path, option: str, stack: ExitStack) -> _Way:
    folder.mkdir()
    provider = RawProvider()
    server = await provider.serve()
    stack.callback(server.close)
    ca = provider.authority.write(folder / "provider-ca.pem")
    options = [option, "metrics_intercept_all=true"]
    proxy = Proxy(folder, provider.port, ca, options=options)
    await asyncio.to_thread(stack.enter_context, proxy)
    return _Way(proxy, provider)


class _Found(NamedTuple):
    kinds: Counter[str]
    wrong: list[str]
    settled: set[str]  # conversations whose ends have seen the same, and that nobody left


async def _user(
    left: Iterator[tuple[str, _Made | None]], ways: list[_Way], pair: Pair, seed: int, found: _Found
) -> None:
    for name, given in left:
        for attempt, quiet in enumerate(_QUIET):
            known = f"{name}.{attempt}"
            said = given(known) if given else drawn(random.Random(f"{seed} {name}"), known)
            await asyncio.gather(*(way.talk(known, said, quiet) for way in ways))
            leaves = said.leaves_upload or said.leaves_after is not None
            await asyncio.sleep(quiet if leaves else 0)
            seen = [way.provider.seen.pop(known.encode()) for way in ways]
            if not (differs := pair.difference(*seen, client_left=said.leaves_after is not None)):
                break
        if differs:
            found.wrong.append(f"{said.kind} {name}: {differs}")
        elif not leaves:
            found.settled.add(known)
        found.kinds[f"both ways: {said.kind.partition('/')[0]}"] += 1

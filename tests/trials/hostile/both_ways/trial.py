"""The trial: recorded cases, then conversations at random, each through both proxies at once."""

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.support.fixture import FIXTURES
from tests.support.proxy import Proxy
from tests.support.traffic.client import trusting
from tests.support.verdict import Promise, counters_in, faults_in
from tests.trials.hostile.both_ways.comparison import difference
from tests.trials.hostile.both_ways.kinds import Conversation, drawn, recorded
from tests.trials.hostile.both_ways.wires import RawProvider, talk

_USERS = 12
_QUIET = (0.4, 3.0, 6.0)  # seconds: what a slow machine did differs once, what the option does at each attempt


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


async def run(folder: Path, *, first: int, count: int, seed: int) -> tuple[list[Promise], Counter[str]]:
    """Make all recorded cases, and then so many conversations of the seed."""
    kinds, wrong = Counter[str](), list[str]()
    with ExitStack() as stack:
        ways = [await _way(folder / option, option, stack) for option in ("false", "true")]
        left = iter([*recordings(), *((f"r-{number}", None) for number in range(first, first + count))])
        async with asyncio.TaskGroup() as users:
            for _ in range(_USERS):
                users.create_task(_user(left, ways, seed, kinds, wrong))
        for way in ways:
            await asyncio.to_thread(way.proxy.stop)
    problems = [f"{name} {n}" for way in ways for name, n in counters_in(way.proxy.database).items() if "error" in name]
    problems += [one for way in ways for one in faults_in(way.proxy.log)]
    return [
        Promise.unless(wrong, "asking for usage changes nothing else", f"{kinds.total()} conversations, both ways"),
        Promise.unless(problems, "both proxies met no fault of their own", "counters and logs"),
    ], kinds


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
    options = [f"metrics_include_usage={option}", "metrics_intercept_all=true"]
    proxy = Proxy(folder, provider.port, ca, options=options)
    await asyncio.to_thread(stack.enter_context, proxy)
    return _Way(proxy, provider)


async def _user(
    left: Iterator[tuple[str, _Made | None]], ways: list[_Way], seed: int, kinds: Counter[str], wrong: list[str]
) -> None:
    for name, given in left:
        for attempt, quiet in enumerate(_QUIET):
            known = f"{name}.{attempt}"
            said = given(known) if given else drawn(random.Random(f"{seed} {name}"), known)
            await asyncio.gather(*(way.talk(known, said, quiet) for way in ways))
            await asyncio.sleep(quiet if said.leaves_upload or said.leaves_after else 0)
            seen = [way.provider.seen.pop(known.encode()) for way in ways]
            if not (found := difference(*seen, client_left=said.leaves_after is not None)):
                break
        if found:
            wrong.append(f"{said.kind} {name}: {found}")
        kinds[f"both ways: {said.kind.partition('/')[0]}"] += 1

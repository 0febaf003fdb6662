"""Hooks are called as mitmproxy calls them, whatever the addons are, and whatever they do meanwhile."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import addonmanager, exceptions, hooks, log
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import tflow

from llm_metrics_proxy.addon.fastpath import dispatch

type Said = list[tuple[object, ...]]

_NAMES = ("request", "update", "running", "nobody")


class _Addon:
    """One whose functions are its attributes."""


def _manager(chain: list[Any]) -> addonmanager.AddonManager:
    made = addonmanager.AddonManager.__new__(addonmanager.AddonManager)
    made.chain, made.lookup = chain, {}
    return made


class _Company:
    """Addons drawn at random, which do to each other what addons may do; all that happens is in `said`."""

    def __init__(self, seed: str) -> None:
        self.said: Said = []
        self._numbers = random.Random(seed)
        self.manager = _manager([self._addon(depth=2) for _ in range(self._numbers.randrange(12))])

    def _addon(self, depth: int) -> object:
        made, numbers = _Addon(), self._numbers
        for name in _NAMES[:3]:
            if numbers.random() < 0.3:
                setattr(made, name, self._hook(name))
        if depth and numbers.random() < 0.4:
            made.addons = [self._addon(depth - 1) for _ in range(numbers.randrange(4))]  # type: ignore[attr-defined]
        elif numbers.random() < 0.05:
            made.addons = None  # type: ignore[attr-defined] # of which mitmproxy complains
        return made

    def _hook(self, name: str) -> object:
        number = self._numbers.randrange(1000)
        does = self._numbers.choice(
            (*[self._nothing] * 8, self._raises, self._halts, self._refuses, self._adds, self._removes, self._changes)
        )
        kind = self._numbers.randrange(10)
        if kind == 0:
            return self._numbers.choice((7, "text", log, 0, None, ()))  # no function, or a module of the same name

        def hook(*given: object) -> None:
            self.said.append((name, number, *[str(type(one)) for one in given]))
            does()

        async def later(*given: object) -> None:
            await asyncio.sleep(0)
            hook(*given)

        return later if kind == 1 else hook

    def _nothing(self) -> None:
        return

    def _raises(self) -> None:
        message = f"raised {len(self.said)}"
        raise ValueError(message)

    def _halts(self) -> None:
        raise exceptions.AddonHalt

    def _refuses(self) -> None:
        message = "refused"
        raise exceptions.OptionsError(message)

    def _adds(self) -> None:
        if len(self.said) < 40:
            self.manager.chain.append(self._addon(depth=0))

    def _removes(self) -> None:  # as mitmproxy does: the list that is walked stays
        self.manager.chain = self.manager.chain[1:]

    def _changes(self) -> None:
        for addon in self.manager.chain[-2:]:
            if self._numbers.random() < 0.5:
                setattr(addon, "update", self._hook("update"))  # noqa: B010 - any object
            elif hasattr(addon, "request"):
                del addon.request

    async def live(self, make: Callable[[addonmanager.AddonManager], Any] | None) -> None:
        """Have a number of hooks triggered."""
        if make is not None:
            vars(self.manager)["trigger_event"] = make(self.manager)
        flow = tflow.tflow(resp=True)
        for event in (HttpRequestHook(flow), hooks.RunningHook(), HttpRequestHook(flow), hooks.UpdateHook([flow])):
            try:
                if isinstance(event, HttpRequestHook):
                    await self.manager.handle_lifecycle(event)
                else:
                    await self.manager.trigger_event(event)
            except exceptions.OptionsError as error:
                self.said.append(("options", str(error)))


def _lived(
    seed: str, make: Callable[[addonmanager.AddonManager], Any] | None, caplog: pytest.LogCaptureFixture
) -> Said:
    caplog.clear()
    company = _Company(seed)
    asyncio.run(company.live(make))
    for record in caplog.records:
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        company.said.append(
            ("logged", record.name, record.levelname, record.getMessage().partition(" at 0x")[0], trace)
        )
    return [tuple(str(one).partition(" at 0x")[0] for one in line) for line in company.said]


@pytest.mark.parametrize("part", range(4))
def test_any_company_of_addons_is_called_as_mitmproxy_calls_it(part: int, caplog: pytest.LogCaptureFixture) -> None:
    said = 0
    for number in range(60):
        plain = _lived(f"{part} {number}", None, caplog)
        assert _lived(f"{part} {number}", dispatch.trigger_of, caplog) == plain
        said += len(plain)
    assert said > 200


def test_what_is_no_hook_is_mitmproxys_to_refuse(caplog: pytest.LogCaptureFixture) -> None:
    manager = _manager([_Addon(), _Addon()])
    event: Any = type("Event", (), {"name": "request"})()
    asyncio.run(dispatch.trigger_of(manager)(event))  # type: ignore[arg-type]
    ours = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    caplog.clear()
    asyncio.run(manager.trigger_event(event))
    assert ours == [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert len(ours) == 2

"""Hooks that nobody has cost nearly nothing.

For every hook mitmproxy enters each of some forty addons, with a context manager, a coroutine and two generators, to
find that it has no such function. Here an addon is looked at first, and entered only if mitmproxy would find something.
What is entered is entered by mitmproxy's own code, in its order, at its moment: nothing is remembered from one hook to
the next, so an addon that was loaded, changed or removed meanwhile is seen as mitmproxy sees it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from mitmproxy import addonmanager, exceptions, hooks

type Trigger = Callable[[hooks.Hook], Awaitable[None]]


def trigger_of(manager: addonmanager.AddonManager) -> Trigger:
    """Return what does for this manager what its `trigger_event` does."""
    original = manager.trigger_event

    async def trigger_event(event: hooks.Hook) -> None:
        if not isinstance(event, hooks.Hook):
            await original(event)
            return
        name = event.name
        for addon in manager.chain:  # as mitmproxy: who is added meanwhile is called
            try:
                found = getattr(addon, name, None) or (hasattr(addon, "addons") and _has_within(addon, name))
            except Exception:  # noqa: BLE001 - mitmproxy logs it, where it meets it
                found = True
            if found:
                try:
                    with addonmanager.safecall():
                        await manager.invoke_addon(addon, event)
                except exceptions.AddonHalt:
                    return

    return trigger_event


def _has_within(addon: Any, name: str) -> bool:  # noqa: ANN401 - anything can be an addon
    """Tell whether mitmproxy would call, or complain of, something of those within this addon."""
    return any(getattr(one, name, None) or (hasattr(one, "addons") and _has_within(one, name)) for one in addon.addons)


def install(manager: addonmanager.AddonManager) -> Callable[[], None]:
    """Put it in place; return what takes it away again."""
    trigger = trigger_of(manager)
    vars(manager)["trigger_event"] = trigger

    def remove() -> None:
        if vars(manager).get("trigger_event") is trigger:  # else somebody has wrapped it
            del vars(manager)["trigger_event"]

    return remove

"""Hooks cost what their functions cost.

For every hook mitmproxy enters each of some forty addons, with a context manager, a coroutine and two generators, to
find that most have no such function. Here an addon is looked at, and its function called. The order, the moment, and
what becomes of exceptions are mitmproxy's. Nothing is remembered from one hook to the next, so an addon that was
loaded, changed or removed meanwhile is seen as mitmproxy sees it.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from mitmproxy import addonmanager, exceptions, hooks

type Trigger = Callable[[hooks.Hook], Awaitable[None]]


def trigger_of(manager: addonmanager.AddonManager) -> Trigger:  # noqa: C901 - a call for each of forty addons costs
    """Return what does for this manager what its `trigger_event` does."""
    original = manager.trigger_event

    async def trigger_event(event: hooks.Hook) -> None:
        if not isinstance(event, hooks.Hook):
            await original(event)
            return
        name, arguments = event.name, event.args()
        for addon in manager.chain:  # as mitmproxy: who is added meanwhile is called
            try:
                function = getattr(addon, name, None)
                functions: Iterable[tuple[Any, Any]]
                if hasattr(addon, "addons") or (function and not callable(function)):
                    functions = manager._iter_hooks(addon, event)
                elif function:
                    functions = ((addon, function),)
                else:
                    continue
                for _, one in functions:
                    result = one(*arguments)
                    if result is not None and inspect.isawaitable(result):
                        await result
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception as error:  # noqa: BLE001 - as mitmproxy
                _log(error)

    return trigger_event


def _log(error: Exception) -> None:
    """Log an error, and where the addon made it, as mitmproxy's `safecall` does."""
    trace = error.__traceback__
    of_addon = trace.tb_next if trace is not None else None
    addonmanager.logger.error(f"Addon error: {error}", exc_info=(type(error), error, of_addon or trace))


def install(manager: addonmanager.AddonManager) -> Callable[[], None]:
    """Put it in place; return what takes it away again."""
    trigger = trigger_of(manager)
    vars(manager)["trigger_event"] = trigger

    def remove() -> None:
        if vars(manager).get("trigger_event") is trigger:  # else somebody has wrapped it
            del vars(manager)["trigger_event"]

    return remove

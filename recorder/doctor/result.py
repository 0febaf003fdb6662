"""What a check has found: one sentence, and what to do where something is wrong."""

from typing import Literal

import msgspec

from llm_metrics_proxy.recorder.client_setup.proxy_url import without_password
from llm_metrics_proxy.recorder.printable import printable

type Level = Literal["ok", "warn", "fail", "untried"]


class Check(msgspec.Struct, frozen=True):
    """The names are keys of the JSON document of `llm-metrics doctor`. `untried`: nothing is known, good or bad."""

    name: str
    level: Level
    what: str
    fix: str | None = None


def ok(name: str, what: str) -> Check:
    """It is as it should be."""
    return Check(name, "ok", _safe(what))


def warn(name: str, what: str, fix: str) -> Check:
    """It may be meant so, or cost something later."""
    return Check(name, "warn", _safe(what), _safe(fix))


def fail(name: str, what: str, fix: str) -> Check:
    """Rows are missed because of it."""
    return Check(name, "fail", _safe(what), _safe(fix))


def untried(name: str, what: str) -> Check:
    """It could not be tried."""
    return Check(name, "untried", _safe(what))


def _safe(text: str) -> str:
    """Other programs' words may steer a terminal, and URLs of proxies hold passwords."""
    return printable(without_password(text))

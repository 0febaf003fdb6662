"""The figures in large letters at the top of a report, each with its change since the period before."""

from collections.abc import Callable
from typing import NamedTuple

from llm_metrics_proxy.recorder.figures import Figures
from llm_metrics_proxy.recorder.figures.quantities import UNKNOWN, count, dollars, many, milliseconds, share
from llm_metrics_proxy.recorder.report import words
from llm_metrics_proxy.recorder.report.content import Content

_CONSIDERABLE = 0.1  # a change that is coloured


class Trend(NamedTuple):
    """`kind` is `better`, `worse`, or nothing: the change is small, or neither."""

    text: str
    before: str
    kind: str


def trend(now: float | None, then: float | None, before: str = "", *, rise_is_worse: bool = True) -> Trend | None:
    """None if there is nothing to compare; `before` is how `then` reads. What is no worse for its rise is no better."""
    if now is None or not then:
        return None
    change = now / then - 1
    percent = f"{abs(change):.0%}".replace("%", " %")
    if percent == "0 %":
        return Trend("no change", before, "")
    kind = ("worse" if change > 0 else "better") if rise_is_worse and abs(change) >= _CONSIDERABLE else ""
    return Trend(f"{'▲' if change > 0 else '▼'} {percent}", before, kind)


class Tile(NamedTuple):
    """One of them, and what stands below it in small letters."""

    title: str
    figure: str
    detail: str
    trend: Trend | None


def tiles(content: Content) -> list[Tile]:
    """All of them; none if there were no calls."""
    now, then = content.total, content.before
    if now is None:
        return []

    def against[V: float](
        figure: Callable[[Figures], V | None], read: Callable[[V | None], str], *, rise_is_worse: bool = True
    ) -> Trend | None:
        if then is None:
            return None
        return trend(figure(now), figure(then), read(figure(then)), rise_is_worse=rise_is_worse)

    median, p95 = now.time_to_first_token_p50_ms, now.time_to_first_token_p95_ms
    return [
        Tile(
            "Requests",
            count(now.requests),
            f"{many(len(content.models), 'model')}, {many(len(content.origins), 'origin')}",
            against(lambda one: one.requests, count, rise_is_worse=False),
        ),
        Tile(
            "Failed",
            share(now.errors, now.requests),
            many(now.errors, "call"),
            against(lambda one: one.errors / one.requests, lambda part: share(part, 1)),
        ),
        Tile(
            "Tokens",
            count(_tokens(now)),
            _of_which(now),
            against(_tokens, count, rise_is_worse=False),
        ),
        Tile(
            "Cost",
            words.partial(dollars(now.cost_usd), now.without_cost),
            f"{many(now.without_cost, 'successful call')} without a known cost" if now.without_cost else "",
            against(lambda one: one.cost_usd, dollars),
        ),
        Tile(
            "First token, median",
            milliseconds(median),
            "half of the streams began sooner",
            against(lambda one: one.time_to_first_token_p50_ms, milliseconds),
        ),
        Tile(
            "First token, p95",
            milliseconds(p95),
            "95 % of the streams began sooner",
            against(lambda one: one.time_to_first_token_p95_ms, milliseconds),
        ),
    ]


def _of_which(figures: Figures) -> str:
    told = f"{count(figures.prompt_tokens)} in, {count(figures.completion_tokens)} out"
    cached = share(figures.cached_tokens, figures.cached_of_tokens)
    return told if cached == UNKNOWN else f"{told}, {cached} of input cached"


def _tokens(figures: Figures) -> int | None:
    known = [one for one in (figures.prompt_tokens, figures.completion_tokens) if one is not None]
    return sum(known) if known else None

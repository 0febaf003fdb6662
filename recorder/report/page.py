"""The page: `page.html` filled with the content. The template escapes all texts.

At its top stand the figures in large letters, each with its change since the period before.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from llm_metrics_proxy.recorder.figures import Figures
from llm_metrics_proxy.recorder.figures.quantities import UNKNOWN, count, dollars, many, milliseconds, rate, share
from llm_metrics_proxy.recorder.prices import notes
from llm_metrics_proxy.recorder.report import drawn, words
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
            words.partial(dollars(now.cost_usd), now.without_cost + now.lower_bounds),
            _of_costs(now),
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


def _of_costs(figures: Figures) -> str:
    plans = figures.plan_cost_usd
    without = figures.without_cost - sum(figures.cost_notes.values()) + figures.lower_bounds  # not priced yet
    told = (
        notes.told(figures.cost_notes),
        f"{many(without, 'successful call')} without a known cost" if without > 0 else "",
        "" if plans is None else f"and {dollars(plans)} is what the calls of plans would have cost",
    )
    return "; ".join(one for one in told if one)


def _tokens(figures: Figures) -> int | None:
    known = [one for one in (figures.prompt_tokens, figures.completion_tokens) if one is not None]
    return sum(known) if known else None


GENERATOR: Final = "llm-report"

_MOST_ROWS = 15  # of a table
_ENOUGH = 20  # streams, below which percentiles are not compared


class Row(NamedTuple):
    """A line of the table of models, origins or labels, with the class of its colour, and how its times changed."""

    kind: str
    name: str
    figures: Figures
    p50: Trend | None
    p95: Trend | None


def render(content: Content, source: str) -> str:
    """The whole page; `source` is the name of the database."""
    colours = drawn.colours(content)
    return (
        _environment()
        .get_template("page.html")
        .render(
            generator=GENERATOR,
            source=source,
            content=content,
            days=(content.period.end - content.period.start).days,
            start=words.minute(content.period.start),
            end=words.minute(content.period.end),
            made_at=words.minute(datetime.now(UTC)),
            slot=words.slot(content.period),
            tiles=tiles(content),
            traffic=drawn.traffic(content),
            failures=drawn.failures(content),
            panels=drawn.panels(content, colours),
            costs=drawn.costs(content, colours),
            cost_legend=drawn.cost_legend(content, colours),
            cache=drawn.cache(content),
            models=_rows(content.models, colours, content.models_before),
            origins=_rows(content.origins, {}, {}),
            labels=_rows(content.labels, {}, {}),
            enough=_ENOUGH,
            colours=drawn.COLOURS,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("llm_metrics_proxy.recorder.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "dollars": dollars,
        "milliseconds": milliseconds,
        "moment": words.moment,
        "name": words.name,
        "rate": rate,
        "short_moment": words.short_moment,
        "text": words.text,
    }
    environment.globals |= {"share": share, "partial": words.partial}
    return environment


def _rows(figures: Sequence[Figures], colours: drawn.Colours, before: dict[str | None, Figures]) -> list[Row]:
    rows = []
    for one in figures[:_MOST_ROWS]:
        p50 = p95 = None
        then = before.get(one.name)
        if then and min(one.time_to_first_token_count, then.time_to_first_token_count) >= _ENOUGH:
            p50 = trend(one.time_to_first_token_p50_ms, then.time_to_first_token_p50_ms)
            p95 = trend(one.time_to_first_token_p95_ms, then.time_to_first_token_p95_ms)
        rows.append(Row(colours.get(one.name, ""), words.name(one.name), one, p50, p95))
    return rows

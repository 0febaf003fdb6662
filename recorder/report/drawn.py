"""The charts of a report, each with the part of the content that it shows."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

from markupsafe import Markup

from llm_metrics_proxy.recorder.figures import Figures
from llm_metrics_proxy.recorder.figures.quantities import count, dollars, many, milliseconds, share
from llm_metrics_proxy.recorder.report import charts, words
from llm_metrics_proxy.recorder.report.charts import Bar, Point
from llm_metrics_proxy.recorder.report.content import CHARTED_MODELS, Content

COLOURS: Final = 8  # classes c1 to c8
OTHERS: Final = "others"

type Colours = dict[str | None, str]  # the class of each model that has one


class Panel(NamedTuple):
    """A small chart of one model."""

    kind: str
    name: str
    detail: str
    chart: Markup


class Swatch(NamedTuple):
    """An entry of a legend."""

    kind: str
    name: str


def colours(content: Content) -> Colours:
    """The colours of models: those with a panel have one, then the most expensive."""
    models = dict.fromkeys([*content.panels, *_priciest(content)])
    return {model: f"c{n}" for n, model in enumerate(list(models)[:COLOURS], start=1)}


def traffic(content: Content) -> Markup:
    """Requests over time, those that failed at the bottom, where their number can be read."""
    return _requests(
        content,
        charts.WIDE,
        "Requests over time",
        lambda one: [("error", one.errors), ("fine", one.requests - one.errors)],
    )


def failures(content: Content) -> Markup:
    """The failed calls once more, on a scale of their own."""
    return _requests(content, charts.LOW, "Failed requests over time", lambda one: [("error", one.errors)])


def panels(content: Content, colour: Colours) -> list[Panel]:
    """The time to the first token of each of the most used models."""
    figures = {one.name: one for one in content.models}
    return [
        Panel(
            colour[model],
            words.name(model),
            f"median {milliseconds(figures[model].time_to_first_token_p50_ms)}, "
            f"p95 {milliseconds(figures[model].time_to_first_token_p95_ms)}",
            _chart(
                charts.lines(
                    [_first_tokens(*slot) for slot in zip(charts.slots(content.period), slots, strict=True)],
                    frame=charts.Frame(
                        charts.PANEL,
                        content.period,
                        f"Time to the first token of {words.name(model)} over time",
                        words.time_mark,
                    ),
                    kind=colour[model],
                )
            ),
        )
        for model, slots in content.panels.items()
    ]


def costs(content: Content, colour: Colours) -> Markup | None:
    """The cost of each day, by model; None if no cost is known."""
    if content.total is None or content.total.cost_usd is None:
        return None
    days = zip(content.period.days, charts.days(content.period), strict=True)
    frame = charts.Frame(charts.WIDE, content.period, "Cost of each day, by model", words.dollar_mark)
    return _chart(charts.bars([_day(content, colour, day, *span) for day, span in days], frame=frame))


def cost_legend(content: Content, colour: Colours) -> list[Swatch]:
    """The legend of the costs' colours."""
    shown = [model for model in _priciest(content) if model in colour]
    legend = [Swatch(colour[model], words.name(model)) for model in shown]
    has_others = any(one.cost_usd is not None and one.name not in shown for one in content.models)
    return [*legend, Swatch(OTHERS, OTHERS)] if has_others else legend


def cache(content: Content) -> Markup | None:
    """The part of the input that came from caches; None if no provider told of it."""
    if content.total is None or not content.total.cached_of_tokens:
        return None
    slots = zip(charts.slots(content.period), content.slots, strict=True)
    frame = charts.Frame(
        charts.HALF, content.period, "Share of the input tokens that came from caches, over time", words.percent_mark
    )
    return _chart(
        charts.lines([_cached(*slot) for slot in slots], frame=frame, kind="fine", marks=[0, 25, 50, 75, 100])
    )


def _requests(
    content: Content, size: charts.Size, title: str, values: Callable[[Figures], list[tuple[str, float]]]
) -> Markup:
    bars = []
    for (start, end), one in zip(charts.slots(content.period), content.slots, strict=True):
        told = "no calls" if one is None else f"{many(one.requests, 'request')}, {count(one.errors)} failed"
        bars.append(Bar(start, end, [] if one is None else values(one), f"{words.span(start, end)}: {told}"))
    return _chart(charts.bars(bars, frame=charts.Frame(size, content.period, title, words.count_mark), whole=True))


def _first_tokens(span: tuple[datetime, datetime], one: Figures | None) -> Point:
    if one is None or not one.time_to_first_token_count:
        return Point(*span, None, None, f"{words.span(*span)}: no streams")
    low, high = one.time_to_first_token_p50_ms, one.time_to_first_token_p95_ms
    told = f"median {milliseconds(low)}, p95 {milliseconds(high)}, {many(one.time_to_first_token_count, 'stream')}"
    return Point(*span, low, high, f"{words.span(*span)}: {told}")


def _day(content: Content, colour: Colours, day: str, start: datetime, end: datetime) -> Bar:
    of_day = {model: cost for (its_day, model), cost in content.costs.items() if its_day == day}
    known = {model: cost for model, cost in of_day.items() if cost is not None}
    shown = [model for model in _priciest(content) if model in known and model in colour]
    values = [(colour[model], known[model]) for model in shown]
    told = [f"{words.name(model)} {dollars(known[model])}" for model in shown]
    if others := [cost for model, cost in known.items() if model not in shown]:
        values.append((OTHERS, sum(others)))
        told.append(f"{OTHERS} {dollars(sum(others))}")
    label = dollars(sum(known.values())) if known else "not known" if of_day else ""
    tip = "\n".join([f"{words.span(start, end)}: {label or 'no calls'}", *told])
    is_partial = day in (content.period.days[0], content.period.days[-1])
    return Bar(start, end, values, tip, label, is_partial=is_partial)


def _cached(span: tuple[datetime, datetime], one: Figures | None) -> Point:
    if one is None or one.cached_tokens is None or not one.cached_of_tokens:
        return Point(*span, None, None, f"{words.span(*span)}: not known")
    percent = 100 * one.cached_tokens / one.cached_of_tokens
    told = share(one.cached_tokens, one.cached_of_tokens)
    return Point(*span, percent, percent, f"{words.span(*span)}: {told}")


def _priciest(content: Content) -> list[str | None]:
    priced = [(one.cost_usd, one.name) for one in content.models if one.cost_usd is not None]
    return [name for _, name in sorted(priced, key=lambda one: -one[0])[:CHARTED_MODELS]]


def _chart(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - made by ElementTree, which escapes

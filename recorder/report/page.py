"""The page: `page.html` filled with the content. The template escapes all texts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from llm_metrics_proxy.recorder.figures import Figures
from llm_metrics_proxy.recorder.figures.quantities import count, dollars, milliseconds, rate, share
from llm_metrics_proxy.recorder.report import drawn, words
from llm_metrics_proxy.recorder.report.content import Content
from llm_metrics_proxy.recorder.report.tiles import Trend, tiles, trend

GENERATOR: Final = "llm-report"

_MOST_ROWS = 15  # of a table
_ENOUGH = 20  # streams, below which percentiles are not compared


class Row(NamedTuple):
    """A line of the table of models or origins, with the class of its colour, and how its times changed."""

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

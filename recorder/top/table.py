"""The table of `llm-top`: as many columns and lines of a `Top` as fit.

Names were chosen by clients: control characters are shown as escapes, and nothing is taken for markup.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from llm_metrics_proxy.recorder.figures import Figures
from llm_metrics_proxy.recorder.figures.quantities import (
    NAMELESS,
    UNKNOWN,
    count,
    dollars,
    length,
    milliseconds,
    rate,
    share,
)
from llm_metrics_proxy.recorder.prices import notes as lacks
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.top import Top

_GAP = 2  # cells between two columns
_NARROWEST_NAME = 12  # cells
_LONGEST_NAME = 80  # characters
_LINES_AROUND = 9  # that are no group: title, head, rules, total, notes
_PARTIAL = "+"


class _Column(NamedTuple):
    title: str
    text: Callable[[Figures, Top], str]
    rank: int  # the highest is the first that a narrow terminal goes without
    tells_errors: bool = False


_COLUMNS: Final = (
    _Column("requests", lambda line, _: count(line.requests), 0),
    _Column("errors", lambda line, _: count(line.errors), 1, tells_errors=True),
    _Column("error %", lambda line, _: share(line.errors, line.requests), 3, tells_errors=True),
    _Column("TTFT p50", lambda line, _: milliseconds(line.time_to_first_token_p50_ms), 2),
    _Column("TTFT p95", lambda line, _: milliseconds(line.time_to_first_token_p95_ms), 5),
    _Column("tokens/s", lambda line, _: rate(line.tokens_per_second_p50), 6),
    _Column("tokens in", lambda line, _: _sum(count(line.prompt_tokens), line.without_tokens), 8),
    _Column("out", lambda line, _: _sum(count(line.completion_tokens), line.without_tokens), 8),
    _Column("cost", lambda line, _: _sum(dollars(line.cost_usd), line.without_cost + line.lower_bounds), 4),
    _Column("last call", lambda line, top: _ago(line.last_at, top), 7),
)


def table(top: Top, *, width: int | None = None, height: int | None = None) -> Group:
    """The table, at most `width` cells wide and, if it can be, `height` lines high."""
    window = f"the last {_minutes(top)} (since {top.since[:10]} {top.since[11:16]} UTC)"
    if top.where:
        window = f"{window} with {printable(', '.join(top.where))}"
    if top.total is None:
        return Group(Text(f"No LLM calls in {window}{_last_call(top)}."))
    shown = top.lines if height is None else top.lines[: max(height - _LINES_AROUND, 1)]
    lines = [*shown, top.total]
    names = [_name(line) for line in lines]
    columns, name_width = _fitting(width, lines, names, top)

    drawn = Table(
        box=SIMPLE, show_edge=False, padding=(0, 0, 0, 1), pad_edge=False, show_footer=True, header_style="bold"
    )
    drawn.add_column(printable(top.by), footer=names[-1], footer_style="bold", no_wrap=True, max_width=name_width)
    for column, cells in columns.items():
        drawn.add_column(column.title, footer=Text(cells[-1]), footer_style="bold", justify="right", no_wrap=True)
    for row, line in enumerate(shown):
        drawn.add_row(Text(names[row]), *(_cell(column, cells[row], line) for column, cells in columns.items()))

    notes = []
    if left_out := len(top.lines) - len(shown):
        notes.append(f"and {left_out:,} more that there is no room for")
    if any(cell.endswith(_PARTIAL) for cells in columns.values() for cell in cells):
        notes.append(f"{_PARTIAL} at least: it is not known of every call")
    if top.total.error_classes:
        causes = (f"{printable(cause)} {count(calls)}" for cause, calls in top.total.error_classes.items())
        notes.append(f"errors: {', '.join(causes)}")
    if top.total.cost_notes:
        notes.append(f"cost: {printable(lacks.told(top.total.cost_notes))}")
    if top.total.plan_cost_usd is not None:
        notes.append(f"cost: not counted are plans, whose calls would have cost {dollars(top.total.plan_cost_usd)}")
    return Group(_one_line(f"LLM calls of {window}"), Text(), drawn, *(_one_line(note, style="dim") for note in notes))


def _fitting(
    width: int | None, lines: Sequence[Figures], names: Sequence[str], top: Top
) -> tuple[dict[_Column, list[str]], int]:
    """The columns that there is room for, with their cells, and the width that is left for the names."""
    columns = {column: _aligned([column.text(line, top) for line in lines]) for column in _COLUMNS}
    longest = max(map(cell_len, (*names, top.by)))
    if width is None:
        return columns, longest
    while True:
        taken = sum(max(map(cell_len, (column.title, *cells))) + _GAP for column, cells in columns.items())
        most = max(column.rank for column in columns)
        if width - taken >= min(longest, _NARROWEST_NAME) or not most:
            return columns, max(min(longest, width - taken), 1)
        columns = {column: cells for column, cells in columns.items() if column.rank < most}


def _aligned(cells: list[str]) -> list[str]:
    """With room for the mark of partial sums, where one has it."""
    if not any(cell.endswith(_PARTIAL) for cell in cells):
        return cells
    return [cell if cell.endswith(_PARTIAL) else f"{cell} " for cell in cells]


def _cell(column: _Column, text: str, line: Figures) -> Text:
    return Text(text, style="red" if column.tells_errors and line.errors else "")


def _one_line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _name(line: Figures) -> str:
    return NAMELESS if line.name is None else printable(line.name[:_LONGEST_NAME])


def _sum(text: str, without: int) -> str:
    return f"{text}{_PARTIAL}" if without and text != UNKNOWN else text


def _minutes(top: Top) -> str:
    minutes = round((datetime.fromisoformat(top.at) - datetime.fromisoformat(top.since)).total_seconds() / 60)
    return "minute" if minutes == 1 else f"{minutes:,} minutes"


def _last_call(top: Top) -> str:
    if top.last_at is None:
        return ": none is recorded yet"
    return f": the last one was at {printable(top.last_at)}, {_ago(top.last_at, top)}"


def _ago(at: str, top: Top) -> str:
    try:
        return f"{length(datetime.fromisoformat(top.at) - datetime.fromisoformat(at))} ago"
    except (ValueError, TypeError):  # written by somebody else
        return printable(at)

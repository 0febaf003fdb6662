"""Charts as SVG elements of the page. Colours and fonts are the page's: here are only classes.

An unknown value is a gap, never 0. Texts are escaped by ElementTree. A pointer that rests on a chart shows the numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from llm_metrics_proxy.recorder.report import words
from llm_metrics_proxy.recorder.report.content import Period

_TOP, _RIGHT, _BOTTOM, _LEFT = 16, 12, 24, 66  # pixels around what is drawn
_LABEL_EVERY = 90  # pixels that a moment's label takes at least
_GAP, _GAP_SHARE = 1.0, 0.2  # between bars: pixels at least, and part of their width
_MOST_GAP = 24.0
_SUM_WIDTH = 44  # pixels of a sum above a bar


class Size(NamedTuple):
    """Of the whole chart, in pixels."""

    width: int
    height: int


WIDE: Final = Size(1040, 220)
LOW: Final = Size(1040, 130)
HALF: Final = Size(508, 220)
PANEL: Final = Size(508, 170)


class Bar(NamedTuple):
    """A bar from `start` to `end`, of several values one above the other, each with the class of its colour."""

    start: datetime
    end: datetime
    values: Sequence[tuple[str, float]]
    tip: str
    label: str = ""  # above it
    is_partial: bool = False


class Point(NamedTuple):
    """The values at a time: `low` is the line, and up to `high` goes a band."""

    start: datetime
    end: datetime
    low: float | None
    high: float | None
    tip: str


class Frame(NamedTuple):
    """The parts of every chart over time; `unit` writes a value beside its mark."""

    size: Size
    period: Period
    title: str
    unit: Callable[[float], str]


class _Plot:
    """Axes and marks, and where a value or a moment stands."""

    def __init__(self, frame: Frame, marks: Sequence[float]) -> None:
        self._size = size = frame.size
        self._period = period = frame.period
        self._highest = marks[-1]
        attributes = {"viewBox": f"0 0 {size.width} {size.height}", "role": "img", "aria-label": frame.title}
        self.svg = Element("svg", attributes)
        self.base = size.height - _BOTTOM
        for mark in marks:
            y = _text(self.y(mark))
            SubElement(self.svg, "path", {"class": "grid", "d": f"M{_LEFT} {y}H{size.width - _RIGHT}"})
            self.text(_LEFT - 6, self.y(mark) + 4, frame.unit(mark), anchor="end")
        for at, label in words.moments(period.start, period.end, most=(size.width - _LEFT) // _LABEL_EVERY):
            x = self.x(at)
            SubElement(self.svg, "path", {"class": "tick", "d": f"M{_text(x)} {self.base}v4"})
            self.text(x, self.base + 16, label, anchor="middle" if x < size.width - 2 * _RIGHT else "end")

    def x(self, at: datetime) -> float:
        inside = min(max(at, self._period.start), self._period.end)
        part = (inside - self._period.start) / (self._period.end - self._period.start)
        return _LEFT + part * (self._size.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.base - value / self._highest * (self.base - _TOP)

    def text(self, x: float, y: float, text: str, *, anchor: str, kind: str = "") -> None:
        attributes = {"x": _text(x), "y": _text(y), "text-anchor": anchor} | ({"class": kind} if kind else {})
        SubElement(self.svg, "text", attributes).text = text

    def tip(self, start: datetime, end: datetime, text: str) -> None:
        """The text that a pointer shows anywhere between the two moments."""
        attributes = {"class": "tip", **_box(self.x(start), _TOP, self.x(end) - self.x(start), self.base - _TOP)}
        SubElement(SubElement(self.svg, "rect", attributes), "title").text = text

    def markup(self) -> str:
        return tostring(self.svg, encoding="unicode")


def bars(found: Sequence[Bar], *, frame: Frame, whole: bool = False) -> str:
    """Bars over time."""
    highest = max((sum(value for _, value in bar.values) for bar in found), default=0)
    plot = _Plot(frame, words.marks(highest, whole=whole))
    for bar in found:
        left, right = plot.x(bar.start), plot.x(bar.end)
        has_room = right - left >= _SUM_WIDTH
        gap = min(max(_GAP_SHARE * (right - left), _GAP), _MOST_GAP)
        left, right = left + gap / 2, right - gap / 2
        group = SubElement(plot.svg, "g", {"class": "partial"} if bar.is_partial else {})
        height = 0.0
        for kind, value in bar.values:
            low, high = plot.y(height), plot.y(height + value)
            if value:
                SubElement(group, "rect", {"class": kind, **_box(left, high, right - left, max(low - high, 0.5))})
            height += value
        if bar.label and has_room:
            plot.text((left + right) / 2, plot.y(height) - 4, bar.label, anchor="middle", kind="sum")
        plot.tip(bar.start, bar.end, bar.tip)
    return plot.markup()


def lines(found: Sequence[Point], *, frame: Frame, kind: str, marks: Sequence[float] | None = None) -> str:
    """A line over time, and a band above it; neither goes on over times of which nothing is known."""
    highest = max((value for point in found for value in (point.low, point.high) if value is not None), default=0)
    plot = _Plot(frame, marks or words.marks(highest))
    for run in _runs(found):
        middles = [plot.x(point.start + (point.end - point.start) / 2) for point in run]
        low = [(x, plot.y(point.low or 0)) for x, point in zip(middles, run, strict=True)]
        high = [(x, plot.y(point.high or 0)) for x, point in zip(middles, run, strict=True)]
        if len(run) == 1:  # which a line cannot show
            for (x, y), dot in ((low[0], "dot"), (high[0], "dot faint")):
                SubElement(plot.svg, "circle", {"class": f"{kind} {dot}", "cx": _text(x), "cy": _text(y), "r": "2"})
            continue
        SubElement(plot.svg, "path", {"class": f"{kind} band", "d": f"{_path(high)}{_path(low[::-1], 'L')}Z"})
        SubElement(plot.svg, "path", {"class": f"{kind} line faint", "d": _path(high)})
        SubElement(plot.svg, "path", {"class": f"{kind} line", "d": _path(low)})
    for point in found:
        plot.tip(point.start, point.end, point.tip)
    return plot.markup()


def slots(period: Period) -> Iterator[tuple[datetime, datetime]]:
    """From when to when each slot of the period goes."""
    for slot in range(period.slots):
        yield period.start + slot * period.slot, period.start + (slot + 1) * period.slot


def days(period: Period) -> Iterator[tuple[datetime, datetime]]:
    """From when to when each day (UTC) goes, as far as it is in the period."""
    for day in period.days:
        midnight = datetime.fromisoformat(f"{day}T00:00:00Z")
        yield max(midnight, period.start), min(midnight + timedelta(days=1), period.end)


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """The points that follow each other without one of which nothing is known."""
    run: list[Point] = []
    for point in points:
        if point.low is not None:
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _path(points: Sequence[tuple[float, float]], first: str = "M") -> str:
    return first + "L".join(f"{_text(x)} {_text(y)}" for x, y in points)


def _box(x: float, y: float, width: float, height: float) -> dict[str, str]:
    return {"x": _text(x), "y": _text(y), "width": _text(max(width, 0.2)), "height": _text(height)}


def _text(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

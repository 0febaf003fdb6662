"""A picture of the results as SVG, the same bytes for the same results, with the colours of a light or a dark page."""

from dataclasses import dataclass
from html import escape

from tests.trials.bench.comparison import Spread, spread
from tests.trials.bench.rounds import Results
from tests.trials.bench.systems import AGAIN, OURS

_WIDTH, _COLUMNS = 880, 2
_LABEL, _NUMBER, _GAP = 190, 70, 24  # pixels of a panel that are not bars, and between panels
_BAR, _STEP, _TITLE, _MARGIN = 14, 21, 30, 16
_CUT = 4.0  # a bar longer than so many times ours is cut: else nothing of the others could be seen

_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 13px; }
.note { fill: #59636e; font-size: 11px; }
.bar { fill: #9aa4af; }
.ours { fill: #0969da; }
.range { stroke: #1f2328; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .bar { fill: #59636e; }
  .ours { fill: #4493f8; }
  .range { stroke: #e6edf3; }
}
""".strip()


@dataclass(frozen=True)
class Panel:
    """One figure of all systems."""

    title: str
    workload: str
    figure: str
    better: str = "less is better"


PANELS = (
    Panel("Small JSON, one at a time: p50, ms", "small1", "p50_ms"),
    Panel("Small JSON, 32 at a time: requests/s", "small32", "requests_per_s", "more is better"),
    Panel("First token, 50 streams at 20 ms: p50, ms", "paced50", "ttft_p50_ms"),
    Panel("Event delay, 50 streams at 20 ms: p99, ms", "paced50", "delay_p99_ms"),
    Panel("16 streams without pauses: events/s", "burst16", "events_per_s", "more is better"),
    Panel("Request of 200 KB: p50, ms", "body200k", "p50_ms"),
)


def svg(results: Results) -> str:
    """Return the picture; a figure that was not measured is left out."""
    panels = [(panel, found) for panel in PANELS if (found := _measured(results, panel))]
    panel_width = (_WIDTH - 2 * _MARGIN - _GAP * (_COLUMNS - 1)) // _COLUMNS
    parts, top = [], _MARGIN
    for start in range(0, len(panels), _COLUMNS):
        row = panels[start : start + _COLUMNS]
        for place, (panel, found) in enumerate(row):
            left = _MARGIN + place * (panel_width + _GAP)
            parts += _drawn(panel, found, left, top, panel_width)
        top += _TITLE + _STEP * max(len(found) for _, found in row) + _MARGIN
    note = "Bars: median of the rounds; lines: their range. One mitmdump process. "
    note += ", ".join(f"{name} {results.machine.get(name)}" for name in ("cores", "python", "mitmproxy"))
    parts.append(f'<text class="note" x="{_MARGIN}" y="{top + 4}">{escape(note)}</text>')
    height = top + _MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    head += ' role="img" aria-label="What the proxy costs beside mitmproxy alone and others">'
    return "\n".join([head, f"<style>\n{_STYLE}\n</style>", *parts, "</svg>"]) + "\n"


def _measured(results: Results, panel: Panel) -> dict[str, tuple[str, Spread]]:
    """Return title and spread by name, of the systems that were measured."""
    found = {}
    for name, title in results.titles.items():
        if name != AGAIN and (one := spread(results, panel.workload, panel.figure, name)) is not None:
            found[name] = title, one
    return found


def _drawn(panel: Panel, found: dict[str, tuple[str, Spread]], left: int, top: int, width: int) -> list[str]:
    title = f'<text class="title" x="{left}" y="{top + 12}">{escape(panel.title)}'
    parts = [f'{title}<tspan class="note" font-weight="400"> ({panel.better})</tspan></text>']
    reference = found[OURS][1].middle if OURS in found else min(one.middle for _, one in found.values())
    largest = max(one.most for _, one in found.values() if one.middle <= _CUT * reference)
    scale = (width - _LABEL - _NUMBER) / largest
    for place, (name, (label, one)) in enumerate(found.items()):
        y = top + _TITLE - 8 + place * _STEP
        parts.append(f'<text x="{left}" y="{y + _BAR - 3}">{escape(label)}</text>')
        parts.append(f'<g transform="translate({left + _LABEL},{y})">')
        parts += _bar(one, scale, largest, "ours" if name == OURS else "bar")
        parts.append("</g>")
    return parts


def _bar(one: Spread, scale: float, largest: float, kind: str) -> list[str]:
    """Draw a bar with its number, and the range if it is not cut."""
    cut = one.middle > largest
    length = max(scale * min(one.middle, largest), 1)
    end = (length if cut else scale * one.most) + 5
    parts = [f'<rect class="{kind}" width="{length:.1f}" height="{_BAR}"/>']
    if not cut:
        parts.append(f'<path class="range" d="M{scale * one.least:.1f} {_BAR / 2:.1f}H{scale * one.most:.1f}"/>')
    parts.append(f'<text x="{end:.1f}" y="{_BAR - 3}">{_number(one.middle)}{" (cut)" if cut else ""}</text>')
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

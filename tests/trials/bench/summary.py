"""The results as aligned text: every figure of every system, the ratios to the floor, and the goals."""

from collections.abc import Iterable, Sequence

from tests.trials.bench.comparison import How, compared, spread
from tests.trials.bench.goals import GOALS, REACH, Goal, reached, standing
from tests.trials.bench.rounds import Results
from tests.trials.bench.systems import AGAIN, FLOOR
from tests.trials.bench.workloads import WORKLOADS

_NOTHING = "-"


def summary(results: Results) -> str:
    """Return the whole text."""
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    quick = " OF FEW REQUESTS (--quick): THIS SHOWS THAT IT WORKS, AND MEASURES NOTHING" if results.quick else ""
    systems = "".join(
        f"{name:14} {title}" + (f" ({note})" if (note := results.notes.get(name)) else "") + "\n"
        for name, title in results.titles.items()
    )
    systems += "".join(f"not run: {name}: {reason}\n" for name, reason in results.not_run.items())
    parts = {
        f"{len(results.rounds)} ROUNDS{quick}; {machine}": systems,
        "MEDIANS OF THE ROUNDS": _figures(results),
        f"RATIOS TO {FLOOR} WITHIN EACH ROUND: median [range]; nothing finer than those of {AGAIN} means anything": (
            _ratios(results)
        ),
        "MICRO-BENCHMARKS": _table([(name, _number(value)) for name, value in results.micro.items()]),
        "CAPACITY: proxies on one file; cores are those of the proxies alone": _capacity(results),
        "ROWS": _rows(results),
        f"GOALS: medians of ratios to {FLOOR}, or of differences, adjusted by what it differs from itself (A/A)": (
            _goals(results, GOALS)
        ),
        f"TO REACH: medians of ratios to {FLOOR}, divided by what it differs from itself": _goals(results, REACH),
        "FAILED": "".join(f"{failure}\n" for failure in results.failures),
    }
    return "\n".join(f"{title}\n{text}" for title, text in parts.items() if text)


def _figures(results: Results) -> str:
    lines = [("workload", "figure", *results.titles)]
    for workload in WORKLOADS:
        for figure in workload.shown:
            found = [spread(results, workload.name, figure, name) for name in results.titles]
            if any(found):
                cells = (_number(one.middle) if one else _NOTHING for one in found)
                lines.append((workload.name, figure, *cells))
    return _table(lines) if len(lines) > 1 else ""


def _ratios(results: Results) -> str:
    names = [name for name in results.titles if name != FLOOR]
    lines = [("workload", "figure", *names)]
    for workload in WORKLOADS:
        for figure in workload.shown:
            found = [compared(results, workload.name, figure, name, How.RATIO) for name in names]
            if any(found) and "added" not in figure:
                cells = (
                    f"{one.spread.middle:.2f} [{one.spread.least:.2f}-{one.spread.most:.2f}]" if one else _NOTHING
                    for one in found
                )
                lines.append((workload.name, figure, *cells))
    return _table(lines) if len(lines) > 1 else ""


def _capacity(results: Results) -> str:
    names = ("requests_per_s", "events_per_s", "cores", "p99_ms", "ttft_p50_ms", "ttft_p99_ms", "delay_p99_ms")
    lines: list[Sequence[str]] = [("proxies", "connections", "load", *names)]
    for one in results.capacity:
        cells = (_number(one.figures[name]) if name in one.figures else _NOTHING for name in names)
        lines.append((str(one.load.processes), str(one.load.connections), one.load.title, *cells))
    return _table(lines) if len(lines) > 1 else ""


def _rows(results: Results) -> str:
    totals: dict[str, dict[str, float]] = {}
    for one in results.rounds:
        for system, figures in one.rows.items():
            total = totals.setdefault(system, {})
            for name, value in figures.items():
                total[name] = total.get(name, 0) + value
    return "".join(
        f"{system:8} " + ", ".join(f"{name.replace('_', ' ')} {value:.0f}" for name, value in figures.items()) + "\n"
        for system, figures in totals.items()
    )


def _goals(results: Results, goals: Sequence[Goal]) -> str:
    lines: list[Sequence[str]] = [
        ("measure", "naive was", FLOOR, "ours", "compared", "range", "A/A", "adjusted", "goal", "")
    ]
    for goal in goals:
        found, stands = reached(results, goal), standing(results, goal)
        own = [spread(results, goal.workload, goal.figure, system) for system in (FLOOR, "ours")]
        values = [_number(one.middle) if one else _NOTHING for one in own]
        numbers = [_NOTHING] * 4
        if found is not None:
            numbers = [
                _number(found.spread.middle),
                f"{_number(found.spread.least)}..{_number(found.spread.most)}",
                _NOTHING if found.control is None else _number(found.control),
                _number(found.adjusted),
            ]
        limit = f"{'>=' if goal.at_least else '<='} {goal.limit:g}"
        lines.append((goal.measure, goal.naive or _NOTHING, *values, *numbers, limit, stands))
    return _table(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(lines: Iterable[Sequence[str]]) -> str:
    rows = list(lines)
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )

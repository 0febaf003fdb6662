"""How a figure differs from that of the time before."""

from typing import NamedTuple

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

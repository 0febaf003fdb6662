"""Totals as the JSON that column `state` of the table `exporters` keeps, with how far they have come."""

from collections.abc import Iterator
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.export.prometheus.totals import (
    MOST,
    MOST_GROUPS,
    MOST_KINDS,
    RATE_BOUNDS,
    TIME_BOUNDS,
    TOKENS,
    Group,
    Histogram,
    Kind,
    Totals,
)

_FORMAT: Final = 1  # another one cannot be read: whoever changes what is kept, or the bounds, counts from the beginning
_TIMES, _RATES = len(TIME_BOUNDS) + 1, len(RATE_BOUNDS) + 1


class Saved(msgspec.Struct, frozen=True):
    """Rows up to `row_id` are in the totals, their costs up to `cost_id`; `history_id` was the newest at the start."""

    format: int
    row_id: int
    cost_id: int
    history_id: int
    labels: dict[str, tuple[str, ...]]
    groups: list[Group]
    kinds: list[Kind]

    def totals(self) -> Totals:
        """What was saved, to go on with: it changes the lists of this."""
        return Totals(dict(self.labels), self.groups, self.kinds)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Saved).decode


def as_json(totals: Totals, *, row_id: int, cost_id: int, history_id: int) -> str:
    """The text for the table."""
    labels = {name: labels.known for name, labels in totals.labels.items()}
    groups, kinds = list(totals.groups.values()), list(totals.kinds.values())
    return _encode(Saved(_FORMAT, row_id, cost_id, history_id, labels, groups, kinds)).decode()


def from_json(text: str) -> Saved | None:
    """What `as_json` made; None of anything else."""
    try:
        saved = _decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return saved if saved.format == _FORMAT and all(_checks(saved)) else None


def _checks(saved: Saved) -> Iterator[bool]:
    yield 0 <= saved.cost_id <= saved.row_id
    yield saved.history_id >= 0
    yield all(len(saved.labels.get(name, ())) <= most for name, most in MOST.items())
    yield len(saved.groups) <= MOST_GROUPS + 1  # with that of the others
    yield len(saved.kinds) <= MOST_KINDS + 4
    for group in saved.groups:
        yield _is_sound(group.first_token, _TIMES)
        yield _is_sound(group.rate, _RATES)
        yield len(group.tokens) == len(TOKENS)
        yield min(group.cost, group.priceless, *group.tokens) >= 0
    keys = {group.key for group in saved.groups}
    for kind in saved.kinds:
        yield _is_sound(kind.duration, _TIMES)
        yield kind.calls >= 0
        yield kind.key in keys


def _is_sound(histogram: Histogram, counts: int) -> bool:
    return len(histogram.counts) == counts and min(histogram.counts) >= 0 and histogram.total >= 0

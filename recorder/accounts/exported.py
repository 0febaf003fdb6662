"""One line of a provider's export, in the words of our columns, and what an export covers."""

from datetime import UTC, datetime
from typing import Final

import msgspec

USAGE: Final = "usage"
COST: Final = "cost"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A line; unknown is None. Which figures it has, its `kind` says: `usage`, one of its parts, or `cost`."""

    provider: str
    kind: str
    since: float  # seconds since 1970; the line is of what lies from here
    until: float  # to here, exclusive
    identity: tuple[str, ...]
    """Its identity: the same one in two files is the same line."""
    model: str | None = None
    key: str | None = None
    is_batch: bool = False
    calls: int | None = None
    input_tokens: int | None = None  # with what caches gave and took
    output_tokens: int | None = None
    usd: float | None = None
    list_usd: float | None = None
    """Before a discount, where that is another amount."""
    is_whole: bool = False
    """It is of all models and keys together: nothing in its answer was grouped by these."""

    @property
    def span(self) -> tuple[str, str, float, float]:
        """Identity of the bucket that it is one of the lines of."""
        return self.provider, self.kind, self.since, self.until


class Export(msgspec.Struct):
    """The lines of one file, and what times it covers, also those in which nothing was used."""

    provider: str = ""
    lines: list[Exported] = []
    times: set[tuple[float, float]] = set()
    has_more: bool = False
    """The last page says that there is another one."""

    @property
    def spans(self) -> set[tuple[str, str, float, float]]:
        """The same times by provider and kind; where lines of usage have a cost, they are costs, too."""
        kinds = {line.kind for line in self.lines} | {COST for line in self.lines if line.usd is not None}
        return {(self.provider, kind, *time) for kind in kinds for time in self.times}

    def take(self, provider: str, lines: list[Exported], times: set[tuple[float, float]]) -> None:
        """Add a page; lines that nobody grouped by models or keys are known as wholes by their page."""
        grouped = {line.span for line in lines if line.model is not None or line.key is not None}
        self.provider = provider
        self.times |= times
        self.lines += [line if line.span in grouped else msgspec.structs.replace(line, is_whole=True) for line in lines]


class Unreadable(Exception):  # noqa: N818 - only its text is shown
    """It is of a known kind, and yet cannot be compared: what is the matter."""


def seconds(value: object) -> float | None:
    """A moment in seconds since 1970, from a number or a text; without a time zone it is UTC."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40:
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def dollars(value: object, currency: object, *, cents: bool = False) -> float | None:
    """An amount in US dollars.

    Raises:
        Unreadable: it is of another currency.
    """
    if isinstance(currency, str) and currency.upper() != "USD":
        message = f"has costs in {currency.upper()[:10]}, and only US dollars can be compared"
        raise Unreadable(message)
    try:
        amount = float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
    if amount is None or not abs(amount) < 1e12:  # noqa: PLR2004 - more than anybody has, infinite, or no number
        return None
    return amount / 100 if cents else amount

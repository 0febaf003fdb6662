"""What became of every event, counted in memory by any thread and written with the batches.

received = written + duplicates + unrecognised + the dropped_* counters + those that still wait. Events that were
dropped also make a gap: how many, and from when to when, by cause. A gap stays here until it has been written.
"""

import threading

import msgspec


class Gap(msgspec.Struct, frozen=True, tag="gap"):
    """Events that were lost to one cause, and the span of their timestamps."""

    cause: str
    count: int
    from_at: str
    to_at: str

    def joined(self, other: "Gap") -> "Gap":
        """Both as one, for the same cause."""
        count = self.count + other.count
        return Gap(self.cause, count, min(self.from_at, other.from_at), max(self.to_at, other.to_at))


class Tally(msgspec.Struct, frozen=True, tag="counters"):
    """All counters of a process, as it knew them last."""

    process: str
    values: dict[str, int]


class Counters:
    """Named counters and gaps. Every method is short, thread-safe and never waits for anything slow."""

    def __init__(self) -> None:
        """All zero, which is not written: a counter exists once something happened."""
        self._lock = threading.Lock()
        self._values: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._gaps: dict[str, Gap] = {}

    def add(self, name: str, n: int = 1) -> None:
        """Add `n` to the counter `name`."""
        with self._lock:
            self._values[name] = self._values.get(name, 0) + n

    def dropped(self, cause: str, at: str) -> None:
        """Count one event with timestamp `at` as lost to `cause`."""
        with self._lock:
            name = f"dropped_{cause}"
            self._values[name] = self._values.get(name, 0) + 1
            self._join(Gap(cause, 1, at, at))

    def values(self) -> dict[str, int]:
        """A copy of all counters."""
        with self._lock:
            return dict(self._values)

    def unsaved(self) -> bool:
        """Whether there is anything that the database does not have yet."""
        with self._lock:
            return bool(self._gaps) or self._values != self._saved

    def take(self) -> tuple[dict[str, int], list[Gap]]:
        """All counters, and the gaps, which leave: `saved` or `give_back` follows."""
        with self._lock:
            gaps = list(self._gaps.values())
            self._gaps.clear()
            return dict(self._values), gaps

    def saved(self, values: dict[str, int]) -> None:
        """The database has these values."""
        with self._lock:
            self._saved = values

    def give_back(self, gaps: list[Gap]) -> None:
        """These gaps could not be written after all."""
        with self._lock:
            for gap in gaps:
                self._join(gap)

    def _join(self, gap: Gap) -> None:
        known = self._gaps.get(gap.cause)
        self._gaps[gap.cause] = known.joined(gap) if known else gap

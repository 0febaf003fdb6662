"""Memory, files and threads of a process, as Linux counts them, and how much of them grows with the calls."""

import os
from dataclasses import dataclass, field
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment: after how many calls, resident memory, open files, threads."""

    calls: int
    rss_mb: float
    files: int
    threads: int


@dataclass
class Watched:
    """A process; `samples` in their order."""

    pid: int
    samples: list[Sample] = field(default_factory=list)

    def now(self, calls: int) -> Sample:
        """Return what it holds now."""
        place = Path(f"/proc/{self.pid}")
        resident = int((place / "statm").read_text().split()[1])
        files, threads = (len(list((place / name).iterdir())) for name in ("fd", "task"))
        return Sample(calls, resident * _PAGE / _MB, files, threads)

    def look(self, calls: int) -> None:
        """Take a sample."""
        self.samples.append(self.now(calls))


def warm(samples: list[Sample], share: float) -> list[Sample]:
    """Return the samples after that share of the calls."""
    return [sample for sample in samples if sample.calls >= samples[-1].calls * share]


def slope(samples: list[Sample]) -> float:
    """Return by how many MB the resident memory grows in 1,000 calls: the line of the least squares."""
    count = len(samples)
    mean_calls = sum(sample.calls for sample in samples) / count
    mean_rss = sum(sample.rss_mb for sample in samples) / count
    spread = sum((sample.calls - mean_calls) ** 2 for sample in samples)
    together = sum((sample.calls - mean_calls) * (sample.rss_mb - mean_rss) for sample in samples)
    return 1000 * together / spread if spread else 0.0

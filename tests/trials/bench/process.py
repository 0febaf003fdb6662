"""CPU seconds and peak memory of a process and its children so far, as Linux counts them."""

import time
from pathlib import Path

_KIB_PER_MB = 1024


def tree(pid: int) -> list[int]:
    """Return the process and all below it."""
    found = [pid]
    for one in found:  # which grows
        for task in _read(Path(f"/proc/{one}/task"), "*/children"):
            found += [int(child) for child in task.split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of the tree, user and system; what children that have ended used is not in it."""
    return sum(_clock(one) for one in tree(pid))


def peak_rss_mb(pid: int) -> float:
    """Return the sum of the largest resident sizes that the tree's processes have had, in MiB."""
    peaks = 0
    for one in tree(pid):
        for status in _read(Path(f"/proc/{one}"), "status"):
            peaks += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return peaks / _KIB_PER_MB


def _clock(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3): to the nanosecond, where /proc has 10 ms
    except OSError:  # it has ended
        return 0.0


def _read(folder: Path, pattern: str) -> list[str]:
    texts = []
    for path in folder.glob(pattern):
        try:
            texts.append(path.read_text())
        except OSError:  # it has ended
            continue
    return texts

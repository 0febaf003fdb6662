"""Both starts of the proxy, each with something planted in the place of one of its files."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.support.planted import AS_OTHERS, Ended, Planted
from tests.support.proxy import clean_environment

_BIN = Path(sys.executable).parent
_ADDON = Path(__file__).parents[3] / "addon" / "main.py"
_GREETING = "LLM metrics "
_AT_ONCE = 2

STARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "mitmdump": (str(_BIN / "mitmdump"), "--listen-host", "127.0.0.1", "--listen-port", "0", "-s", str(_ADDON)),
    "llm-metrics run": (str(_BIN / "llm-metrics"), "run", "--port", "0"),
}
# The files, and whether a start can do without what should stand there.
FILES: Final[Mapping[str, bool]] = {
    "metrics.db": False,
    "metrics.db-journal": False,
    "metrics.db-wal": False,
    "metrics.db-shm": False,
    "metrics.db.spill": False,
    "metrics.db.spill/upkeep.lock": True,
    "metrics.db.spill/maintenance.lock": True,
    "metrics.db.spill/1-2-1.jsonl.v2": True,
    "prices.toml": True,
    "backups": True,
    ".mitmproxy": False,
    ".mitmproxy/mitmproxy-ca.pem": False,
    ".mitmproxy/mitmproxy-dhparam.pem": False,
    ".mitmproxy/mitmproxy-ca-cert.pem": False,
    ".mitmproxy/mitmproxy-ca.p12": False,
    ".mitmproxy/llm-metrics-ca-bundle.pem": True,
    ".mitmproxy/config.yaml": True,
}


def tried(cases: Iterable[Planted], seconds: float = 30.0) -> list[tuple[Planted, Ended]]:
    """Start the proxy of each case; one that serves is ended, and its code is 0 then."""
    chosen = list(cases)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(zip(chosen, pool.map(lambda case: _started(case, seconds), chosen), strict=True))


def _started(case: Planted, seconds: float) -> Ended:
    log = case.folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*AS_OTHERS, *STARTS[case.command]],
            cwd=case.folder,
            env=clean_environment(case.folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    ends = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < ends:
        if _GREETING in log.read_text(errors="replace"):
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.02)
    try:
        code: int | None = process.wait(max(ends - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = None
    return Ended(code, log.read_text(errors="replace"))


def fault(case: Planted, ended: Ended) -> str | None:
    """Return what is wrong with the end of a start; None if nothing is."""
    last = ended.said.strip().rpartition("\n")[2][:300]
    is_served = _GREETING in ended.said
    if ended.code is None:
        return "it hung" + (" at its end" if is_served else "")
    if case.command == "mitmdump" and case.file.endswith("config.yaml") and "PermissionError" in ended.said:
        return None  # mitmproxy reads it before any script is loaded
    if "Traceback" in ended.said or ended.code not in (0, 1):
        return f"it broke with {ended.code}: {last}"
    if is_served != (ended.code == 0):
        return f"it ended with {ended.code}: {last}"
    if not is_served and not last.endswith("."):
        return f"it did not say a sentence: {last}"
    is_followed = case.kind == "link to a file" and case.file.startswith(".mitmproxy")
    return f"it went on: {last}" if is_served and not FILES[case.file] and not is_followed else case.touched()

"""Run every target for its share of the seconds, each in a process of its own: `python -m tests.trials.fuzz 420`.

`python -m tests.trials.fuzz TARGET SECONDS [FILE]` runs one, or repeats what FILE holds. What a target starts from is
made of the fixtures of the tests. An input that broke something stays in `.fuzz/`.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import atheris

from tests.trials import record

_ROOT = Path(__file__).parents[3]
_KEPT = _ROOT / ".fuzz"
_LARGEST = 8192
_MEMORY_MB = 1024
_SLOWEST_SECONDS = 5
_USUAL_SECONDS = 420

with atheris.instrument_imports(include=["llm_metrics_proxy.addon"]):
    from tests.trials.fuzz.targets import TARGETS


def _seeds(target: str) -> Iterator[bytes]:
    """Make beginnings that already look like traffic; some bytes before them choose format, coding and the like."""
    fixtures = _ROOT / "tests"
    if target == "sessions":
        for path in sorted(fixtures.glob("fixtures_ws/*/*.json")):
            lines = path.read_text().splitlines()
            messages = [
                line.strip().rstrip(",") for line in lines if line.startswith('  {"client"') or '{"server"' in line
            ]
            said = [("0" if '{"client"' in line[:12] else "A") + line.partition(": ")[2][:-1] for line in messages]
            for which in range(3):
                yield "\n".join(said).encode() + bytes([which])
        return
    for path in sorted(fixtures.glob("fixtures/*/*/re*.http")):
        body = path.read_bytes().partition(b"\n\n")[2][: _LARGEST - 20]
        yield body + bytes(len(body) % 29 for _ in range(4))
        yield body + bytes(range(6))


def _one(target: str, *arguments: str) -> None:
    corpus = _KEPT / target
    corpus.mkdir(parents=True, exist_ok=True)
    (_KEPT / ".gitignore").write_text("*\n")
    for count, seed in enumerate(_seeds(target)):
        (corpus / f"seed-{count}").write_bytes(seed)
    seconds, *files = arguments
    (take,) = (function for function in TARGETS if function.__name__ == target)
    options = [f"-max_len={_LARGEST}", f"-rss_limit_mb={_MEMORY_MB}", f"-timeout={_SLOWEST_SECONDS}", "-verbosity=0"]
    options += [f"-max_total_time={seconds}", f"-artifact_prefix={_KEPT}/{target}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, *(files or [str(corpus)])], take)
    atheris.Fuzz()


def _all(seconds: int, json: Path | None) -> int:
    began, checks = time.monotonic(), list[record.Check]()
    for function in TARGETS:
        name, share = function.__name__, max(1, seconds // len(TARGETS))
        print(f"{name}: {share} s", flush=True)
        command = [sys.executable, "-m", "tests.trials.fuzz", name, str(share)]
        run = subprocess.run(command, cwd=_ROOT, check=False, capture_output=True, text=True)
        runs = [int(found) for found in re.findall(r"stat::number_of_executed_units:\s*(\d+)", run.stderr)]
        checks.append(record.Check(name, "broken" if run.returncode else "kept", sum(runs)))
        print(f"  {runs[0] if runs else '?'} runs", flush=True)
        if run.returncode:
            print(run.stdout[-3000:], run.stderr[-1500:], flush=True)
    broken = [check.name for check in checks if check.result == "broken"]
    print(f"broken: {', '.join(broken)}" if broken else "nothing is broken")
    if json:
        kinds = {check.name: check.tries for check in checks}
        record.recorded("fuzz", time.monotonic() - began, checks, kinds).write(json)
    return 1 if broken else 0


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.fuzz", description="Feed random bytes.")
    parser.add_argument("words", nargs="*", metavar="[TARGET] SECONDS [FILE]", help=f"default: {_USUAL_SECONDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a record of the run of all targets there")
    wanted = parser.parse_args()
    if len(wanted.words) > 1:
        _one(*wanted.words)
    return _all(int(wanted.words[0]) if wanted.words else _USUAL_SECONDS, wanted.json)


if __name__ == "__main__":
    sys.exit(main())

"""The questions and answers of README and docs/: `python -m tests.support.cookbook` runs every command and writes its
output into its page.

A block that begins with `$ ` is a command; the rest of the block is its output. The database is made up: the same calls
for the same moment.
"""

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder.events import Limit, Limits, timestamp_of
from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from llm_metrics_proxy.recorder.store import quota
from llm_metrics_proxy.recorder.store.slices import Slices, open_background
from llm_metrics_proxy.recorder.upkeep import answers
from tests.trials.bench.fill import fill
from tests.trials.bench.made_up.calls import calls
from tests.trials.bench.made_up.moments import moments

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
_BLOCK = re.compile(r"^```\n\$ (?P<command>.*?)\n(?P<output>(?:(?!```).*\n)*)```$", re.MULTILINE)
_ROWS, _DAYS = 20_000, 16
_HALF_AN_HOUR = 1_800_000_000_000  # nanoseconds
# Made-up providers are honest, agents work alone, and caches hold: some do not here, so that there is something to see.
_LIVELIER = """
    UPDATE completion_requests SET response_model = 'gpt-5-mini-2025-08-07'
    WHERE model = 'gpt-5' AND success AND id % 25 = 0;
    UPDATE completion_requests SET request_kind = 'subagent', agent_id = 'agent-' || substr(session_id, 1, 6)
    WHERE agent = 'claude-code' AND id % 9 = 0;
    UPDATE completion_requests
    SET cache_write_tokens = cache_write_tokens + cached_tokens, cached_tokens = 0, usage = NULL, billed = NULL
    WHERE agent = 'claude-code' AND cached_tokens > 15000 AND id % 13 = 0;
"""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page with the output that the page shows."""
    for match in _BLOCK.finditer(text):
        yield match["command"], match["output"]


def make_database(path: Path) -> None:
    """Fill a new database with made-up calls up to now, priced as real ones, so that costs say what they lack."""
    now = time.time_ns()
    fill(path, calls(moments(_ROWS, _DAYS, now // 1_000_000)))
    with closing(open_background(path)) as connection:
        connection.executescript(_LIVELIER)
        for at, (of_plan, of_requests) in ((now - _HALF_AN_HOUR, (71.0, 4_800.0)), (now, (58.0, 4_613.0))):
            said = timestamp_of(at), timestamp_of(now + 5 * _HALF_AN_HOUR)
            plan = Limit("plan", "5h", None, 100.0, of_plan, said[1])
            quota.note(connection, Limits("anthropic", "5f1d0c9a7be3264d", said[0], (plan,)))
            requests = Limit("requests", "1d", "gpt-5-mini", 10_000.0, of_requests, said[1])
            quota.note(connection, Limits("openai", "c07fa2e1936b58d4", said[0], (requests,)))
        recost(path, OwnPrices(), Span())
        with ThreadPoolExecutor(1) as aside:
            answers.bring_up_to_date(connection, path, Slices(connection, path), OwnPrices(), aside)


def run(command: str, folder: Path) -> str:
    """Return what the command prints in `folder`, with the programs of this environment first."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "120"}
    shell = ["/bin/sh", "-c", command]
    done = subprocess.run(shell, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def main() -> None:
    """Write the outputs of all pages anew."""
    with tempfile.TemporaryDirectory() as folder:
        make_database(Path(folder) / "metrics.db")
        for page in PAGES:
            text = page.read_text()
            for command, output in list(blocks(text)):
                printed = "".join(f"{line.rstrip()}\n" for line in run(command, Path(folder)).splitlines())
                text = text.replace(f"$ {command}\n{output}```", f"$ {command}\n{printed}```")
                sys.stdout.write(f"$ {command}\n{printed}\n")
            page.write_text(text)


if __name__ == "__main__":
    main()

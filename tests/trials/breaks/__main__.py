"""`python -m tests.trials.breaks [--quick] [--misses 0.05] [--repeats 3]`: have conversations, and count breaks found.

They go through a real mitmdump to a local provider that caches as providers do. Some calls break the cache on
purpose, others only look as if they did. The view `cache_breaks_last_24h` is compared with what was done, and so is a
naive rule: a share of cached input that fell by 10 points within a session. It takes six minutes, since a cache has to
run out; `--quick` leaves that out.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from tests.support.provider.scenario import Framing, Request, Scenario, Step
from tests.support.rig import started
from tests.trials.breaks.caches import SECONDS, Automatic, Marked
from tests.trials.breaks.conversations import MADE, PLANS, Conversation

_AT_ONCE: Final = 8
_ANSWER_MS: Final = 200
_ROWS: Final = "SELECT id, provider_request_id FROM completion_requests"
_FOUND: Final = "SELECT id, cause, lost_tokens, cost_usd, agent, session_id FROM cache_breaks_last_24h"
_NAIVE: Final = """
    SELECT id FROM (
        SELECT id, 100.0 * cached_tokens / prompt_tokens AS share,
            lag(100.0 * cached_tokens / prompt_tokens) OVER (PARTITION BY session_id ORDER BY timestamp, id) AS before
        FROM completion_requests WHERE session_id IS NOT NULL
    ) WHERE share < before - 10
"""


class _Caching:
    """The `answer` of a provider."""

    def __init__(self, misses: float) -> None:
        self.marked, self.automatic = Marked(), Automatic(misses)

    def __call__(self, request: Request) -> Scenario:
        body = json.loads(request.body)
        said = [("content-type", "application/json")]
        name = request.header("x-made-up-id") or ""
        if "/responses" in request.target:
            found = self.automatic.take(body)
            usage = {
                "input_tokens": found.total,
                "input_tokens_details": {"cached_tokens": found.read},
                "output_tokens": 60,
                "total_tokens": found.total + 60,
            }
            text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}
            answer = {"id": "resp_1", "object": "response", "status": "completed", "output": [text]}
            said.append(("x-request-id", name))
        else:
            found = self.marked.take(body)
            usage = {
                "input_tokens": found.total - found.read - found.written,
                "cache_read_input_tokens": found.read,
                "cache_creation_input_tokens": found.written,
                "output_tokens": 60,
            }
            answer = {"id": "msg_1", "type": "message", "role": "assistant", "stop_reason": "end_turn"}
            answer["content"] = [{"type": "text", "text": "Yes."}]
            said.append(("request-id", name))
        written = json.dumps(answer | {"model": body["model"], "usage": usage}).encode()
        return Scenario((Step(_ANSWER_MS, written),), headers=tuple(said), framing=Framing.LENGTH)


def main() -> int:
    """Return the exit code: 1 if a break was missed, or found where none was made, but by the provider's own misses."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.breaks", description="Count cache breaks found.")
    parser.add_argument("--quick", action="store_true", help="wait for no cache to run out")
    parser.add_argument("--misses", type=float, default=0.05, help="share of calls that OpenAI's cache misses")
    parser.add_argument("--repeats", type=int, default=3, help="how often each conversation is had")
    parser.add_argument("--keep", action="store_true", help="leave the database where it is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llm-metrics-breaks-", delete=not options.keep) as folder:
        with started(Path(folder)) as rig:
            rig.provider.answer, rig.provider.remembers = _Caching(options.misses), False
            database = rig.proxy.database
            talks = [
                Conversation(rig, agent, plan, SECONDS + 10)
                for agent, plans in PLANS.items()
                for plan in plans
                if not (options.quick and "wait" in plan)
                for _ in range(options.repeats)
            ]
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                list(threads.map(Conversation.run, talks))
        recost(database, OwnPrices(), Span())
        return _told(database, talks)


def _told(database: Path, talks: list[Conversation]) -> int:
    with closing(sqlite3.connect(database)) as connection:
        names = dict(connection.execute(_ROWS).fetchall())
        found = connection.execute(_FOUND).fetchall()
        naive = [row for (row,) in connection.execute(_NAIVE)]
    made = {name: MADE[word] for talk in talks for name, word in talk.made.items()}
    right = Counter[str]()
    wrong, other_cause, misses = [], [], 0
    seen = set()
    for row, cause, lost, usd, agent, session in found:
        expected = made.get(names[row])
        seen.add(names[row])
        if expected is None and cause == "missed":
            misses += 1
        elif expected is None:
            plan = next(talk.plan for talk in talks if talk.id == session)
            wrong.append((agent, cause, lost, plan))
        elif cause == expected:
            right[cause] += 1
            if usd is None or usd <= 0:
                wrong.append((agent, f"{cause} without a cost", lost, ""))
        else:
            other_cause.append((agent, expected, cause))
    missed = Counter(cause for name, cause in made.items() if name not in seen)
    naive_right = sum(names[row] in made for row in naive)
    print(f"{sum(talk.calls for talk in talks)} calls in {len(talks)} conversations, {len(names)} rows")
    print(f"made on purpose: {len(made)}; found: {sum(right.values()) + len(other_cause)} {dict(right)}")
    for name, cause in made.items():
        if name not in seen:
            print("not found:", cause, next((talk.agent, talk.plan) for talk in talks if name in talk.made))
    print(f"found with another cause: {dict(Counter(other_cause))}; not found: {dict(missed)}")
    print(f"found where none was made: {Counter(wrong)}; the provider's own misses, named so: {misses}")
    print(f"a naive rule finds {len(naive)}, of which {naive_right} were made")
    return int(bool(wrong or missed))


if __name__ == "__main__":
    sys.exit(main())

"""Puts what the proxy recorded beside what really happened, with nothing but the sqlite-utils command."""

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from demo.calls import Call
from tests.support.provider.scenario import Served

TOLERANCE_MS = 25  # for a busy machine; on an idle one it is two or three
TRUTH = "truth.csv"
SQL = "comparison.sql"
MOMENTS = {
    "first_byte": "time_to_first_byte_ms",
    "first_token": "time_to_first_token_ms",
    "last_token": "time_to_last_token_ms",
}
QUERY = """\
select t.model, t.what, r.status_code as status,
  t.first_byte || ' / ' || coalesce(round(r.time_to_first_byte_ms, 1), '-') as 'first byte',
  t.first_token || ' / ' || coalesce(r.time_to_first_token_ms, '-') as 'first token',
  t.last_token || ' / ' || coalesce(r.time_to_last_token_ms, '-') as 'last token',
  nullif(t.tokens, '') || ' / ' || coalesce(r.prompt_tokens || '+' || r.completion_tokens, '-') as tokens,
  case when r.success then 'ok' else r.error_type end as 'recorded as'
from truth t left join metrics.completion_requests r on r.model = t.model
order by t.rowid
"""

type Truth = dict[str, str | int | None]


def true_values(call: Call, served: Served) -> Truth:
    """Return the moments at which the provider really wrote, and what the call was meant to count and to end with."""
    steps = zip(MOMENTS, (0, call.first, call.last), strict=True)
    moments = {name: None if step is None else round(served.step_ms(step)) for name, step in steps}
    tokens = None if call.prompt_tokens is None else f"{call.prompt_tokens}+{call.completion_tokens}"
    return {"model": call.model, "what": call.what, **moments, "tokens": tokens, "ends": call.ends}


def write(folder: Path, truths: Iterable[Truth]) -> None:
    """Write the truth, and the query that joins it with the recorded rows."""
    with (folder / TRUTH).open("w", newline="") as file:
        table = csv.DictWriter(file, ("model", "what", *MOMENTS, "tokens", "ends"))
        table.writeheader()
        table.writerows(truths)
    (folder / SQL).write_text(QUERY)


def command(folder: Path) -> str:
    """Return the shell command that prints the table."""
    return f'cd {shlex.quote(str(folder))} && {_tool()} memory {TRUTH} --attach metrics metrics.db "$(cat {SQL})" -t'


def table(folder: Path) -> str:
    """Return the table as that command prints it."""
    return _run(command(folder))


def differences(folder: Path, truths: Iterable[Truth]) -> list[str]:
    """Return one sentence for each recorded value that is not the true one."""
    rows = {
        row["model"]: row
        for row in json.loads(_run(f"{_tool()} rows {shlex.quote(str(folder / 'metrics.db'))} completion_requests"))
    }
    return [
        f"{truth['model']} ({truth['what']}): {sentence}"
        for truth in truths
        for sentence in _wrong(truth, rows.get(truth["model"]))
    ]


def _wrong(truth: Truth, row: dict[str, object] | None) -> Iterable[str]:
    if row is None:
        yield "no row was recorded."
        return
    for name, column in MOMENTS.items():
        true, recorded = truth[name], row[column]
        if isinstance(true, int) and isinstance(recorded, int | float):
            good = abs(recorded - true) <= TOLERANCE_MS
        else:
            good = true is recorded  # both are None
        if not good:
            yield f"{column} is {recorded}, in truth it was {true}."
    tokens = None if row["prompt_tokens"] is None else f"{row['prompt_tokens']}+{row['completion_tokens']}"
    if tokens != truth["tokens"]:
        yield f"tokens are {tokens}, in truth {truth['tokens']}."
    ends = "ok" if row["success"] else row["error_type"]
    if ends != truth["ends"]:
        yield f"it is recorded as {ends}, in truth it was {truth['ends']}."


def _tool() -> str:
    return shlex.quote(str(Path(sys.executable).parent / "sqlite-utils"))


def _run(line: str) -> str:
    return subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True, text=True).stdout

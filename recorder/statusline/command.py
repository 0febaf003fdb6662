"""`llm-metrics statusline` as one of the commands: its help, and command lines that need click's judgement."""

import click

from llm_metrics_proxy.recorder.commands.common import database_option, json_option
from llm_metrics_proxy.recorder.statusline import entry
from llm_metrics_proxy.recorder.statusline.asked import DEFAULT_FORMAT, LATEST, PLACES, Asked

_CODES = """\b
Exit codes:
  0  a line was printed, also where there is no database, which it says then
  2  wrong usage
"""


@click.command(epilog=_CODES)
@click.option("--session", metavar="ID", help=f"The session; `{LATEST}` is that of the newest call.")
@click.option(
    "--format",
    "form",
    metavar="TEXT",
    help=f"The line, with {', '.join(f'{{{place}}}' for place in PLACES)}; default: '{DEFAULT_FORMAT}'.",
)
@database_option
@json_option
def statusline(session: str | None, form: str | None, db: str | None, *, as_json: bool) -> None:
    """Print one line for a prompt: what the session, the day and the month cost, and how far a plan is used.

    Without --session, Claude Code's JSON is read from stdin if it is there. A day is the local one, a month UTC's. A
    `+` says that it cost at least so much, and `plan` what the calls of a plan would have cost.
    """
    asked = Asked(session, form, db, as_json=as_json)
    if asked.unknown_places:
        names = ", ".join(f"{{{place}}}" for place in PLACES)
        message = f"--format has a place that nobody knows: there are {names}."
        raise click.UsageError(message)
    entry.show(asked)

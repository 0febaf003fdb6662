"""The start of the program `llm-metrics`: the status line by itself, all else by the group of commands."""

import os
import sys

from llm_metrics_proxy.recorder.statusline import asked as asking

NAME = "statusline"
_NO_TIME = "llm: the database takes too long"


def main() -> None:
    """Print the line, or hand over to the commands."""
    if sys.argv[1:2] == [NAME] and (asked := asking.of_words(sys.argv[2:])) is not None:
        show(asked)
        os._exit(0)  # nothing is open any more, and taking the interpreter down takes 3 ms
    from llm_metrics_proxy.recorder.commands.cli import main as commands  # noqa: PLC0415 - 30 ms

    commands()


def show(asked: asking.Asked) -> None:
    """Print the line; whatever is wrong, one is printed."""
    from llm_metrics_proxy.recorder.statusline import figures, line  # noqa: PLC0415 - other commands need neither
    from llm_metrics_proxy.recorder.store import location  # noqa: PLC0415

    document = asking.document() if asked.session is None else None
    problem, found = None, figures.Figures()
    try:
        found = figures.ask(location.chosen(asked.db), asked.session, document, asking.LATEST)
    except figures.Refused as error:
        problem = str(error)
    except Exception as error:
        if type(error).__name__ != "DatabaseRefused":
            raise
        problem = "no database is named"
    if asked.as_json:
        import json  # noqa: PLC0415 - 5 ms, for those who ask for it

        text = json.dumps({**line.as_data(found), "problem": problem})
    else:
        text = f"llm: {problem}" if problem else line.line(found, asked.form) or _NO_TIME
    try:
        sys.stdout.buffer.write(f"{text}\n".encode(errors="replace"))
        sys.stdout.flush()
    except OSError:  # nobody reads it
        pass

"""`llm-metrics`: the group of commands. Each has a file in commands/, what it does stands in a module of its own."""

import click

from recorder.commands.common import EXIT_CODES
from recorder.commands.status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def main() -> None:
    """Look after the database of the LLM metrics proxy."""


main.add_command(status)

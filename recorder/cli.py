"""`llm-metrics`: the group of commands. Each has a file in commands/, what it does stands in a module of its own."""

import click

from recorder.commands.backup import backup
from recorder.commands.backups import backups
from recorder.commands.check import check
from recorder.commands.common import EXIT_CODES
from recorder.commands.doctor import doctor
from recorder.commands.env import env
from recorder.commands.export import export
from recorder.commands.importing import import_command
from recorder.commands.migrate import migrate
from recorder.commands.prune import prune
from recorder.commands.recost import recost
from recorder.commands.restore import restore
from recorder.commands.rollup import rollup
from recorder.commands.serve import serve
from recorder.commands.status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def main() -> None:
    """Look after the database of the LLM metrics proxy."""


for command in (
    backup,
    backups,
    check,
    doctor,
    env,
    export,
    import_command,
    migrate,
    prune,
    recost,
    restore,
    rollup,
    serve,
    status,
):
    main.add_command(command)

"""`llm-metrics`: the group of commands. Each has a file in commands/, what it does stands in a module of its own."""

import click

from llm_metrics_proxy.recorder.commands.backup import backup
from llm_metrics_proxy.recorder.commands.backups import backups
from llm_metrics_proxy.recorder.commands.check import check
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES
from llm_metrics_proxy.recorder.commands.doctor import doctor
from llm_metrics_proxy.recorder.commands.env import env
from llm_metrics_proxy.recorder.commands.export import export
from llm_metrics_proxy.recorder.commands.importing import import_command
from llm_metrics_proxy.recorder.commands.migrate import migrate
from llm_metrics_proxy.recorder.commands.prune import prune
from llm_metrics_proxy.recorder.commands.recost import recost
from llm_metrics_proxy.recorder.commands.restore import restore
from llm_metrics_proxy.recorder.commands.rollup import rollup
from llm_metrics_proxy.recorder.commands.serve import serve
from llm_metrics_proxy.recorder.commands.status import status


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

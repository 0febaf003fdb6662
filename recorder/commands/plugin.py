"""What this project adds to `sqlite-utils`: two commands, and SQL functions on each connection that it opens.

Every `sqlite-utils` command imports this file, also those on other people's databases, and ends if that fails. So it
imports nothing that is not there already, and what the commands need is imported when they run.
"""

import sqlite3

import click
from sqlite_utils import hookimpl

from llm_metrics_proxy.recorder import percentile
from llm_metrics_proxy.recorder.commands import ago
from llm_metrics_proxy.recorder.commands.llm_report import llm_report
from llm_metrics_proxy.recorder.commands.llm_top import llm_top


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Give `sqlite-utils` the commands."""
    cli.add_command(llm_top)
    cli.add_command(llm_report)


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Give the connection `percentile(x, p)` and its like, and `ago(length)`."""
    percentile.register(conn)
    ago.register(conn)

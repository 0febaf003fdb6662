"""`llm-metrics`: the group of commands. Each is imported when it is called, so that help is quick."""

import importlib
from typing import Final, override

import click

from llm_metrics_proxy import __version__
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, ON_WINDOWS

_HERE = "llm_metrics_proxy.recorder.commands"
COMMANDS: Final = {
    # name: (module beside this one, or with a dot beside this folder; its command; the first sentence of its help)
    "audit": (
        "accounts.audit",
        "audit",
        "Compare agents' own session logs with the recorded calls: what they lack, and what passed by the proxy.",
    ),
    "backup": ("backup", "backup", "Make a verified copy of the database, while the proxy goes on recording."),
    "backups": (
        "backup",
        "backups",
        "List the backups of the database, newest first; the database itself may be gone.",
    ),
    "check": ("status", "check", "Look for damage, impossible values, and what was left behind."),
    "dashboard": ("dashboard", "dashboard", "Show the calls as a live page on 127.0.0.1, until Ctrl-C."),
    "doctor": (
        "doctor",
        "doctor",
        "Tell why no rows come: run it in the terminal, and with the variables, of the program in question.",
    ),
    "env": ("env", "env", 'Print the lines that send a program\'s calls through the proxy: eval "$(llm-metrics env)".'),
    "export": ("export", "export", "Bring the calls to a server that many hosts share."),
    "import": ("importing", "import_command", "Read the calls of another database into ours."),
    "migrate": (
        "migrate",
        "migrate",
        "Bring the database to the present schema version, after a backup, as every start does.",
    ),
    "prices": (
        "prices",
        "prices",
        "Bring the list of prices up to date, show what a model costs, name models without a price.",
    ),
    "prune": ("prune", "prune", "Delete old calls, after a backup."),
    "reconcile": (
        "accounts.reconcile",
        "reconcile",
        "Compare providers' usage and cost exports with the recorded calls: how much of them is here, and why not all.",
    ),
    "recost": ("recost", "recost", "Compute anew what calls cost, and show what changed."),
    "restore": ("backup", "restore", "Put a backup back into the database, also while the proxy runs."),
    "rollup": ("recost", "rollup", "Bring the roll-up up to date with the rows."),
    "run": ("run", "run", "Start the proxy, or run a PROGRAM whose calls go through it."),
    "serve": ("export", "serve", "Serve what the calls add up to, for a Prometheus that asks."),
    "status": ("status", "status", "Show how the recording goes."),
    "statusline": (
        ".statusline.command",
        "statusline",
        "Print one line for a prompt: what the session, the day and the month cost, and how far a plan is used.",
    ),
    "whatif": (
        "whatif",
        "whatif",
        "Show what the recorded calls would have cost as calls of other models, on another tier or without a cache.",
    ),
}


class _Commands(click.Group):
    """The commands of the table, and their help texts without importing them."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        try:
            importlib.import_module("fcntl")  # also where a command only starts another process, which needs it
            command = getattr(importlib.import_module(f".{module}", _HERE), attribute)
        except ModuleNotFoundError as error:
            if error.name != "fcntl":
                raise
            raise click.ClickException(ON_WINDOWS) from error
        return command if isinstance(command, click.Command) else None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="llm-metrics")
def main() -> None:
    """Record what every LLM API call costs, and look after the record."""

"""`llm-metrics reconcile`: what providers say was used and spent, and what was recorded of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, Cells, database_option, json_option, refusing, table
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import check_is_there, get_db_path

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.accounts.exports import Exports
    from llm_metrics_proxy.recorder.accounts.reconcile import Line, Reconciled

_MOST_SHOWN: Final = 50  # lines
_WIDEST_NAME: Final = 50
_HEAD: Final = ("calls", "file", "input", "file", "output", "file", "cost, $", "file", "covered, %")
_ALL: Final = 99.5  # per cent: what is above is no difference worth a sentence
_MORE: Final = 100.5
_PARTS: Final = {
    "failed": "Left out: {} that failed and used nothing; no export has such.",
    "plan": "Left out: {} that a plan pays for; no bill of a key has such.",
    "cut": "Of {} that broke off only a part is known here, and all of it may have been billed.",
    "batch": "Among the file's figures: {} of batches, on the day on which their results were fetched.",
    "over_midnight": "Begun before the end of a day and ended after it: {}; the provider may have them on the next.",
    "without_cost": "Of {} there is no cost here: llm-metrics prices check says why.",
}


def _keys(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Split what --key was given."""
    keys = {}
    for value in values:
        name, equals, key_id = value.rpartition("=")
        if not (name and equals and key_id):
            message = f"{printable(value)!r} is no NAME=KEY_ID"
            raise click.BadParameter(message)
        keys[name] = key_id
    return keys


@click.command(epilog=EXIT_CODES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--by", type=click.Choice(["day", "model", "key"]), default="day", help="What each line is of.")
@click.option(
    "--key",
    "keys",
    metavar="NAME=KEY_ID",
    multiple=True,
    callback=_keys,
    help="Only this key: its name or id in the export, and the column key_id here; may be repeated.",
)
@database_option
@json_option
@refusing
def reconcile(files: tuple[Path, ...], by: str, keys: dict[str, str], db: str | None, *, as_json: bool) -> None:
    """Compare providers' usage and cost exports with the recorded calls: how much of them is here, and why not all.

    FILE has pages of OpenAI's or Anthropic's usage and cost APIs as JSON, or OpenRouter's activity as CSV or JSON.
    Nothing is changed.
    """
    from llm_metrics_proxy.recorder.accounts import exports as exporting  # noqa: PLC0415 - other commands need neither
    from llm_metrics_proxy.recorder.accounts import reconcile as reconciling  # noqa: PLC0415

    path = get_db_path(db)
    check_is_there(path)
    with progress.shown("Comparing the exports with the calls"):
        exports = exporting.read(list(files))
        found = reconciling.reconcile(path, exports, keys)
    if as_json:
        read = {"unfinished": exports.unfinished, "twice": exports.twice, "unreadable_lines": exports.unreadable_lines}
        document = {"database": str(path), "read": read, **msgspec.to_builtins(found)}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    else:
        chosen = {"day": found.days, "model": found.models, "key": found.keys}[by]
        click.echo("\n".join(_lines(found, chosen, by, exports)))


def _lines(found: "Reconciled", chosen: list["Line"], by: str, exports: "Exports") -> list[str]:
    several = len({line.provider for line in chosen}) > 1
    cells = [_cells(line, f"{line.provider} {line.name}" if several else line.name) for line in chosen[:_MOST_SHOWN]]
    lines = table((by, *_HEAD), [*cells, _cells(found.total, "total")])
    if len(chosen) > _MOST_SHOWN:
        lines.append(f"and {len(chosen) - _MOST_SHOWN:,} more, which are in the total")
    return [*lines, *_coverage(found), *_explained(found), *_reading(exports)]


def _coverage(found: "Reconciled") -> list[str]:
    known = {name: share for name, share in found.coverage.items() if share is not None}
    if not known:
        return ["The export has nothing to compare with."]
    lines = [f"The file has {', '.join(f'{share:g} % of the {name}' for name, share in known.items())} of the export."]
    if any(share < _ALL for share in known.values()):
        lines.append(
            "What is missing, and not explained below, passed outside of the proxy, or while it did not record."
        )
    if any(share > _MORE for share in known.values()):
        lines.append("Where the file has more, the export may be of one project or key alone, or of another account.")
    return lines


def _explained(found: "Reconciled") -> list[str]:
    lines = [_PARTS[name].format(_calls(part.calls, part.usd)) for name, part in found.explained.items()]
    if found.export_batch_calls:
        lines.append(f"The export has {found.export_batch_calls:,} calls of batches.")
    if found.days_begin_at:
        times = " and ".join(found.days_begin_at)
        lines.append(f"Days of the export begin at {times} UTC; calls were put into the same days.")
    if found.discount_usd and found.discount_usd > 0:
        lines.append(
            f"The export's costs are after a discount of ${found.discount_usd:,.6f}; those of the file know none."
        )
    if any(line.file_is_lower_bound for line in found.days):
        lines.append("+ at least: of some calls the cost is a lower bound or unknown.")
    return lines


def _reading(exports: "Exports") -> list[str]:
    lines = [
        f"{printable(path)} is not whole: its last page says that there is another." for path in exports.unfinished
    ]
    if exports.twice:
        lines.append(f"Counted once: {exports.twice:,} lines that stand in two files, or are sums of others.")
    if exports.unreadable_lines:
        lines.append(f"Left out: {exports.unreadable_lines:,} lines that cannot be read.")
    return lines


def _cells(line: "Line", name: str) -> Cells:
    recorded = f"{line.file_usd or 0.0:,.6f}{'+' * line.file_is_lower_bound}"
    return (
        printable(name)[:_WIDEST_NAME],
        _count(line.export_calls),
        f"{line.file_calls:,}",
        _count(line.export_input_tokens),
        _count(line.file_input_tokens),
        _count(line.export_output_tokens),
        _count(line.file_output_tokens),
        "-" if line.export_usd is None else f"{line.export_usd:,.6f}",
        "-" if line.file_usd is None and not line.file_is_lower_bound else recorded,
        _covered(line),
    )


def _covered(line: "Line") -> str:
    """The share of what says most: the cost, else the tokens, else the calls."""
    for exported, recorded in (
        (line.export_usd, line.file_usd),
        (line.export_input_tokens, line.file_input_tokens),
        (line.export_calls, line.file_calls),
    ):
        if exported:
            return f"{100 * (recorded or 0) / exported:.1f}"
    return "-"


def _calls(count: int, usd: float | None) -> str:
    cost = "" if usd is None else f" (${usd:,.6f})"
    return f"{count:,} call{'' if count == 1 else 's'}{cost}"


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens:,}"

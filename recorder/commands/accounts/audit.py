"""`llm-metrics audit`: what agents' own logs have, and lack, of the calls that passed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from llm_metrics_proxy.recorder import progress
from llm_metrics_proxy.recorder.accounts import session_logs
from llm_metrics_proxy.recorder.commands.common import (
    EXIT_CODES,
    Cells,
    database_option,
    json_option,
    prices_option,
    refusing,
    table,
)
from llm_metrics_proxy.recorder.prices import price_file
from llm_metrics_proxy.recorder.reporting import printable
from llm_metrics_proxy.recorder.store.database import check_is_there, get_db_path

if TYPE_CHECKING:
    from llm_metrics_proxy.recorder.accounts.audit import Audit, Line

_MOST_SHOWN: Final = 50  # lines
_WIDEST_NAME: Final = 40
_HEAD: Final = (
    "calls in both",
    "log alone",
    "file alone",
    "input, log",
    "file",
    "output, log",
    "file",
    "$, log",
    "file",
)


@click.command(epilog=EXIT_CODES)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--by", type=click.Choice(["day", "session"]), default="day", help="Lines of days in UTC, or of sessions."
)
@prices_option
@database_option
@json_option
@refusing
def audit(paths: tuple[Path, ...], by: str, prices: Path | None, db: str | None, *, as_json: bool) -> None:
    """Compare agents' own session logs with the recorded calls: what they lack, and what passed by the proxy.

    PATH is a file or a folder of Claude Code's or Codex's logs; without one, those of this account are read. Nothing of
    their content is kept or printed, and nothing is changed.
    """
    from llm_metrics_proxy.recorder.accounts import audit as auditing  # noqa: PLC0415 - 0.3 s and 30 MB, for prices

    path = get_db_path(db)
    check_is_there(path)
    with progress.shown("Reading the session logs"):
        reading = session_logs.read(list(paths) or session_logs.default_places())
        found = auditing.audit(path, reading, price_file.load(prices, path))
    if as_json:
        read = {name: getattr(reading, name) for name in reading.__struct_fields__ if name != "log"}
        document = {"database": str(path), "read": read, **msgspec.to_builtins(found)}
        click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
    else:
        click.echo("\n".join(_lines(found, found.days if by == "day" else found.sessions, by, reading)))


def _lines(found: "Audit", chosen: list["Line"], by: str, reading: session_logs.Reading) -> list[str]:
    lines = []
    if chosen:
        lines = table((by, *_HEAD), [*map(_cells, chosen[:_MOST_SHOWN]), _cells(found.total)])
    if len(chosen) > _MOST_SHOWN:
        lines.append(f"and {len(chosen) - _MOST_SHOWN:,} more, which are in the total")
    return [*lines, *_findings(found), *_reading(reading)]


def _findings(found: "Audit") -> list[str]:
    total, lines = found.total, []
    if found.too_low_calls:
        lines.append(
            f"Of {_calls(found.too_low_calls)} that both have, the log has too few tokens: it lacks "
            f"{total.log_too_low_input_tokens:,} of input and {total.log_too_low_output_tokens:,} of output."
        )
    if total.log_alone:
        lines.append(
            f"Outside of the proxy, or while it did not record: {_calls(total.log_alone)}, "
            f"{_usd(total.log_alone_usd)} at list prices. Of {found.sessions_outside:,} sessions no call was recorded."
        )
    if total.file_alone:
        kinds = ", ".join(f"{count:,} {printable(kind)}" for kind, count in found.file_alone_by_kind.items())
        lines.append(f"Not in the log: {_calls(total.file_alone)} ({kinds}), {_usd(total.file_alone_usd)}.")
    if found.sessions_without_log:
        lines.append(
            f"Of {found.sessions_without_log:,} more recorded sessions of this time there is no log among these."
        )
    if total.stated_usd is not None:
        lines.append(f"The agent's own sums of sessions are {_usd(total.stated_usd)}.")
    if total.file_is_lower_bound:
        lines.append("+ at least: of some calls the cost is a lower bound or not known yet.")
    return lines


def _reading(reading: session_logs.Reading) -> list[str]:
    lines = [f"Read: {reading.files:,} files, {reading.lines:,} lines, {len(reading.log.calls):,} calls."]
    if reading.unreadable_lines:
        lines.append(f"Left out: {reading.unreadable_lines:,} lines that are no JSON.")
    lines += [f"{printable(path)} ends within a line: it is being written, or was cut." for path in reading.cut_files]
    lines += [f"{printable(path)} is no log of an agent that is known." for path in reading.foreign_files]
    lines += [f"{printable(path)} cannot be read: {why}." for path, why in reading.refused_files.items()]
    return lines


def _cells(line: "Line") -> Cells:
    return (
        printable(line.name)[:_WIDEST_NAME],
        f"{line.both:,}",
        f"{line.log_alone:,}",
        f"{line.file_alone:,}",
        *map(_count, (line.log_input_tokens, line.file_input_tokens, line.log_output_tokens, line.file_output_tokens)),
        "-" if line.log_usd is None else f"{line.log_usd:,.6f}",
        "-" if line.file_usd is None else f"{line.file_usd:,.6f}{'+' * line.file_is_lower_bound}",
    )


def _calls(count: int) -> str:
    return f"{count:,} call{'' if count == 1 else 's'}"


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens:,}"


def _usd(usd: float | None) -> str:
    return "of unknown cost" if usd is None else f"${usd:,.6f}"

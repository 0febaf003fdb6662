"""Reads providers' exports. The shape of a file tells its provider; a line that stands in two files counts once."""

import csv
import io
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.accounts import anthropic_usage, openai_usage, openrouter_activity
from llm_metrics_proxy.recorder.accounts.exported import Export, Exported, Unreadable
from llm_metrics_proxy.recorder.errors import BadExport
from llm_metrics_proxy.recorder.store import files

_MOST_BYTES: Final = 1 << 30
_CURE: Final = "give pages of OpenAI's or Anthropic's usage and cost APIs as JSON, or OpenRouter's activity as CSV"
_SHAPES: Final = (openai_usage.read, anthropic_usage.read, openrouter_activity.read)
_page = msgspec.json.Decoder(msgspec.Raw).decode
_pages = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Exports(msgspec.Struct):
    """All files together."""

    lines: list[Exported] = []
    spans: set[tuple[str, str, float, float]] = set()
    unfinished: list[str] = []
    """Files whose last page says that there is another one."""
    twice: int = 0
    """Lines that an earlier file has, too, or has in more detail."""
    unreadable_lines: int = 0


def read(paths: list[Path]) -> Exports:
    """Read all files.

    Raises:
        BadExport: one is no export that is known, or has another currency.
    """
    found = Exports()
    seen: dict[tuple[str, tuple[str, ...]], list[Exported]] = {}
    for path in paths:
        export = _read_file(path, found)
        if export.has_more:
            found.unfinished.append(str(path))
        of_file: dict[tuple[str, tuple[str, ...]], list[Exported]] = defaultdict(list)
        for line in export.lines:
            of_file[line.provider, line.identity].append(line)
        found.twice += sum(len(seen[key]) for key in of_file.keys() & seen.keys())
        seen |= of_file
        found.spans |= export.spans
    lines = [line for same in seen.values() for line in same]
    found.lines = _without_sums(lines)
    found.twice += len(lines) - len(found.lines)
    return found


def _without_sums(lines: list[Exported]) -> list[Exported]:
    """Where one time is told by model or key and once more as a whole, leave out the whole."""
    grouped = {line.span for line in lines if line.model is not None or line.key is not None}
    return [line for line in lines if not line.is_whole or line.span not in grouped]


def _read_file(path: Path, found: Exports) -> Export:
    try:
        raw = files.read(path, _MOST_BYTES)
    except OSError as error:
        raise BadExport(what=f"{path} cannot be read ({error.strerror})", cure="check the path") from error
    export = Export()
    try:
        if raw.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in {b"{", b"["}:
            _read_json(raw.removeprefix(b"\xef\xbb\xbf"), export)
        else:
            found.unreadable_lines += _read_csv(raw, export)
    except Unreadable as error:
        raise BadExport(what=f"{path} {error}", cure="export it in US dollars") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, csv.Error) as error:
        raise BadExport(what=f"{path} is no export that is known", cure=_CURE) from error
    return export


def _read_json(raw: bytes, export: Export) -> None:
    """A page, an array of pages, or pages in lines."""
    if raw.lstrip().startswith(b"["):
        pages = [bytes(page) for page in _pages(raw)]
    else:
        try:
            pages = [bytes(_page(raw))]
        except msgspec.DecodeError:
            pages = [line for line in raw.splitlines() if line.strip()]
    for page in pages:
        for take in _SHAPES:
            with suppress(msgspec.ValidationError):
                take(page, export)
                break
        else:
            message = "no page"
            raise ValueError(message)


def _read_csv(raw: bytes, export: Export) -> int:
    lines = io.StringIO(raw.decode("utf-8-sig"), newline="")
    names = next(csv.reader(lines), [])
    if not openrouter_activity.is_activity(names):
        message = "no columns"
        raise ValueError(message)
    lines.seek(0)
    return openrouter_activity.read_csv(lines, export)

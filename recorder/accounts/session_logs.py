"""Reads session logs from files and folders: whatever cannot be read is counted, and nothing stops the rest."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from llm_metrics_proxy.recorder.accounts import claude_code, codex
from llm_metrics_proxy.recorder.accounts.logged import Log, Reader
from llm_metrics_proxy.recorder.store.files import open_regular

_SHAPES: Final = (claude_code.SHAPE, codex.SHAPE)
_LONGEST_LINE: Final = 64 << 20  # bytes: pictures and tools' results stand in lines
_NAMED: Final = 20  # files of each kind


class _Object(msgspec.Struct):
    """Any JSON object."""


class Reading(msgspec.Struct):
    """The files that were read, and those that could not be."""

    log: Log
    files: int = 0
    lines: int = 0
    unreadable_lines: int = 0
    cut_files: list[str] = []
    """Files whose last line has no end: they are being written, or were broken off."""
    foreign_files: list[str] = []
    """In which nothing is a line of an agent that is known."""
    refused_files: dict[str, str] = {}
    """That could not be opened, each with the reason."""


def default_places() -> list[Path]:
    """The folders in which the agents put their logs, as far as they are there."""
    home = Path.home()
    claude = os.environ.get("CLAUDE_CONFIG_DIR")
    chosen = (
        [Path(one).expanduser() for one in claude.split(",")] if claude else [home / ".claude", home / ".config/claude"]
    )
    places = [place / "projects" for place in chosen]
    places.append(Path(os.environ.get("CODEX_HOME") or home / ".codex").expanduser() / "sessions")
    return [place for place in places if place.is_dir()]


def read(paths: list[Path]) -> Reading:
    """Read all files; of folders those that end in .jsonl, however deep."""
    reading = Reading(Log())
    for path in _files(paths):
        try:
            with os.fdopen(open_regular(path, follow=True), "rb") as file:
                reading.files += 1
                _read_file(reading, path, file)
        except OSError as error:
            if len(reading.refused_files) < _NAMED:
                reading.refused_files[str(path)] = error.strerror or "it cannot be read"
    return reading


def _files(paths: list[Path]) -> Iterator[Path]:
    seen = set()
    for path in paths:
        for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                yield file


def _read_file(reading: Reading, path: Path, file: BinaryIO) -> None:
    readers = [shape.begin(reading.log) for shape in _SHAPES]
    is_known = has_lines = False
    ends = True
    for raw in _lines(file):
        if not raw.strip():
            continue
        has_lines, ends = True, raw.endswith(b"\n")
        reading.lines += 1
        found = _reader_of(readers, raw)
        if found is not None:
            readers.sort(key=lambda reader: reader is not found)  # the next line is most likely of the same agent
            is_known = True
        elif not _is_object(raw):
            reading.unreadable_lines += ends
            if not ends and len(reading.cut_files) < _NAMED:
                reading.cut_files.append(str(path))
    if has_lines and not is_known and len(reading.foreign_files) < _NAMED:
        reading.foreign_files.append(str(path))


def _reader_of(readers: list[Reader], raw: bytes) -> Reader | None:
    """The one of an agent whose line this is."""
    for reader in readers:
        try:
            if reader(raw):
                return reader
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return None


def _is_object(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=_Object)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Each line; one that is longer than any log has is nothing that can be read."""
    while raw := file.readline(_LONGEST_LINE):
        if len(raw) == _LONGEST_LINE and not raw.endswith(b"\n"):
            while (more := file.readline(_LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            raw = b"too long\n"
        yield raw

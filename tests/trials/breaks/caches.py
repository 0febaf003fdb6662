"""The local provider's caches, as Anthropic and OpenAI document theirs: what of an input was read, and what written.

Anthropic's has what was marked, exactly, for five minutes after each use. OpenAI's has all input in steps of 128
tokens, and a part of the calls comes to a machine that does not have it. What tells prefixes apart is of this trial.
"""

import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

type Json = dict[str, Any]

LEAST: Final = 1024  # tokens that are cached
SECONDS: Final = 300.0
_STEP: Final = 128
_LETTERS: Final = 4  # of a token
_LOOKS_BACK: Final = 20  # blocks
_NOT_CACHED: Final = "x-anthropic-billing-header"  # of Claude Code, another one in each call


class Input(NamedTuple):
    """The tokens of an input: all, those read from the cache, and those written to it."""

    total: int
    read: int
    written: int


class Marked:
    """Anthropic's: prefixes up to blocks that are marked."""

    def __init__(self) -> None:
        """Nothing is cached."""
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, body: Json) -> Input:
        """Read and write the cache of an input."""
        lengths, digests, marks = [], [], []
        length, digest = 0, hashlib.sha256(body["model"].encode())
        for text, is_marked in _blocks(body):
            length += len(text)
            digest.update(text.encode())
            lengths.append(length // _LETTERS)
            digests.append(digest.hexdigest())
            if is_marked and lengths[-1] >= LEAST:
                marks.append(len(lengths) - 1)
        with self._lock:
            now = time.monotonic()
            found = (
                at
                for mark in reversed(marks)
                for at in range(mark, max(mark - _LOOKS_BACK, -1), -1)
                if self._until.get(digests[at], 0) > now
            )
            hit = next(found, None)
            read = 0 if hit is None else lengths[hit]
            for at in (*marks, *([] if hit is None else [hit])):
                self._until[digests[at]] = now + SECONDS
        return Input(lengths[-1], read, max((lengths[mark] for mark in marks), default=read) - read)


class Automatic:
    """OpenAI's: `misses` is the share of calls that find nothing, whatever was sent before."""

    def __init__(self, misses: float) -> None:
        """Nothing is cached."""
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._misses = misses
        self._random = random.Random(1)

    def take(self, body: Json) -> Input:
        """Read and write the cache of an input."""
        text = body["model"] + json.dumps([body.get("tools"), body.get("instructions"), body["input"]])
        total, read = len(text) // _LETTERS, 0
        with self._lock:
            is_missed = self._random.random() < self._misses
            digest = hashlib.sha256()
            for step in range(total // _STEP):
                digest.update(text[step * _STEP * _LETTERS : (step + 1) * _STEP * _LETTERS].encode())
                if digest.hexdigest() in self._known and not is_missed:
                    read = (step + 1) * _STEP
                self._known.add(digest.hexdigest())
        return Input(total, read if read >= LEAST else 0, 0)


def _blocks(body: Json) -> Iterator[tuple[str, bool]]:
    """Yield the texts that caches are made of, in their order, and whether each is marked."""
    for tool in body.get("tools", []):
        yield _text(tool), "cache_control" in tool
    system = body.get("system", [])
    for block in [{"text": system}] if isinstance(system, str) else system:
        if block["text"].startswith(_NOT_CACHED):
            continue
        yield _text(block), "cache_control" in block
    for message in body["messages"]:
        content = message["content"]
        for block in [{"text": content}] if isinstance(content, str) else content:
            yield f"{message['role']} {_text(block)}", "cache_control" in block


def _text(block: Json) -> str:
    return json.dumps({name: value for name, value in block.items() if name != "cache_control"})

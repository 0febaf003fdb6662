"""Words of the request that a provider quotes in its error message are masked: a prompt is never stored, nowhere.

Validators echo what they were sent ("input": {...}), and some servers print the prompt that broke their template. What
is masked: four or more words in a row that stand in the request, and any word of 16 or more characters that does,
unless it is the model's name or the name of a field.
"""

import json
import re

from addon.masking import MASK

_KEPT = 32 * 1024  # bytes of a body's beginning, and of its end: what is quoted is the first message, or the last
_WORDS = 4
_LONG_WORD = 16
_PUNCTUATION = "'\"`.,:;!?()[]{}<>"
_WORD = re.compile(r"\S+")


def quotable(body: bytes) -> bytes:
    """Return as much of a request's body as is kept to recognise quotations."""
    return body if len(body) <= 2 * _KEPT else body[:_KEPT] + b"\n" + body[-_KEPT:]


def without_quotations(message: str, body: bytes, model: str | None) -> str:
    """Return `message` with what it quotes of the request's `body` replaced by "[masked]"."""
    request = body.decode("utf-8", "replace")
    words = [found.span() for found in _WORD.finditer(message)]
    spans = [
        (words[i][0], words[i + _WORDS - 1][1])
        for i in range(len(words) - _WORDS + 1)
        if _stands_in(message[words[i][0] : words[i + _WORDS - 1][1]].strip(_PUNCTUATION), request)
    ]
    for start, end in words:
        word = message[start:end].strip(_PUNCTUATION)
        if len(word) >= _LONG_WORD and word != model and f'"{word}":' not in request and _stands_in(word, request):
            spans.append((start, end))
    for start, end in reversed(_merged(spans)):
        message = message[:start] + MASK + message[end:]
    return message


def _stands_in(text: str, request: str) -> bool:
    """Look for a text as it is, and as JSON writes it, with or without its non-ASCII characters escaped."""
    return (
        text in request
        or json.dumps(text, ensure_ascii=False)[1:-1] in request
        or (not text.isascii() and json.dumps(text)[1:-1] in request)
    )


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged

"""Masking of the request's words in a provider's error message: no prompt is ever stored.

Validators echo what they were sent ("input": {...}), and some servers print the prompt that broke their template. What
is masked: four or more words in a row that stand in the request, whatever stands between them, and any unbroken run
of 16 or more characters that does, unless it is the name of the model or of a field. Ids and the hosts of URLs stay.
"""

import re

from llm_metrics_proxy.addon.privacy import IDENTIFIER, MASK

QUOTABLE = 32 * 1024
"""Bytes of a body's beginning, and of its end, that are kept: what is quoted is the first message, or the last."""
_WORDS = 4
_WORD = re.compile(r"\w+")
_LONG = re.compile(r"[\w.@:/+=-]{16,}")
_HOST = re.compile(r"https?://[\w.-]+(?::\d+)?(?:/|(?![\w.:@-]))")
_URL = re.compile(rf"({_HOST.pattern})([^\s\"'<>`)\]]*)")
_STAYS = re.compile(rf"{_HOST.pattern}|\b(?:{IDENTIFIER.pattern})\b", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)


def quotable(body: bytes) -> bytes:
    """Return as much of a request's body as is kept to recognise quotations."""
    return body if len(body) <= 2 * QUOTABLE else body[:QUOTABLE] + b"\n" + body[-QUOTABLE:]


def without_quotations(message: str, body: bytes, model: str | None) -> str:
    """Return `message` with what it quotes of the request's `body` replaced by "[masked]"."""
    if not message or not body:
        return message
    request = _lower(_unescaped(body.decode("utf-8", "replace")))
    if model:
        request = request.replace(_lower(model), "")
    spoken = " ".join(["", *_WORD.findall(request), ""])
    # Escapes end words, and the model's name is no quotation; both keep their length, so that places stay the same.
    plain = _ESCAPE.sub(lambda found: " " * len(found.group()), message)
    if model:
        plain = plain.replace(model, "\0" * len(model))
    plain = _lower(plain)
    spans = [found.span(2) for found in _URL.finditer(plain) if found[2] and found[0].rstrip(".,;:") in request]
    plain = _STAYS.sub(lambda found: "\0" * len(found.group()), plain)
    words = list(_WORD.finditer(plain))
    for first in range(len(words) - _WORDS + 1):
        run = words[first : first + _WORDS]
        if f" {' '.join(word.group() for word in run)} " in spoken:
            spans.append((run[0].start(), run[-1].end()))
    for found in _LONG.finditer(plain):
        text = found.group().strip(".:/=-")
        if f'"{text}":' not in request and text in request:
            spans.append(found.span())
    for start, end in reversed(_merged(spans)):
        message = message[:start] + MASK + message[end:]
    return message


def _unescaped(text: str) -> str:
    """Undo JSON's escapes, as far as words go: what stands for a character becomes it, line ends and tabs a space."""
    plain = _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)) if found.group(1) else " ", text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two surrogates are one character


def _lower(text: str) -> str:
    """Return `text` in lower case, sign by sign, so that places stay the same."""
    return "".join(lower if len(lower := sign.lower()) == 1 else sign for sign in text)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged

"""Secrets are masked in every text that is stored: known shapes of keys, and the request's own credentials.

Providers quote keys in their error messages ("Incorrect API key provided: sk-..."), which is how most tools of this
kind come to store them. They quote them as they came, or as their URL, their JSON or their page spells them.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import unescape
from urllib.parse import unquote

MASK = "[masked]"

_KEYS = re.compile(
    r"""
      \b(?:sk|pk|rk|gsk|xai|pplx|hf|nvapi|r8|fw|csk|tgp|ghp|gho|github_pat)[-_][A-Za-z0-9*._-]{6,}
    | \bAIza[A-Za-z0-9_*-]{10,}                              # Google
    | \b(?:AKIA|ASIA|ABSK)[A-Za-z0-9+/=]{12,}                # AWS
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+                # JSON Web Token
    | (?i:(?<=bearer\s)|(?<=basic\s))(?=\S*\d|\S{20})[^\s"',;]{6,}
    | (?i:(?<=key=)|(?<=token=)|(?<=signature=))[^\s&"',;]{8,}
    | \b[A-Fa-f0-9]{32,}\b                                   # Azure and others: bare hex
    | \b(?=\w*\d)(?=\w*[A-Z])(?=\w*[a-z])[A-Za-z0-9_]{32,}    # any long random word
    """,
    re.VERBOSE,
)

_SHORTEST_SECRET = 6
_SPELT = re.compile(r"[%\\&]")  # how the spelling of a sign begins, in URLs, in JSON, in HTML
_JSON_SPELLING = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_MOST_SPELLINGS = 4  # of one text, around each other


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with keys of known shapes and the given `secrets` replaced by "[masked]".

    Where a secret only shows once URLs', JSON's or HTML's spellings are undone, they stay undone. A secret of which the
    provider shows only the beginning or the end (`sk-ab***yz`) is caught by its shape.
    """
    known = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    text = without(text, known)
    if _SPELT.search(text):
        plain = _plain(text)
        if any(secret in plain for secret in known) or len(_KEYS.findall(plain)) > len(_KEYS.findall(text)):
            text = without(plain, known)
    return _KEYS.sub(MASK, text)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with the `secrets` replaced by "[masked]", also one that the text's end cuts."""
    for secret in secrets:
        text = text.replace(secret, MASK)
        cut = text.rfind(secret[:_SHORTEST_SECRET])
        if cut >= 0 and secret.startswith(text[cut:]):
            text = text[:cut] + MASK
    return text


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret, and what Basic authentication makes of it; nothing of what is too short to be one."""
    if len(secret) < _SHORTEST_SECRET:
        return
    yield secret
    for pair in (secret, f"{secret}:", f":{secret}"):
        encoded = b64encode(pair.encode("utf-8", "replace")).decode()
        yield from (encoded, encoded.rstrip("="))


def _plain(text: str) -> str:
    """Undo the spellings of single signs, until none is left; what steers a terminal or ends a line becomes a space."""
    for _ in range(_MOST_SPELLINGS):
        before, text = text, unescape(unquote(_JSON_SPELLING.sub(_sign, text)))
        if text == before:
            break
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _sign(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return " " if found[2] in "nrtbf" else found[2]

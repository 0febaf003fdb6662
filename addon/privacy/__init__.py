"""Secrets are masked in every text that is stored: known shapes of keys, and the request's own credentials.

Providers quote keys in their error messages ("Incorrect API key provided: sk-..."), which is how most tools of this
kind come to store them. They quote them as they came, or as their URL, their JSON or their page spells them.
"""

import itertools
import re
from base64 import b64encode
from collections.abc import Iterable, MutableMapping, Sequence
from functools import lru_cache
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import unquote

MASK = "[masked]"

type _Forms = tuple[tuple[str, ...], tuple[str, ...]]
"""The spellings of one secret, and the texts of which each spelling holds one, in small letters."""


class _Search(NamedTuple):
    """Marks that a text with one of some secrets must have, and the secrets that are then looked for."""

    needles: tuple[str, ...]
    forms: list[str]
    clean: set[str]
    """Texts that were found to hold none of them."""


_KEYS = re.compile(
    r"""
      \b(?:sk|pk|rk|gsk|xai|pplx|hf|nvapi|r8|fw|csk|tgp|ghp|gho|github_pat)[-_][A-Za-z0-9*._-]{6,}
    | \bAIza[A-Za-z0-9_*-]{10,}                              # Google
    | \b(?:AKIA|ASIA|ABSK)[A-Za-z0-9+/=]{12,}                # AWS
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+                # JSON Web Token
    | (?i:(?<=bearer\s)|(?<=basic\s))(?=\S*\d|\S{20})[^\s"',;]{6,}
    | (?i:(?<=key=)|(?<=token=)|(?<=signature=))[^\s&"',;]{8,}
    | (?P<bare> \b[A-Fa-f0-9]{32,}\b                         # Azure and others: bare hex
    | \b(?=\w*\d)(?=\w*[A-Z])(?=\w*[a-z])[A-Za-z0-9_]{32,} )  # any long random word
    """,
    re.VERBOSE,
)
# What `bare` finds are ids where their beginning, or the word before them, says so.
_OF_AN_ID = (
    r"(?:req|resp|msg|rs|fc|ctc|call|toolu|srvtoolu|mcptoolu|chatcmpl|cmpl|gen|item|run|step|thread|asst|batch|file|vs"
    r"|conv|cntr|container|sess|session|conn|event|org|proj|user)[-_](?:bdrk[-_]|vrtx[-_])?"
)
_NAMED_ID = re.compile(rf"{_OF_AN_ID}[A-Za-z0-9]")
_ID_BEFORE = re.compile(r"(?:(?:\b|_)[iI][dD]|[a-z]I[dD])\W{1,4}$")
_NO_ID = re.compile(r"key|secret|token|credential|access", re.IGNORECASE)
_BEFORE = 24  # characters, in which an id is called one

IDENTIFIER = re.compile(
    rf"{_OF_AN_ID}(?=[a-z0-9_-]*\d)[a-z0-9]{{12,}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}", re.IGNORECASE
)
"""The whole of an id of a provider's, or a UUID: no words, and no secret."""

# Keys that are nothing else, also where a name or an id stands: those of `_KEYS` may be ids, and names of models.
_SURELY_KEYS = re.compile(
    r"""
      \bsk-[A-Za-z0-9_-]{20,}
    | \b(?:gsk|ghp|gho|hf|r8)_[A-Za-z0-9]{20,}
    | \bAIza[A-Za-z0-9_-]{30,}
    | \bAKIA[A-Z0-9]{16}\b
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.
    """,
    re.VERBOSE,
)

_SIGNS_OF_KEYS = ("sk-", "gsk_", "ghp_", "gho_", "hf_", "r8_", "aiza", "akia", "eyj", "%", "\\", "&")
"""In small letters what all of them, and all spellings, have in common."""
_SHORTEST_SECRET = 6
_LONG_SECRET = 16  # characters; shorter ones are often no secrets ("ollama", "not-needed") and parts of other words
_SPELT = re.compile(r"[%\\&]")  # how the spelling of a sign begins, in URLs, in JSON, in HTML
_JSON_SPELLING = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)  # and that of programs
_MOST_SPELLINGS = 4  # of one text, around each other
_IN_URLS = str.maketrans("+/", "-_")
_CUT = 256  # characters; a text of so many may have been cut
_MOST_CLEAN = 256  # texts that are remembered for some secrets


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with keys of known shapes and the given `secrets` replaced by "[masked]".

    Where a secret only shows once URLs', JSON's or HTML's spellings are undone, they stay undone. A secret of which the
    provider shows only the beginning or the end (`sk-ab***yz`) is caught by its shape.
    """
    return _masked(text, _longest_first(map(_forms, secrets)), _KEYS)


def mask_columns(columns: MutableMapping[str, Any], secrets: Iterable[str], whole: Sequence[str] = ()) -> None:
    """Mask long `secrets`, and what is surely a key, in every text of a row; JSON that holds one becomes None.

    So do the columns named in `whole`: what is left of an identifier would identify others as well.

    All texts are looked at, whatever their columns: also those that nobody has thought of yet. But a text in which
    none of the same secrets was found before is not looked at again: most are the same in all rows of a program.
    """
    search = _search_for(tuple(secrets))
    clean = search.clean
    said = [value for value in columns.values() if type(value) is str and value not in clean]
    at_all = "\n".join(said).lower()
    # Most rows hold none of it, and the rest of this would take longer than all else about a row.
    if any(map(at_all.__contains__, search.needles)) or _CUT in map(len, said):
        for name, value in columns.items():
            if type(value) is str and value not in clean:
                hidden = _masked(value, search.forms, _SURELY_KEYS, may_be_cut=len(value) >= _CUT)
                if hidden != value:
                    columns[name] = None if value[0] in "{[" or name in whole else hidden
                elif len(value) < _CUT:
                    clean.add(value)
    else:
        clean.update([value for value in said if len(value) < _CUT])
    if len(clean) > _MOST_CLEAN:
        clean.clear()


@lru_cache(maxsize=64)  # a program sends the same key with each call
def _search_for(secrets: tuple[str, ...]) -> _Search:
    known = [_forms(secret) for secret in secrets if len(secret) >= _LONG_SECRET]
    common = itertools.chain.from_iterable(common for _, common in known)
    return _Search((*_SIGNS_OF_KEYS, *common), _longest_first(known), set())


def _masked(text: str, known: Sequence[str], keys: re.Pattern[str], *, may_be_cut: bool = True) -> str:
    plain = _plain(text) if _SPELT.search(text) else None
    at_all = f"{text}\n{plain or ''}".lower()
    known = [secret for secret in known if secret[:_SHORTEST_SECRET].lower() in at_all]
    for secret in known:  # the longest first: a part of it must not be masked before all of it is looked for everywhere
        if (hidden := _without(text, secret, may_be_cut=may_be_cut)) != text:
            text, plain = hidden, None if plain is None else _plain(hidden)
        if plain is not None and (hidden := _without(plain, secret, may_be_cut=may_be_cut)) != plain:
            text = plain = hidden
    if plain is not None and len(keys.findall(plain)) > len(keys.findall(text)):
        text = plain
    return keys.sub(MASK if keys is _SURELY_KEYS else _mask_of, text)


def _mask_of(found: re.Match[str]) -> str:
    """Return the mask for what has the shape of a key; what is an id stays."""
    if found["bare"] is None:
        return MASK
    before = found.string[max(0, found.start() - _BEFORE) : found.start()]
    called_so = _ID_BEFORE.search(before) is not None and _NO_ID.search(before) is None
    return found[0] if called_so or _NAMED_ID.match(found[0]) else MASK


def _without(text: str, secret: str, *, may_be_cut: bool) -> str:
    """Return `text` with a secret replaced, in capital and in small letters, also one that the text's end cuts."""
    if secret.lower() in text.lower():
        text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
    cut = text.rfind(secret[:_SHORTEST_SECRET]) if may_be_cut else -1
    return text[:cut] + MASK if cut >= 0 and secret.startswith(text[cut:]) else text


def _longest_first(known: Iterable[_Forms]) -> list[str]:
    return sorted({form for forms, _ in known for form in forms}, key=len, reverse=True)


@lru_cache(maxsize=64)  # a program sends the same key with each call
def _forms(secret: str) -> _Forms:
    """A secret and what base64 makes of it; nothing if it is too short to be one."""
    if len(secret) < _SHORTEST_SECRET:
        return (), ()
    written = secret.encode("utf-8", "replace")
    forms = [secret, *(b64encode(pair).decode() for pair in (written, written + b":", b":" + written))]  # as Basic's
    common = [secret]
    if len(secret) >= _LONG_SECRET:  # within something longer, without the signs that depend on what stands beside it
        for before in range(3):
            whole = b64encode(bytes(before) + written).decode()
            core = whole[-(-before * 8 // 6) : (before + len(written)) * 8 // 6]
            common += [core, core.translate(_IN_URLS)]
    forms += [form.rstrip("=") for form in forms[1:]]
    forms += [form.translate(_IN_URLS) for form in forms[1:]]
    return tuple({*forms, *common}), tuple({form.lower() for form in common})


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
    if found[2]:
        return chr(int(found[2], 16))
    return " " if found[3] in "nrtbf" else found[3]

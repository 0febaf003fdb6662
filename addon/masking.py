"""Secrets are masked in every text that is stored: known shapes of keys, and the request's own credentials.

Providers quote keys in their error messages ("Incorrect API key provided: sk-..."), which is how most tools of this
kind come to store them.
"""

import re
from collections.abc import Iterable

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


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with keys of known shapes and the given `secrets` replaced by "[masked]".

    A secret of which the provider shows only the beginning or the end (`sk-ab***yz`) is caught by its shape.
    """
    for secret in sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _KEYS.sub(MASK, text)

"""Fields of request bodies in which a program says who it is, beside what it asks for."""

import json
import re
from collections.abc import Mapping

import msgspec

type Said = Mapping[str, bytes]
"""JSON by the name of its field, as far as anybody may want it."""

NOTHING: Said = {}
_LONGEST = 16 * 1024  # bytes of a field; real ones have one or two thousand
_NAMED = re.compile(rb'"[^"]*"\s*:\s*')
_DECODER = json.JSONDecoder()
_EMPTY = (b"", b"null")
_NO_TOOLS = (b"", b"null", b"[]", b"{}")
_LONGEST_NO_TOOLS = 4


_ABSENT = msgspec.Raw()


class CallerFields(msgspec.Struct, gc=False, kw_only=True):
    """Fields that a format's request has on top of its own; none is decoded before an agent is known to use it."""

    metadata: msgspec.Raw = _ABSENT
    client_metadata: msgspec.Raw = _ABSENT
    prompt_cache_key: msgspec.Raw = _ABSENT
    session_id: msgspec.Raw = _ABSENT
    project: msgspec.Raw = _ABSENT
    generate: msgspec.Raw = _ABSENT
    tools: msgspec.Raw = _ABSENT


_KEPT = tuple(name for name in CallerFields.__struct_fields__ if name != "tools")


def said_in(asked: CallerFields) -> dict[str, bytes]:
    """Return what a request says, copied: a field holds on to the whole body. Of tools only whether there are any."""
    said = {"tools": b"false" if asked.tools is _ABSENT or _is_none(asked.tools) else b"true"}
    for name in _KEPT:
        raw = getattr(asked, name)
        if raw is not _ABSENT and memoryview(raw).nbytes <= _LONGEST and (value := bytes(raw)) not in _EMPTY:
            said[name] = value
    return said


def whole_field(body: bytes, name: str) -> bytes | None:
    """Return a field of a long body, of which `said_in` has seen no long strings; None if it is not found.

    In JSON a quote within a string has a backslash before it: so what is found here is no part of a text.
    """
    at = body.rfind(b'"%b"' % name.encode())
    found = _NAMED.match(body, at) if at >= 0 else None
    if found is None:
        return None
    written = body[found.end() : found.end() + _LONGEST].decode(errors="replace")
    try:
        value, _ = _DECODER.raw_decode(written)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value).encode()


def _is_none(tools: msgspec.Raw) -> bool:
    view = memoryview(tools)
    return view.nbytes <= _LONGEST_NO_TOOLS and bytes(view) in _NO_TOOLS

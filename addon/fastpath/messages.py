"""Messages that are as they have to be are not looked at field by field.

mitmproxy compares each field of each request and response with its annotation, by what `typing` says of it: a tenth of
what a small call costs. Here the usual types are looked for; a message that has any other is mitmproxy's to judge.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Final

from mitmproxy import http

type PostInit = Callable[[http.MessageData], None]

_NAME: Final = "__post_init__"
_NOTHING: Final = type(None)
_OF_ALL: Final[dict[str, set[type]]] = {
    "http_version": {bytes},
    "headers": {http.Headers},
    "content": {bytes, _NOTHING},
    "trailers": {http.Headers, _NOTHING},
    "timestamp_start": {float},
    "timestamp_end": {float, _NOTHING},
}
_USUAL: Final[Mapping[type, Mapping[str, set[type]]]] = {
    http.RequestData: _OF_ALL
    | {"host": {str}, "port": {int}, "method": {bytes}, "scheme": {bytes}, "authority": {bytes}, "path": {bytes}},
    http.ResponseData: _OF_ALL | {"status_code": {int}, "reason": {bytes}},
}


def post_init_of(original: PostInit) -> PostInit:
    """Return a `__post_init__` that asks mitmproxy's only about what is unusual."""

    @functools.wraps(original)
    def post_init(self: http.MessageData) -> None:
        usual = _USUAL.get(type(self))
        if usual is None:
            original(self)
            return
        fields = vars(self)
        for name, types in usual.items():
            if type(fields.get(name, original)) not in types:
                original(self)
                return

    return post_init


def install() -> Callable[[], None]:
    """Put it in place; return what takes it away again."""
    original = vars(http.MessageData).get(_NAME)  # which `python -O` leaves out
    if original is None:
        return lambda: None
    new = post_init_of(original)
    setattr(http.MessageData, _NAME, new)

    def remove() -> None:
        if vars(http.MessageData).get(_NAME) is new:
            setattr(http.MessageData, _NAME, original)

    return remove

"""The short fields of a multipart form (RFC 7578): audio and images are uploaded with their model beside them."""

import re

_NAME = re.compile(rb'\bname="([^"]*)"')
_LONGEST = 512


def fields(body: bytes) -> dict[str, str]:
    """Return the form's fields that are no files and at most 512 bytes long, name to value."""
    boundary = body[: body.find(b"\r\n")]
    found = {}
    if boundary.startswith(b"--"):
        for part in body.split(boundary)[1:]:
            head, separator, value = part.partition(b"\r\n\r\n")
            name = _NAME.search(head)
            if separator and name and b"filename" not in head and len(value) <= _LONGEST:
                found[name.group(1).decode(errors="replace")] = value.removesuffix(b"\r\n").decode(errors="replace")
    return found

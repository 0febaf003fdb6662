"""Values that no decent client or provider sends: numbers, texts and JSON to choose from at random."""

import json
import random
from typing import Final

DEEP: Final = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECTS: Final = b'{"a":' * 50_000 + b"1" + b"}" * 50_000

NUMBERS: Final = (
    *(b"0", b"-1", b"-9223372036854775808", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616"),
    *(b"1e400", b"-1e400", b"1e308", b"1e-400", b"NaN", b"Infinity", b"-Infinity", b"0.1", b"5.0", b"1e3", b"-0"),
    *(b"9" * 30, b"9" * 5000, b"1" + b"0" * 4000, b"true", b"null", b'"12"', b"[]", b"{}", b"[1]", b"12", b"7"),
)
TEXTS: Final = (
    *("gpt-5.5", "claude-sonnet-5", "", " ", "\0", "a\0b", "\n\r\t", "'; DROP TABLE completion_requests; --", '"'),
    *(
        "\x1b]0;owned\x07",
        "\x1b[31m",
        "\x9b31m",
        "\u202egnp.exe",
        "\u2066\u2069\u200e\u061c\ufeff",
        "<script>alert(1)</script>",
    ),
    *("{{ 7*7 }}", "%s%n", "../../etc/passwd", "\\..\\..", "=cmd|' /C calc'!A0", "🙂" * 300, "é" * 1000, "x" * 100_000),
    *(
        "\U000e0041\U000e0042",
        "A\u0300" * 500,
        "NULL",
        "None",
        "true",
        "0",
        "[masked]",
        "%00%1b",
        "sk-",
        "a" * 255 + "🙂",
    ),
)
RAW_TEXTS: Final = (
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\\u0000"',
    b'"a\x00b"',
    b'"\\x"',
    b'"\n"',
)


def number(numbers: random.Random) -> bytes:
    """Return a number, or what stands where one should, as JSON."""
    return numbers.choice(NUMBERS)


def text(numbers: random.Random) -> bytes:
    """Return a text as JSON, or nearly."""
    if numbers.random() < 0.2:
        return numbers.choice(RAW_TEXTS)
    said = numbers.choice(TEXTS)
    return json.dumps(said, ensure_ascii=numbers.random() < 0.5).encode("utf-8", "surrogatepass")


def anything(numbers: random.Random, depth: int = 3) -> bytes:
    """Return any JSON, or nearly."""
    kind = numbers.randrange(8 if depth else 4)
    if kind < 2:
        return number(numbers)
    if kind < 4:
        return text(numbers)
    if kind == 4 and numbers.random() < 0.05:
        return numbers.choice((DEEP, DEEP_OBJECTS))
    inner = [anything(numbers, depth - 1) for _ in range(numbers.randrange(4))]
    if kind < 6:
        return b"[" + b",".join(inner) + b"]"
    return b"{" + b",".join(text(numbers) + b":" + one for one in inner) + b"}"


def fields(numbers: random.Random, names: tuple[str, ...]) -> bytes:
    """Return an object of some of these names, with any values; a name may come twice."""
    chosen = numbers.choices(names, k=numbers.randrange(len(names) + 1))
    return b"{" + b",".join(b'"%b":%b' % (name.encode(), anything(numbers, 2)) for name in chosen) + b"}"


def cut(numbers: random.Random, data: bytes) -> list[bytes]:
    """Cut bytes into a few pieces anywhere."""
    places = sorted(numbers.randrange(len(data) + 1) for _ in range(numbers.choice((0, 0, 1, 3, 12))))
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def mutated(numbers: random.Random, data: bytes) -> bytes:
    """Change some bytes, take some away, put some in, or repeat some."""
    changed = bytearray(data)
    for _ in range(numbers.randint(1, 6)):
        at = numbers.randrange(len(changed) + 1)
        span = numbers.choice((1, 1, 2, 8, 64))
        kind = numbers.randrange(4)
        if kind == 0:
            changed[at : at + span] = numbers.randbytes(span)
        elif kind == 1:
            del changed[at : at + span]
        elif kind == 2:
            changed[at:at] = numbers.choice((b"\0", b"\n", b'"', b"{", b"}", b"\\", b"\r\n\r\n", b"data: ", b"\xff"))
        else:
            changed[at:at] = changed[max(0, at - span) : at]
    return bytes(changed)

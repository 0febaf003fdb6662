"""No credential is in a row, wherever client or provider put it: planted in every text of every documented exchange.

Places come from the fixtures, columns from the schema. A new column is covered by the fixture that has its field. A
text column that no plant changes is one that nobody else chooses, and stands in `OURS` with the reason.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from llm_metrics_proxy.addon import headers, providers
from llm_metrics_proxy.addon.callers.agents import HEADERS
from llm_metrics_proxy.addon.callers.labels import for_the_proxy
from llm_metrics_proxy.addon.callers.who import Who
from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support.fixture import FIXTURES, Message
from tests.trials.hostile.plants import MARK, QUOTED, found_in_text, text_columns

CASES = sorted(path.parent.relative_to(FIXTURES).as_posix() for path in FIXTURES.glob("*/*/expected.json"))
SECRET = f"own-{MARK}+/{MARK[::-1]}=="  # of no known shape, with signs that are spelt in many ways
OURS = {
    "timestamp": "the proxy's clock",
    "http_version": "mitmproxy's, one of five",
    "client": "an address, the socket's",
    "host": "where the request goes: test_secrets.py plants in it",
    "provider": "of the table of hosts",
    "trace_id": "32 hexadecimal digits, or nothing",
    "parent_span_id": "16 hexadecimal digits, or nothing",
    "cost_source": "one of three words of ours",
    "cost_note": "words of ours, of the upkeep process",
}
"""Columns in which no text of others can be, and why."""
WHO = Who(b"a secret of 32 bytes, of nobody's")
ANOTHERS = f"sk-proj-{MARK}0123456789abcdef"  # no credential of the request, but surely a key
FORMS: tuple[Callable[[str], str], ...] = (
    lambda secret: f"Your key {secret} is wrong.",
    lambda secret: "x" * 238 + secret,  # which is cut in the middle of it
    *QUOTED,
)

type Plant = Callable[[str], "Case"]
type Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Case:
    """An exchange."""

    request: Message
    response: Message | None

    @classmethod
    def read(cls, name: str) -> "Case":
        answer = FIXTURES / name / "response.http"
        return cls(Message.read(FIXTURES / name / "request.http"), Message.read(answer) if answer.is_file() else None)

    def row(self) -> dict[str, Any]:
        """Return the row; nothing if this is no exchange of an LLM any more."""
        path, _, query = self.request.path.partition("?")
        host, _, port = self.request.headers["host"].partition(":")
        if (route := providers.match(host, int(port or 443), path)) is None:
            return {}
        sent = self.request.headers | {"authorization": f"Bearer {SECRET}"}
        ours = {name: sent.pop(name) for name in for_the_proxy(sent)}
        origin = headers.origin_of(None, ours.get(headers.LABEL_HEADER), sent, "127.0.0.1")
        opening = Opening(
            route, 0, 0, self.request.headers["host"], path, query, sent, origin, "127.0.0.1", "1.1", None, ours, WHO
        )
        exchange = Exchange(opening)
        exchange.request_chunk(self.request.body, 1)
        exchange.request_end(2)
        if self.response is not None:
            exchange.answer_head(self.response.status, self.response.headers, 3)
            exchange.answered.add(self.response.body, 4)
        made = exchange.finish(Cause.COMPLETE, 5)
        return msgspec.structs.asdict(made) if made is not None else {}


def plants(case: Case) -> Iterator[tuple[str, Plant]]:
    """Yield every place of an exchange where a text stands, with what puts another one there."""
    for part in ("request", "response"):
        message: Message | None = getattr(case, part)
        if message is None:
            continue
        known = headers._REQUEST if part == "request" else headers._RESPONSE  # noqa: SLF001 - what columns read
        more = (
            ["origin", headers.LABEL_HEADER, "x-llm-label-team", "x-api-key", *HEADERS]
            if part == "request"
            else ["x-amzn-errortype"]
        )
        for name in sorted({*message.headers, *known, *more} - {"host", "content-type", "content-encoding"}):
            yield (
                f"{part} header {name}",
                lambda text, part=part, message=message, name=name: replace(  # type: ignore[misc]
                    case, **{part: replace(message, headers=message.headers | {name: text})}
                ),
            )
        for where, changed in in_body(message.body):
            yield (
                f"{part} {where}",
                lambda text, part=part, message=message, changed=changed: replace(  # type: ignore[misc]
                    case, **{part: replace(message, body=changed(text))}
                ),
            )
    for found in re.finditer(r"[^/?&=:]+", case.request.path):
        line = case.request.first_line
        begin, end = (at + line.index(" ") + 1 for at in found.span())
        yield (
            f"path {found.group()}",
            lambda text, line=line, begin=begin, end=end: replace(  # type: ignore[misc]
                case, request=replace(case.request, first_line=line[:begin] + text.replace(" ", "%20") + line[end:])
            ),
        )


def in_body(body: bytes) -> Iterator[tuple[str, Callable[[str], bytes]]]:
    """Yield each text of a body's JSON, the first and the last of those that stand at the same place of a document."""
    parts = re.split(rb"(?m)^(data: )?(?=[\[{])", body)
    documents = {at: value for at, part in enumerate(parts) if (value := parsed(part)) is not None}
    places: dict[Place, list[tuple[int, Place]]] = {}
    for at, document in documents.items():
        for place in texts(document):
            kind: Place = tuple(step for step in place if isinstance(step, str))
            places.setdefault(kind, []).append((at, place))
    for kind, found in places.items():
        for at, place in {found[0], found[-1]}:

            def changed(text: str, at: int = at, place: Place = place) -> bytes:
                document = copy.deepcopy(documents[at])
                put(document, place, text)
                end = re.search(rb"\s*$", parts[at])
                written = json.dumps(document).encode() + (end.group() if end else b"")
                return b"".join(
                    [*(part or b"" for part in parts[:at]), written, *(part or b"" for part in parts[at + 1 :])]
                )

            yield ".".join(map(str, kind)), changed


def parsed(part: bytes | None) -> Any:  # noqa: ANN401 - JSON
    try:
        value = json.loads(part or b"")
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None


def texts(value: object, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each text, and in each object that of a field that nobody knows, as value and as name."""
    if isinstance(value, dict):
        yield (*place, "planted")
        yield (*place, "planted", "name")
        for name, inner in value.items():
            yield from texts(inner, (*place, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from texts(inner, (*place, at))
    elif isinstance(value, str):
        yield place


def put(document: Any, place: Place, text: str) -> None:  # noqa: ANN401 - JSON
    *way, last = place if place[-2:] != ("planted", "name") else (*place[:-2], text)
    for step in way:
        document = document[step]
    document[last] = 7 if last == text else text


@cache
def searched() -> tuple[dict[str, list[str]], dict[str, set[str]], int]:
    """Plant everywhere; return what was found by column, and the places that change each column."""
    leaks: dict[str, list[str]] = {}
    changes: dict[str, set[str]] = {}
    tries = 0
    for name in CASES:
        case = Case.read(name)
        before = case.row()
        for column, value in before.items():
            if isinstance(value, str) and found_in_text(value):
                leaks.setdefault(column, []).append(f"{name}: {value[:200]!r}")
        for number, (place, plant) in enumerate(plants(case)):
            turns = [FORMS[(number + turn) % len(FORMS)](SECRET) for turn in (0, 5)]
            for planted in (SECRET, ANOTHERS, *turns):
                after = plant(planted).row()
                tries += 1
                for column, value in after.items():
                    if value != before.get(column):
                        changes.setdefault(column, set()).add(f"{name}, {place}")
                        if isinstance(value, str) and found_in_text(value):
                            leaks.setdefault(column, []).append(f"{name}, {place}: {value[:200]!r}")
    return leaks, changes, tries


def test_no_column_holds_a_credential_wherever_it_was_put() -> None:
    leaks, _, tries = searched()
    assert tries > 5_000
    assert {column: found[:3] for column, found in leaks.items()} == {}


def test_every_text_column_was_reached_by_a_plant_or_is_known_to_be_ours(db_path: Path) -> None:
    Recorder(db_path).open()
    _, changes, _ = searched()
    columns = {column for table, column in text_columns(db_path) if table == "completion_requests"}
    assert columns - changes.keys() == OURS.keys(), "write a fixture with the field, or the reason into OURS"

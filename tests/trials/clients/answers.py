"""Answers of the provider with the bytes of tests/fixtures, event by event, one for each call of a program."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from tests.support.exchanges import events_of
from tests.support.fixture import FIXTURES, Message
from tests.support.provider.scenario import Framing, Request, Scenario, Step
from tests.support.rig import at_once
from tests.trials.clients.client import Call

_GAP_MS = 100  # between two events: longer than a busy machine delays one
_COLUMNS = (
    "provider",
    "model",
    "response_model",
    "is_streaming",
    "success",
    "status_code",
    "error_type",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "finish_reason",
)
_NOT_EXPECTED = at_once(b"{}", status=404)


class Case:
    """A folder of fixtures."""

    def __init__(self, call: Call) -> None:
        folder = FIXTURES / call.case
        expected = json.loads((folder / "expected.json").read_text())
        self.row: dict[str, Any] = {name: value for name, value in expected["row"].items() if name in _COLUMNS}
        self.stream: dict[str, int] | None = expected.get("stream")
        self.says = call.says
        self.answer = Message.read(folder / "response.http")
        self.path = _path(Message.read(folder / "request.http").path)
        self.request: Request | None = None

    @property
    def scenario(self) -> Scenario:
        """The answer's bytes, and the moments at which they are sent."""
        events = events_of(self.answer.body, self.answer.headers["content-type"])
        steps = tuple(Step(count * _GAP_MS, event) for count, event in enumerate(events, 1))
        framing = Framing.LENGTH if self.stream is None else Framing.CHUNKED
        return Scenario(steps, self.answer.status, tuple(self.answer.headers.items()), framing=framing)


class Answers:
    """Answers each call once, in order; `cases` tells what it was."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.cases = [Case(call) for call in calls]
        self.unexpected: list[str] = []  # what else was asked for
        self._left = list(self.cases)

    def answer(self, request: Request) -> Scenario:
        """Answer the next call, if this is it."""
        if not self._left or _path(request.target) != self._left[0].path:
            if request.method == "POST":  # not what a library looks up for itself, such as a list of prices
                self.unexpected.append(request.target)
            return _NOT_EXPECTED
        case = self._left.pop(0)
        case.request = request
        return case.scenario


def _path(target: str) -> str:
    """Return a path without its version, which is the client's choice: Gemini has both /v1 and /v1beta."""
    return re.sub(r"^/v\d\w*", "", unquote(target.partition("?")[0]))

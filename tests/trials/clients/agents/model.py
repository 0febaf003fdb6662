"""The local provider's model: it has an agent run a command, never ends an answer, or fills the context, as asked.

What a person writes decides, by the marks below. Calls that offer no shell, such as one for a title, get a few words.
"""

import json
import re
import socket
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from wsproto.events import AcceptConnection, CloseConnection, Message
from wsproto.extensions import Extension, PerMessageDeflate

from tests.support.ends.websocket import Peer, upgraded
from tests.support.provider.scenario import End, Framing, Request, Scenario, Step
from tests.support.provider.server import Takeover
from tests.support.rig import at_once
from tests.trials.clients.agents.dialects import DIALECTS, Asked, Dialect, Json, Reply, Tokens, response_events

TOOL, ENDLESS, FULL, DELEGATE = "[run it]", "[never stop]", "[fill up]", "[delegate it]"
"""In what a person says: run a command; answer without an end; run a command, and leave no room for more; have another
agent run it."""
COMMAND: Final = "echo this-was-run > ran.txt"
"""The command that the model has an agent run, in the folder that the agent works in."""
FILE: Final = "ran.txt\n```\nthis-was-run\n```\n"
"""The same for an agent that has no tools, and writes the files that stand in answers."""
WORDS = ("It", " is", " done", ".")
_SHELLS = re.compile(r"(?i)(?:bash|(?:run_)?(?:shell|terminal)(?:_command)?|(?:exec|execute|run)_(?:command|commands))")
_DELEGATES = re.compile(r"Agent|[Tt]ask|spawn_agent|delegate")
_ORDERS = ("prompt", "message", "instructions", "items")
_FINISHES = re.compile(r"submit_and_exit|complete|attempt_completion")
_COMMANDS = ("command", "cmd", "commands", "code")
_GAP_MS = 20
_LATER = _GAP_MS / 1000


@dataclass
class Call:
    """One call as the provider knows it."""

    request: Request
    asked: Asked
    reply: Reply
    tokens: Tokens
    body: Json
    is_cut: bool = False
    """The answer never ends."""
    is_prewarm: bool = False
    """A WebSocket's request for nothing."""


class Model:
    """The `answer` of a provider."""

    def __init__(
        self,
        *,
        plain: bool = False,
        room: int = 900_000,
        refuses_upgrades: int = 0,
        also: Mapping[str, Json] | None = None,
    ) -> None:
        """Remember what is asked.

        Args:
            plain: the agent offers no shell, so its only calls are for the answer.
            room: the tokens that fill the context.
            refuses_upgrades: the status that a WebSocket is refused with.
            also: what is answered to other requests, as "GET /path".
        """
        self.calls: list[Call] = []
        self.others: list[Request] = []
        """Requests that are no calls."""
        self.began = threading.Event()
        """An endless answer has begun."""
        self.refuses_upgrades = refuses_upgrades
        self._plain = plain
        self._also = also or {}
        self._room = room
        self._is_filled = False
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Scenario | Takeover:
        """Answer a request."""
        path = request.target.partition("?")[0]
        dialect = next((one for one in DIALECTS if one.path.search(path)), None)
        if dialect is not None and request.method == "GET" and request.header("upgrade"):
            if self.refuses_upgrades:
                self.others.append(request)
                return at_once(b'{"error":{"message":"no"}}', status=self.refuses_upgrades)
            return self._talk
        if dialect is None or request.method != "POST":
            self.others.append(request)
            if (known := self._also.get(f"{request.method} {path}")) is not None:
                return at_once(json.dumps(known).encode())
            return at_once(b'{"error":{"message":"There is nothing here."}}', status=404)
        call = self._call(request, dialect.read(path, json.loads(request.body)), json.loads(request.body))
        if not call.asked.streams:
            return at_once(json.dumps(dialect.whole(call.asked, call.reply, call.tokens)).encode())
        return _streamed(call, dialect, self.began)

    def _call(self, request: Request, asked: Asked, body: Json) -> Call:
        with self._lock:
            reply, is_cut, is_full = self._decided(asked)
            number = len(self.calls) + 1
            tokens = Tokens((self._room if is_full else 1000) + number, 10 + number)
            self.calls.append(Call(request, asked, reply, tokens, body, is_cut=is_cut))
            return self.calls[-1]

    def _decided(self, asked: Asked) -> tuple[Reply, bool, bool]:
        """Return the answer, whether it never ends, and whether it fills the context, which it does once."""
        shell, delegate, finish = (
            next((name for name in asked.tools if known.fullmatch(name)), None)
            for known in (_SHELLS, _DELEGATES, _FINISHES)
        )
        if asked.has_result and finish:
            return Reply(tool=finish, arguments=filled(asked.tools[finish])), False, False
        if asked.has_result or not (shell or self._plain):
            return Reply(WORDS), False, False
        if delegate and DELEGATE in asked.said:
            return Reply(tool=delegate, arguments=order(asked.tools[delegate])), False, False
        is_full = FULL in asked.said and not self._is_filled
        self._is_filled |= is_full
        if not (is_full or TOOL in asked.said):
            return Reply(WORDS), ENDLESS in asked.said, False
        if shell is None:
            return Reply((FILE,)), False, is_full
        return Reply(tool=shell, arguments=arguments(asked.tools[shell])), False, is_full

    def _talk(self, request: Request, connection: socket.socket) -> None:
        """Be the server of a WebSocket until the client leaves."""
        with closing(connection):
            peer = upgraded(request, connection)
            offered = request.header("sec-websocket-extensions") or ""
            extensions: list[Extension] = [PerMessageDeflate()] if "deflate" in offered else []
            peer.send(AcceptConnection(extensions=extensions))
            said = ""
            while not isinstance(event := peer.next(), CloseConnection):
                said += str(event.data) if isinstance(event, Message) else ""
                if isinstance(event, Message) and event.message_finished:
                    self._reply(request, json.loads(said), peer)
                    said = ""

    def _reply(self, request: Request, body: Json, peer: Peer) -> None:
        if body.get("type") != "response.create":
            return
        (dialect,) = (one for one in DIALECTS if one.path.search("/responses"))
        call = self._call(request, dialect.read("", body), body)
        if body.get("generate") is False:
            call.is_prewarm, call.is_cut, call.reply, call.tokens = True, False, Reply(), Tokens(0, 0)
        for number, (_, data) in enumerate(_sent(response_events(call.asked, call.reply, call.tokens), call)):
            if call.is_prewarm and data["type"] not in {"response.created", "response.completed"}:
                continue
            threading.Event().wait(_LATER if number else 0)
            peer.say(**data)
        if call.is_cut:
            self.began.set()


def arguments(schema: Json) -> Json:
    """Return arguments that a shell's schema asks for, so that it runs the command."""
    fields: Json = schema.get("properties", {})
    name = next(name for name in _COMMANDS if name in fields)
    is_list = str(fields[name].get("type")).lower() == "array"
    line = ["sh", "-c", COMMAND] if is_list and name != "commands" else [COMMAND] if is_list else COMMAND
    return filled(schema) | {name: line}


def order(schema: Json) -> Json:
    """Return arguments that have another agent run the command."""
    name = next(name for name in _ORDERS if name in schema.get("properties", {}))
    kind = {"subagent_type": "general"} if "subagent_type" in schema.get("required", []) else {}
    return filled(schema) | {name: f"Please {TOOL}"} | kind


def filled(schema: Json) -> Json:
    """Return a value for each argument that a schema requires."""
    fields: Json = schema.get("properties", {})
    return {name: _value(fields.get(name, {})) for name in schema.get("required", [])}


def _value(schema: Json) -> object:
    if "enum" in schema:
        return schema["enum"][0]
    if "null" in schema.get("type", ()) or {"type": "null"} in schema.get("anyOf", ()):
        return None
    return {"boolean": False, "number": 1000, "integer": 1000, "array": [], "object": {}}.get(
        str(schema.get("type")).lower(), "a try"
    )


def _sent[T](events: Iterable[T], call: Call) -> list[T]:
    """Return the events that are sent: of an answer without an end none after its second piece."""
    listed = list(events)
    if not call.is_cut:
        return listed
    second = next(at for at, event in enumerate(listed) if f'"{WORDS[1]}"' in str(event).replace("'", '"'))
    return listed[: second + 1]


def _streamed(call: Call, dialect: Dialect, began: threading.Event) -> Scenario:
    written = _sent(dialect.stream(call.asked, call.reply, call.tokens), call)
    steps = tuple(Step(number * _GAP_MS, data) for number, data in enumerate(written, 1))
    if call.is_cut:
        threading.Timer((len(steps) + 1) * _LATER, began.set).start()
        return Scenario(steps, end=End.HANG)
    return Scenario(steps, framing=Framing.CHUNKED)

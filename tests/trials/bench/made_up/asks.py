"""Made-up requests: origins, models, sessions and traces, and the columns that a request alone fills."""

from dataclasses import dataclass, replace
from random import Random
from zlib import crc32

from tests.trials.bench.made_up.catalogue import MODELS, Model, Wire
from tests.trials.bench.made_up.origins import AGENTS, COUNTS_RETRIES, LABELS, ORIGINS, USER_AGENTS, Origin
from tests.trials.bench.made_up.spread import Spread, lot
from tests.trials.bench.made_up.usages import USAGE, Columns, Usage

_SESSIONS = 5  # of an origin with a model, at the same time
_SESSION_ENDS_MS = 25 * 60_000
_LONGEST_CONTEXT = 160_000
_LONGEST_PROMPT = 190_000
_COMPACTED = 18_000
_SYSTEM_PROMPT = 11_400
_SHORTEST_CACHED = 1024
_BYTES_OF_A_TOKEN = 4.1
_BYTES_OF_A_MESSAGE = 46
_BYTES_PER_MS = 30_000
_CACHED_SHARE, _WRITTEN_SHARE = 0.42, 0.08
_CONNECTS_SHARE = 0.14
_CONNECT_MS = Spread(31, 0.5)
_STEP = 128  # OpenAI and those like it cache whole steps of tokens
_WRITES = (Wire.MESSAGES, Wire.CONVERSE)  # formats that say what was written into a cache


@dataclass(slots=True)
class Habit:
    """An origin with one of its models, and what is the same in all of its calls."""

    origin: Origin
    model: Model
    plain: Columns
    streamed: Columns
    clients: tuple[str, ...]
    usage: Usage
    writes: bool
    counts_retries: bool


@dataclass(slots=True)
class Ask:
    """A request; `attempt` is 0 for the first."""

    habit: Habit
    is_streaming: bool
    prompt: int
    cached: int
    written: int
    upload_ms: float
    columns: Columns
    attempt: int = 0

    def again(self) -> "Ask":
        """Return the next attempt, which an SDK makes by itself."""
        attempt = self.attempt + 1
        counted = {"retry_count": attempt} if self.habit.counts_retries else {}
        return replace(self, attempt=attempt, columns=self.columns | counted | {"connect_ms": None})


class _Session:
    """A conversation of one client, whose context grows with each call."""

    __slots__ = ("client", "context", "id", "messages", "seen")

    def __init__(self, name: str, client: str, context: int, seen: int) -> None:
        self.id, self.client, self.context, self.seen, self.messages = name, client, context, seen, 1


class Asking:
    """Makes requests, one after the other in the order of time."""

    def __init__(self, random: Random) -> None:
        """All that is random comes from `random`."""
        self._random = random
        self._habits = lot(_habits())
        self._sessions: dict[tuple[str, str, int], _Session] = {}
        self._traces: dict[str, str] = {}

    def ask(self, moment: int) -> Ask:
        """Make the request of a moment, in ms since 1970."""
        chance = self._random.random
        habit = self._habits[int(chance() * len(self._habits))]
        origin = habit.origin
        streamed = chance() < origin.streamed and habit.model.service.wire is not Wire.EMBEDDINGS
        columns = habit.streamed.copy() if streamed else habit.plain.copy()
        if origin.session:
            prompt, cached, written, messages = self._in_session(habit, moment, columns)
        else:
            prompt = min(int(origin.prompt.at(chance())) + 8, _LONGEST_PROMPT)
            cached, written = self._from_cache(habit, prompt)
            messages = origin.messages[int(chance() * len(origin.messages))]
            columns["client"] = habit.clients[int(chance() * len(habit.clients))]
        if habit.model.service.wire is not Wire.EMBEDDINGS:
            columns["message_count"] = messages
            columns["max_tokens"] = origin.max_tokens[int(chance() * len(origin.max_tokens))]
            columns["temperature"] = origin.temperature[int(chance() * len(origin.temperature))]
            columns["top_p"] = origin.top_p[int(chance() * len(origin.top_p))]
        if origin.trace:
            columns["trace_id"] = self._trace(origin)
            columns["parent_span_id"] = f"{self._random.getrandbits(64) | 1:016x}"
        size = int(prompt * _BYTES_OF_A_TOKEN) + _BYTES_OF_A_MESSAGE * messages + 190
        upload_ms = 0.15 + chance() + size / _BYTES_PER_MS
        columns["request_bytes"] = size
        columns["upload_ms"] = int(upload_ms * 1e6) / 1e6
        if chance() < _CONNECTS_SHARE:
            columns["connect_ms"] = int(_CONNECT_MS.at(chance()) * 1e6) / 1e6
        return Ask(habit, streamed, prompt, cached, written, upload_ms, columns)

    def _in_session(self, habit: Habit, moment: int, columns: Columns) -> tuple[int, int, int, int]:
        """Go on with one of the sessions, or begin another; return prompt, cached, written and messages."""
        random, chance, origin = self._random, self._random.random, habit.origin
        key = origin.name, habit.model.name, int(chance() * _SESSIONS)
        session = self._sessions.get(key)
        if session is None or moment - session.seen > _SESSION_ENDS_MS or chance() * origin.session < 1:
            client = habit.clients[int(chance() * len(habit.clients))]
            session = _Session(_uuid(random.getrandbits(128)), client, _SYSTEM_PROMPT, moment)
            self._sessions[key] = session
        session.seen = moment
        columns["session_id"] = session.id
        columns["client"] = session.client
        known = session.context
        added = min(int(origin.prompt.at(chance())) + 20, _COMPACTED)
        session.context += added
        session.messages += 2
        if session.context > _LONGEST_CONTEXT:
            session.context, session.messages = _COMPACTED, 3
        if not habit.model.caches:
            return known + added, 0, 0, session.messages
        if habit.writes:
            return known + added, known, added - 4, session.messages
        return known + added, known // _STEP * _STEP, 0, session.messages

    def _from_cache(self, habit: Habit, prompt: int) -> tuple[int, int]:
        """Return how much of a prompt is read from a cache, and how much written into one."""
        if prompt < _SHORTEST_CACHED or not habit.model.caches:
            return 0, 0
        chance = self._random.random()
        if chance < _CACHED_SHARE:
            return max(_SHORTEST_CACHED, int(prompt * (0.3 + chance)) // _STEP * _STEP), 0
        if habit.writes and chance > 1 - _WRITTEN_SHARE:
            return 0, prompt - int(prompt * 0.2)
        return 0, 0

    def _trace(self, origin: Origin) -> str:
        trace = self._traces.get(origin.name)
        if trace is None or self._random.random() * origin.trace < 1:
            trace = self._traces[origin.name] = f"{self._random.getrandbits(128) | 1:032x}"
        return trace


def _uuid(bits: int) -> str:
    """Return a random UUID (RFC 9562, version 4) with these 128 bits, but for the six that are fixed."""
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[bits & 3]}{digits[17:20]}-{digits[20:]}"


def _habits() -> list[tuple[Habit, float]]:
    """Return every origin with each of its models, weighted by Zipf's law and by the order of the models."""
    weighted: list[tuple[Habit, float]] = []
    for rank, origin in enumerate(ORIGINS, start=1):
        models = [MODELS[name] for name in origin.models]
        halves = [0.5**place for place in range(len(models))]
        addresses = tuple(f"10.20.{rank}.{number + 11}" for number in range(origin.clients))
        weighted += [
            (_habit(origin, model, addresses), half / sum(halves) / rank)
            for model, half in zip(models, halves, strict=True)
        ]
    return weighted


def _habit(origin: Origin, model: Model, clients: tuple[str, ...]) -> Habit:
    service = model.service
    counts_retries = service.sdk in COUNTS_RETRIES and origin.user_agent is None
    columns: Columns = {
        "model": model.name,
        "origin": origin.name,
        "provider": service.provider,
        "operation": service.operation,
        "host": service.host,
        "http_version": origin.http_version,
        "user_agent": origin.user_agent or USER_AGENTS[service.sdk][origin.language],
        **AGENTS.get(origin.user_agent or "", {}),
        "labels": LABELS.get(origin.name),
        "key_id": f"{crc32(service.host.encode()):016x}",
        "retry_count": 0 if counts_retries else None,
    }
    # Bedrock's clients write the colon of a model's name as %3A.
    name = model.name.replace(":", "%3A")
    plain = columns | {"is_streaming": False, "endpoint": service.plain.format(model=name)}
    streamed = columns | {"is_streaming": True, "endpoint": service.streamed.format(model=name)}
    return Habit(
        origin,
        model,
        plain,
        streamed,
        clients,
        USAGE[service.wire],
        service.wire in _WRITES and model.caches,
        counts_retries,
    )

"""Claude Code's session logs: ~/.claude/projects/FOLDER/SESSION.jsonl, and those of sub-agents below.

A message is written as several lines, one for each of its blocks, all with the same `message.id` and with the usage as
of then: the first ones have the placeholders of the stream's beginning. A session that is resumed copies lines into a
new file. `requestId` is the answer's header `request-id`. `cost-state` has the agent's own sum of a session.
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.recorder.accounts.logged import Log, Logged, Reader, Shape, Stated, added, count, moment, text

AGENT: Final = "claude-code"
_SYNTHETIC: Final = "<synthetic>"  # the model of messages that the agent itself made
_KINDS: Final = frozenset({"user", "assistant", "system", "summary", "attachment", "cost-state", "queue-operation"})


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: Any = None


class _Usage(msgspec.Struct):
    input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_creation: _CacheCreation | None = None
    output_tokens: Any = None


class _Message(msgspec.Struct):
    id: Any = None
    model: Any = None
    usage: _Usage | None = None


class _Line(msgspec.Struct, rename="camel"):
    type: Any = None
    timestamp: Any = None
    session_id: Any = None
    request_id: Any = None
    message: msgspec.Raw = msgspec.Raw()
    total_cost_usd: Any = msgspec.field(default=None, name="totalCostUSD")


_line = msgspec.json.Decoder(_Line).decode
_message = msgspec.json.Decoder(_Message).decode


def _begin(log: Log) -> Reader:
    def read(raw: bytes) -> bool:
        line = _line(raw)
        session = text(line.session_id)
        if session is None or not isinstance(line.type, str):
            return bool(line.type == "summary")
        log.sessions[session] = AGENT
        if line.type == "assistant":
            _add(log, session, line)
        elif line.type == "cost-state" and isinstance(line.total_cost_usd, int | float):
            log.stated[session] = Stated(AGENT, session, float(line.total_cost_usd))
        return line.type in _KINDS

    return read


def _add(log: Log, session: str, line: _Line) -> None:
    message, at = _message(line.message), moment(line.timestamp)
    usage, name = message.usage, text(message.id)
    if usage is None or name is None or at is None or message.model == _SYNTHETIC:
        return
    request = text(line.request_id)
    reads, writes = count(usage.cache_read_input_tokens), count(usage.cache_creation_input_tokens)
    call = Logged(
        agent=AGENT,
        session_id=session,
        at=at,
        request_id=request,
        model=text(message.model),
        input_tokens=added(count(usage.input_tokens), reads, writes),
        cached_tokens=reads,
        cache_write_tokens=writes,
        cache_write_1h_tokens=count(usage.cache_creation.ephemeral_1h_input_tokens) if usage.cache_creation else None,
        output_tokens=count(usage.output_tokens),
    )
    key: tuple[str, ...] = (AGENT, name, session)
    if request is not None:  # a copy in another session's file is the same call if its request says so
        key = log.by_request.setdefault((AGENT, name, request), key)
    log.add(key, call)


SHAPE: Final = Shape(AGENT, _begin)

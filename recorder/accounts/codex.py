"""Codex's session logs: ~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl.

An event `token_count` follows each answer, with the sums of the session so far and the last answer's usage. It is also
written when limits or the context change: then the sums are those of before, and no call was made. The model stands in
the `turn_context` before. No request is named.
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.recorder.accounts.logged import Log, Logged, Reader, Shape, count, moment, text

AGENT: Final = "codex"
_KINDS: Final = frozenset(
    {
        "session_meta",
        "turn_context",
        "event_msg",
        "response_item",
        "compacted",
        "world_state",
        "inter_agent_communication",
    }
)


class _Usage(msgspec.Struct):
    input_tokens: Any = None
    cached_input_tokens: Any = None
    cache_write_input_tokens: Any = None
    output_tokens: Any = None

    def less(self, other: "_Usage | None") -> "_Usage":
        """The difference to the sums in `other`."""
        if other is None:
            return self
        pairs = ((count(getattr(self, name)), count(getattr(other, name))) for name in self.__struct_fields__)
        return _Usage(*(None if mine is None else mine - (its or 0) for mine, its in pairs))


class _Info(msgspec.Struct):
    total_token_usage: _Usage | None = None
    last_token_usage: _Usage | None = None


class _Payload(msgspec.Struct):
    type: Any = None
    id: Any = None
    session_id: Any = None
    model: Any = None
    info: _Info | None = None


class _Line(msgspec.Struct):
    type: Any = None
    timestamp: Any = None
    payload: msgspec.Raw = msgspec.Raw()


_READ: Final = frozenset({"session_meta", "turn_context", "event_msg"})
_line = msgspec.json.Decoder(_Line).decode
_payload = msgspec.json.Decoder(_Payload).decode


class _File:
    """State of one file, after the lines that were read so far."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._session: str | None = None
        self._model: str | None = None
        self._sums: _Usage | None = None

    def read(self, raw: bytes) -> bool:
        line = _line(raw)
        if not isinstance(line.type, str) or line.type not in _KINDS:
            return False
        if line.type not in _READ:
            return True
        try:
            payload = _payload(line.payload)
        except msgspec.ValidationError:  # an event with other fields of these names
            return True
        if line.type == "session_meta":
            self._session = self._session or text(payload.session_id) or text(payload.id)
            if self._session is not None:
                self._log.sessions[self._session] = AGENT
        elif line.type == "turn_context":
            self._model = text(payload.model) or self._model
        elif payload.type == "token_count" and payload.info is not None:
            self._count(payload.info, moment(line.timestamp))
        return True

    def _count(self, info: _Info, at: str | None) -> None:
        sums, before = info.total_token_usage, self._sums
        if sums is not None:
            self._sums = sums
            if sums == before:
                return
        usage = info.last_token_usage or (sums.less(before) if sums else None)
        if usage is None or at is None or self._session is None:
            return
        call = Logged(
            agent=AGENT,
            session_id=self._session,
            at=at,
            model=self._model,
            input_tokens=count(usage.input_tokens),
            cached_tokens=count(usage.cached_input_tokens),
            cache_write_tokens=count(usage.cache_write_input_tokens),
            output_tokens=count(usage.output_tokens),
        )
        self._log.add((AGENT, self._session, at), call)


def _begin(log: Log) -> Reader:
    return _File(log).read


SHAPE: Final = Shape(AGENT, _begin)

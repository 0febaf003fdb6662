"""Conversations as agents have them, with what breaks their caches and what only looks as if it did.

Each plan is words: what happens at each call. `MADE` are the breaks among them, by the cause that the view has to find.
"""

import json
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.rig import ANTHROPIC, MESSAGES, OPENAI, Rig

type Json = dict[str, Any]

MADE: Final = {
    "edit": "edited",  # an old message is another one
    "tools": "edited",  # a tool more: the very beginning
    "model": "model_changed",
    "compact": "compaction",  # a call of that kind, and a summary in place of the conversation
    "forget": "compaction",  # the same without the call
    "wait": "expired",
    "upgrade": "agent_changed",  # another version of the agent, with another system prompt
}
CLAUDE_PLANS: Final = (
    "ask ask ask edit ask ask ask",
    "ask ask tools ask ask ask",
    "ask ask ask model ask ask",
    "ask ask ask ask compact ask ask ask",
    "ask ask ask ask forget ask ask",
    "ask ask wait ask ask",
    "ask ask upgrade ask ask",
    "title ask ask title ask ask title ask",  # auxiliary calls
    "ask agents ask ask agents ask",  # parallel sub-agents, by their ids
    "ask paste ask paste ask",  # much that is new: the share falls, and nothing is lost
    "small small small small",  # below the least that is cached
    "ask ask edit ask agents title paste ask model ask ask",
    "title ask agents ask compact ask ask edit ask",
)
QWEN_PLANS: Final = (  # sub-agents say nothing of themselves
    "ask ask ask helper ask ask",
    "ask ask helper ask helper ask",
    "ask agents ask ask",
    "ask ask edit ask helper ask",
)
CODEX_PLANS: Final = (
    "ask ask ask ask ask ask ask ask ask ask",
    "ask ask ask edit ask ask ask",
    "ask ask agents ask ask ask ask",
    "ask ask ask tools ask ask ask",
    "ask ask ask ask compact ask ask ask ask",
    "ask paste ask ask paste ask ask ask",
    "ask ask ask ask model ask ask ask",
    "ask ask ask ask ask ask ask ask ask ask ask ask",
)
PLANS: Final = {"claude-code": CLAUDE_PLANS, "qwen-code": QWEN_PLANS, "codex": CODEX_PLANS}
_WORD: Final = ("river", "stone", "lamp", "paper", "cloud", "engine", "table", "winter", "copper", "signal")
_MARK: Final = {"cache_control": {"type": "ephemeral"}}


@dataclass
class Conversation:
    """One session of one agent; `made` are the breaks: the number of the session's call, and the word of the plan."""

    rig: Rig
    agent: str
    plan: str
    pause: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    made: dict[str, str] = field(default_factory=dict)
    """By `x-request-id`, which comes back in the row."""
    calls: int = 0

    def __post_init__(self) -> None:
        """Begin with a system prompt and tools that no other conversation has."""
        self._random = random.Random(self.id)
        self._model = {"codex": "gpt-5.1"}.get(self.agent, "claude-sonnet-4-5")
        self._version = "1.0.0"
        self._system = self._words(900)
        self._tools = [self._tool(number) for number in range(12)]
        self._messages: list[str] = []
        self._agents = 0

    def run(self) -> None:
        """Have the conversation."""
        for word in self.plan.split():
            getattr(self, f"do_{word}")()

    def do_ask(self, word: str = "") -> None:
        """Go on."""
        self._messages.append(self._words(500))
        self._call(self._messages, word=word)
        self._messages.append(self._words(60))

    def do_paste(self) -> None:
        """Say much that is new."""
        self._messages.append(self._words(4_000))
        self.do_ask()

    def do_small(self) -> None:
        """Go on with less than is cached."""
        self._system, self._tools = "Be brief.", []
        self._messages.append(self._words(20))
        self._call(self._messages)
        self._messages.append(self._words(20))

    def do_edit(self) -> None:
        """Change what was said first."""
        self._messages[0] = self._words(500)
        self.do_ask("edit")

    def do_tools(self) -> None:
        """Have a tool more, before all others."""
        self._tools = [self._tool(len(self._tools)), *self._tools]
        self.do_ask("tools")

    def do_model(self) -> None:
        """Go on with another model."""
        self._model = {"gpt-5.1": "gpt-5.1-codex"}.get(self._model, "claude-opus-4-5")
        self.do_ask("model")

    def do_upgrade(self) -> None:
        """Go on with a newer version of the agent."""
        self._version, self._system = "1.0.1", self._words(900)
        self.do_ask("upgrade")

    def do_compact(self) -> None:
        """Have the conversation summed up, and go on with that."""
        self._call([*self._messages, "Sum this up."], kind="compaction", tools=False)
        self.do_forget("compact")

    def do_forget(self, word: str = "forget") -> None:
        """Go on with a summary."""
        self._messages = [self._words(900)]
        self.do_ask(word)

    def do_wait(self) -> None:
        """Go on after the cache's time."""
        time.sleep(self.pause)
        self.do_ask("wait")

    def do_title(self) -> None:
        """Ask a small model for a title."""
        self._call([self._words(20)], kind="auxiliary", tools=False)

    def do_helper(self, agent_id: str = "") -> None:
        """Another agent works, for three calls."""
        messages = []
        for _ in range(3):
            messages.append(self._words(300))
            self._call(messages, agent_id=agent_id, kind="subagent", system="You help. " + self._system[:4_000])
            messages.append(self._words(60))

    def do_agents(self) -> None:
        """Have three agents work at once."""
        helpers = []
        for _ in range(3):
            self._agents += 1
            helpers.append(threading.Thread(target=self.do_helper, args=(f"agent-{self._agents}",)))
        for helper in helpers:
            helper.start()
        for helper in helpers:
            helper.join()

    def _call(  # noqa: PLR0913 - what calls differ in
        self,
        messages: list[str],
        *,
        word: str = "",
        kind: str = "main",
        agent_id: str = "",
        tools: bool = True,
        system: str = "",
    ) -> None:
        request_id = str(uuid.uuid4())
        if word:
            self.made[request_id] = word
        self.calls += 1
        make = self._codex if self.agent == "codex" else self._claude
        host, path, headers, body = make(messages, kind, agent_id, system or self._system, tools=tools)
        headers += [("content-type", "application/json"), ("x-made-up-id", request_id)]
        reply = self.rig.ask(json.dumps(body).encode(), host=host, path=path, headers=headers)
        if reply.status != 200:
            message = f"{reply.status}: {reply.body!r}"
            raise RuntimeError(message)

    def _claude(
        self, messages: list[str], kind: str, agent_id: str, system: str, *, tools: bool
    ) -> tuple[str, str, list[tuple[str, str]], Json]:
        if self.agent == "qwen-code":  # through Anthropic's format, as a gateway would have it
            headers = [("user-agent", f"QwenCode/{self._version}")]
        else:
            headers = [
                ("user-agent", f"claude-cli/{self._version}"),
                ("x-claude-code-session-id", self.id),
                ("x-claude-code-request-class", kind),
                *([("x-claude-code-agent-id", agent_id)] if agent_id else []),
            ]
        turns: list[Json] = [
            {"role": "assistant" if at % 2 else "user", "content": [{"type": "text", "text": text}]}
            for at, text in enumerate(messages)
        ]
        if tools:
            turns[-1]["content"][-1] |= _MARK
        body: Json = {
            "model": "claude-haiku-4-5" if kind == "auxiliary" else self._model,
            "max_tokens": 100,
            "system": [{"type": "text", "text": system} | (_MARK if tools else {})],
            "messages": turns,
            "metadata": {"sessionId": self.id, "user_id": "x"},
        }
        if tools:
            body["tools"] = [dict(tool) for tool in self._tools]
        return ANTHROPIC, MESSAGES, headers, body

    def _codex(
        self, messages: list[str], kind: str, agent_id: str, system: str, *, tools: bool
    ) -> tuple[str, str, list[tuple[str, str]], Json]:
        turn = {"request_kind": {"main": "turn", "subagent": "turn"}.get(kind, kind), "session_id": self.id}
        headers = [
            ("user-agent", f"codex_cli_rs/{self._version}"),
            ("session-id", self.id),
            ("thread-id", agent_id or self.id),
            ("x-codex-turn-metadata", json.dumps(turn)),
            *([("x-codex-parent-thread-id", self.id), ("x-openai-subagent", "review")] if agent_id else []),
        ]
        turns = [
            {
                "role": "assistant" if at % 2 else "user",
                "content": [{"type": "output_text" if at % 2 else "input_text", "text": text}],
            }
            for at, text in enumerate(messages)
        ]
        body: Json = {"model": self._model, "instructions": system, "input": turns}
        if tools:
            body["tools"] = [dict(tool) for tool in self._tools]
        return OPENAI, "/v1/responses", headers, body

    def _words(self, count: int) -> str:
        return " ".join(f"{self._random.choice(_WORD)}{self._random.randrange(10_000)}" for _ in range(count))

    def _tool(self, number: int) -> Json:
        return {"name": f"tool_{number}", "description": self._words(40), "input_schema": {"type": "object"}}

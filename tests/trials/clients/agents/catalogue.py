"""The agents that are tried: what is installed, which line runs them, what their rows have to say of them."""

from typing import Final

from tests.trials.clients.agents.agent import MORE, SAID, Agent, Compaction
from tests.trials.clients.agents.dialects import Json

_OPENAI = {"OPENAI_API_KEY": "sk-made-up"}
_ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-ant-made-up"}
_ON_NODE = ("HTTPS_PROXY", "NODE_USE_ENV_PROXY")
_BOTH = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
_MAIN: frozenset[str | None] = frozenset({"main"})
_AND_AUXILIARY: frozenset[str | None] = frozenset({"main", "auxiliary"})
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

_COPILOT_USER: Json = {
    "login": "ada",
    "chat_enabled": True,
    "cli_enabled": True,
    "copilot_plan": "individual_pro",
    "organization_list": [],
    "endpoints": {
        "api": "https://api.githubcopilot.com",
        "telemetry": "https://telemetry.individual.githubcopilot.com",
    },
}
_COPILOT_MODEL: Json = {
    "id": "gpt-5.5",
    "name": "GPT-5.5",
    "object": "model",
    "vendor": "OpenAI",
    "version": "gpt-5.5",
    "model_picker_enabled": True,
    "policy": {"state": "enabled", "terms": ""},
    "supported_endpoints": ["/responses"],
    "capabilities": {
        "family": "gpt-5.5",
        "type": "chat",
        "limits": {"max_context_window_tokens": 128000, "max_output_tokens": 16384, "max_prompt_tokens": 128000},
        "supports": {"parallel_tool_calls": True, "streaming": True, "tool_calls": True},
    },
}
_SHELL = """def shell(command: str) -> str:
    "Run a command."
    import subprocess
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout
"""

AGENTS: Final = (
    Agent(
        id="claude-code",
        name="claude-code",
        kind="node",
        node="26",
        packages=("@anthropic-ai/claude-code",),
        command=("claude", "-p", SAID, "--allowedTools", "Bash", "Agent", "--output-format", "json", MORE),
        keys=_ANTHROPIC,
        trusts=_BOTH,
        session=rf'"session_id":"({_UUID})"',
        kinds=_MAIN,
        compaction=Compaction(
            words=("--model", "claude-haiku-4-5"),
            variables={"CLAUDE_CODE_AUTO_COMPACT_WINDOW": "100000"},
            room=190_000,
        ),
        delegates=True,
    ),
    Agent(
        id="claude-agent-sdk",
        name="claude-code",
        packages=("claude-agent-sdk",),
        command=("python", "python_claude_agent_sdk.py", SAID),
        keys=_ANTHROPIC,
        trusts=_BOTH,
        session=rf"({_UUID})",
        has_own_version=False,  # that of the Claude Code in it
        kinds=_AND_AUXILIARY,
    ),
    Agent(
        id="codex",
        name="codex",
        kind="node",
        node="26",
        packages=("@openai/codex",),
        command=(
            *("codex", "exec", "-m", "gpt-5.5", "--skip-git-repo-check", "--json"),
            *("--sandbox", "danger-full-access", MORE, SAID),
        ),
        keys=_OPENAI | {"CODEX_API_KEY": "sk-made-up"},
        session=rf'"thread_id":"({_UUID})"',
        kinds=frozenset({"main", "prewarm"}),
        compaction=Compaction(
            words=("-c", "model_auto_compact_token_limit=500000"), kinds=frozenset({"main", "prewarm", "compaction"})
        ),
        upgrades=True,
    ),
    Agent(
        id="opencode",
        name="opencode",
        kind="node",
        node="26",
        packages=("opencode-ai",),
        command=("opencode", "run", "--format", "json", "-m", "anthropic/claude-sonnet-4-5", SAID),
        keys=_ANTHROPIC,
        trusts=_BOTH,
        session=r'"sessionID":"(ses_\w+)"',
        own_sessions=True,
        kinds=_AND_AUXILIARY,
        delegates=True,
    ),
    Agent(
        id="gemini-cli",
        name="gemini-cli",
        kind="node",
        node="26",
        packages=("@google/gemini-cli",),
        command=("gemini", "--skip-trust", "-y", "-m", "gemini-2.5-flash", "-o", "json", "-p", SAID),
        keys={"GEMINI_API_KEY": "AIza-made-up"},
        needs=_ON_NODE,
        trusts=("NODE_EXTRA_CA_CERTS",),
        kinds=_MAIN,
    ),
    Agent(
        id="gemini-cli-login",
        name="gemini-cli",
        kind="node",
        node="26",
        packages=("@google/gemini-cli",),
        command=("gemini", "--skip-trust", "-y", "-m", "gemini-2.5-flash", "-o", "json", "-p", SAID),
        keys={
            "GOOGLE_GENAI_USE_GCA": "true",
            "GOOGLE_CLOUD_ACCESS_TOKEN": "ya29.made-up",
            "GOOGLE_CLOUD_PROJECT": "shop-4711",
        },
        also={
            "POST /v1internal:loadCodeAssist": {
                "currentTier": {"id": "standard-tier", "name": "standard"},
                "cloudaicompanionProject": "shop-4711",
            },
            "POST /v1internal:listExperiments": {"experimentIds": [], "flags": []},
            "POST /v1internal:retrieveUserQuota": {"buckets": []},
        },
        needs=_ON_NODE,
        trusts=("NODE_EXTRA_CA_CERTS",),
        session=rf'"session_id": "({_UUID})"',
        says={"project": "shop-4711"},
        kinds=_MAIN,
        note="with a Google login",
    ),
    Agent(
        id="qwen-code",
        name="qwen-code",
        kind="node",
        node="26",
        packages=("@qwen-code/qwen-code",),
        command=("qwen", "-y", "--auth-type", "openai", "-m", "gpt-5.5", "-o", "json", "-p", SAID),
        keys=_OPENAI | {"OPENAI_BASE_URL": "https://api.openai.com/v1"},
        trusts=("NODE_EXTRA_CA_CERTS",),
        kinds=_MAIN,
    ),
    Agent(
        id="copilot-cli",
        name="copilot-cli",
        kind="node",
        node="26",
        packages=("@github/copilot",),
        command=("copilot", "--allow-all-tools", "--model", "gpt-5.5", "--output-format", "json", "-p", SAID),
        keys={"COPILOT_GITHUB_TOKEN": "github_pat_made_up"},
        also={
            "GET /copilot_internal/user": _COPILOT_USER,
            "GET /models": {"object": "list", "data": [_COPILOT_MODEL]},
        },
        session=rf'"sessionId":"({_UUID})"',
        kinds=_MAIN,
        delegates=True,
    ),
    Agent(
        id="pi",
        name="pi",
        kind="node",
        node="26",
        packages=("@earendil-works/pi-coding-agent",),
        command=("pi", "--provider", "openai", "--model", "gpt-5.5", "--mode", "json", "-p", SAID),
        keys=_OPENAI,
        needs=_ON_NODE,
        trusts=("NODE_EXTRA_CA_CERTS",),
        session=rf'"type":"session".*?"id":"({_UUID})"',
        kinds=_MAIN,
    ),
    Agent(
        id="openai-agents",
        name="openai-agents",
        packages=("openai-agents",),
        command=("python", "python_openai_agents.py", SAID),
        keys=_OPENAI,
        trusts=("SSL_CERT_FILE",),
    ),
    Agent(
        id="cline",
        name=None,
        kind="node",
        node="26",
        packages=("cline",),
        command=("cline", "--json", "-P", "openai-native", "-k", "sk-made-up", "-m", "gpt-5.5", SAID),
        before=(("cline", "auth", "-p", "openai-native", "-k", "sk-made-up", "-m", "gpt-5.5"),),
        after=(("cline", "hub", "stop"),),
        trusts=_BOTH,
    ),
    Agent(
        id="continue",
        name=None,
        kind="node",
        node="26",
        packages=("@continuedev/cli",),
        command=("cn", "--auto", "-p", SAID),
        keys=_ANTHROPIC,
        trusts=("NODE_EXTRA_CA_CERTS",),
    ),
    Agent(
        id="aider",
        name=None,
        packages=("aider-chat",),
        python="3.11",
        command=(
            *("aider", "--model", "openai/gpt-4o", "--edit-format", "whole", "--yes-always", "--no-git"),
            *("--no-check-update", "--no-show-model-warnings", "--no-show-release-notes", "--message", SAID),
        ),
        keys=_OPENAI,
        has_tools=False,
    ),
    Agent(
        id="llm",
        name=None,
        packages=("llm",),
        command=("llm", "-m", "gpt-4o-mini", "--functions", _SHELL, SAID),
        keys=_OPENAI,
    ),
    Agent(
        id="gptme",
        name=None,
        packages=("gptme",),
        command=("gptme", "--non-interactive", "-m", "openai/gpt-5.5", SAID),
        keys=_OPENAI,
    ),
)

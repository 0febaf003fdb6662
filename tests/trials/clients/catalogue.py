"""The clients: what is installed, which program runs, which variables it needs, what it has to be recorded as.

Everything else, the table of docs/clients.md as well, is made from this.
"""

from collections.abc import Iterable
from typing import Final

from tests.trials.clients.client import Call, Client

_OPENAI = {"OPENAI_API_KEY": "sk-made-up"}
_ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-ant-made-up"}
_GEMINI = {"GEMINI_API_KEY": "AIza-made-up"}
_AWS = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_DEFAULT_REGION": "eu-central-1"}


def _calls(plain: tuple[str, str], stream: tuple[str, str]) -> tuple[Call, ...]:
    return Call(*plain), Call(*stream)


def _as_bytes(calls: Iterable[Call]) -> tuple[Call, ...]:
    return tuple(Call(call.case, None) for call in calls)


_CHAT = _calls(("openai/chat_plain", "Rhine, Elbe, Oder."), ("openai/chat_stream_role_first", "Rhine, Elbe, Oder."))
_RESPONSES = _calls(
    ("openai/responses_plain_in_full", "Rhine, Elbe."), ("openai/responses_stream_in_full", "Rhine, Elbe.")
)
_MESSAGES = _calls(("anthropic/messages_plain_cache", "Rhine."), ("anthropic/messages_stream", "Rhine, Elbe."))
_GENERATE = _calls(("gemini/generate_plain", "Rhine."), ("gemini/generate_stream_sse", "Rhine"))
_MISTRAL = _calls(
    ("openai_compatible/mistral_plain", "Rhine, Elbe."), ("openai_compatible/mistral_stream", "Rhine, Elbe.")
)
_COHERE = _calls(("cohere/chat_v2_plain", "Rhine."), ("cohere/chat_v2_stream", "Rhine."))
_CONVERSE = _calls(("bedrock/converse_plain", "Rhine."), ("bedrock/converse_stream", "Rhine"))
_OLLAMA = _calls(("ollama/chat_plain", "Rhine."), ("ollama/chat_stream", "Rhine."))

_PYTHON = (
    Client(
        id="openai",
        program="python_openai.py",
        packages=("openai",),
        calls=_CHAT,
        agent="OpenAI/Python",
        keys=_OPENAI,
    ),
    Client(
        id="openai-reverse",
        program="python_openai.py",
        packages=("openai",),
        calls=_CHAT,
        agent="OpenAI/Python",
        keys=_OPENAI,
        needs=("OPENAI_BASE_URL",),
        trusts=(),
        mode="reverse:https://api.openai.com",
    ),
    Client(
        id="anthropic",
        program="python_anthropic.py",
        packages=("anthropic",),
        calls=_MESSAGES,
        agent="Anthropic/Python",
        keys=_ANTHROPIC,
    ),
    Client(
        id="google-genai",
        program="python_google_genai.py",
        packages=("google-genai",),
        calls=_GENERATE,
        agent="google-genai-sdk/",
        keys=_GEMINI,
    ),
    Client(
        id="google-genai-async",
        note="`client.aio`",
        program="python_google_genai_async.py",
        packages=("google-genai[aiohttp]",),
        calls=_GENERATE,
        agent="google-genai-sdk/",
        keys=_GEMINI,
    ),
    Client(
        id="mistralai",
        program="python_mistralai.py",
        packages=("mistralai",),
        calls=_MISTRAL,
        agent="mistral-client-python/",
        keys={"MISTRAL_API_KEY": "made-up"},
    ),
    Client(
        id="cohere",
        program="python_cohere.py",
        packages=("cohere",),
        calls=_COHERE,
        agent="cohere",
        keys={"CO_API_KEY": "made-up"},
    ),
    Client(
        id="boto3",
        note="`bedrock-runtime`",
        program="python_boto3.py",
        packages=("boto3",),
        calls=_CONVERSE,
        agent="Boto3/",
        keys=_AWS,
        trusts=("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    ),
    Client(
        id="ollama",
        program="python_ollama.py",
        packages=("ollama",),
        calls=_OLLAMA,
        agent="ollama-python/",
        needs=("HTTP_PROXY",),
        trusts=(),
    ),
    Client(
        id="ollama-reverse",
        program="python_ollama.py",
        packages=("ollama",),
        calls=_OLLAMA,
        agent="ollama-python/",
        needs=("OLLAMA_HOST",),
        trusts=(),
        mode="reverse:http://localhost:11434",
    ),
    Client(
        id="litellm",
        note="`completion()`",
        program="python_litellm.py",
        packages=("litellm",),
        calls=_CHAT + _MESSAGES,
        agent="",
        keys=_OPENAI | _ANTHROPIC,
    ),
    Client(
        id="litellm-async",
        note="`acompletion()`",
        program="python_litellm_async.py",
        packages=("litellm",),
        calls=_CHAT + _MESSAGES,
        agent="",
        keys=_OPENAI | _ANTHROPIC,
    ),
    Client(
        id="requests",
        program="python_requests.py",
        packages=("requests",),
        calls=_CHAT,
        agent="python-requests/",
        keys=_OPENAI,
        trusts=("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ),
    Client(
        id="httpx",
        program="python_httpx.py",
        packages=("httpx",),
        calls=_CHAT,
        agent="python-httpx/",
        keys=_OPENAI,
    ),
    Client(
        id="aiohttp",
        program="python_aiohttp.py",
        packages=("aiohttp",),
        calls=_CHAT,
        agent="Python/",
        keys=_OPENAI,
        code="`ClientSession(trust_env=True)`",
    ),
    Client(
        id="aiohttp-bare",
        program="python_aiohttp_bare.py",
        packages=("aiohttp",),
        calls=_CHAT,
        agent="Python/",
        keys=_OPENAI,
        passes=False,
    ),
)
_ON_NODE, _NODE_CA = ("HTTPS_PROXY", "NODE_USE_ENV_PROXY"), ("NODE_EXTRA_CA_CERTS",)
_NODE = (
    *(
        Client(
            id=f"node{version}-openai",
            kind="node",
            node=version,
            program="node_openai.mjs",
            packages=("openai",),
            calls=_CHAT,
            agent="OpenAI/JS",
            keys=_OPENAI,
            needs=_ON_NODE,
            trusts=_NODE_CA,
            passes=version != "20",
        )
        for version in ("26", "24", "22", "20")
    ),
    Client(
        id="node20-openai-undici",
        kind="node",
        node="20",
        program="node_openai_undici.mjs",
        packages=("openai", "undici@7"),
        calls=_CHAT,
        agent="OpenAI/JS",
        keys=_OPENAI,
        trusts=_NODE_CA,
        code="undici's `fetch` with `EnvHttpProxyAgent`",
    ),
    Client(
        id="node26-anthropic",
        kind="node",
        node="26",
        program="node_anthropic.mjs",
        packages=("@anthropic-ai/sdk",),
        calls=_MESSAGES,
        agent="Anthropic/JS",
        keys=_ANTHROPIC,
        needs=_ON_NODE,
        trusts=_NODE_CA,
    ),
    Client(
        id="node26-vercel-ai",
        kind="node",
        node="26",
        program="node_vercel_ai.mjs",
        packages=("ai", "@ai-sdk/openai"),
        calls=_RESPONSES,
        agent="ai",
        keys=_OPENAI,
        needs=_ON_NODE,
        trusts=_NODE_CA,
    ),
)
_CURL = (
    Client(
        id="curl",
        kind="sh",
        program="curl_openai.sh",
        calls=_as_bytes(_CHAT),
        agent="curl/",
        keys=_OPENAI,
        trusts=("SSL_CERT_FILE", "CURL_CA_BUNDLE"),
    ),
    Client(
        id="curl-http",
        note="plain HTTP",
        kind="sh",
        program="curl_ollama.sh",
        calls=_as_bytes(_OLLAMA),
        agent="curl/",
        needs=("http_proxy",),
        trusts=(),
    ),
)

CLIENTS: Final = (*_PYTHON, *_NODE, *_CURL)

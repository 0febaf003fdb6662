"""The registry of wire formats: `match` tells which one a request speaks, `read_usage` what a stored usage means.

A new provider is one file here, one line in `_FORMATS`, and one folder of fixtures; a new host of a known format is
one line in `hosts.csv`.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

from llm_metrics_proxy.addon.providers import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    cohere,
    dashscope,
    gemini,
    gemini_interactions,
    mistral_conversations,
    mistral_ocr,
    ollama,
    openai_chat,
    openai_embeddings,
    openai_media,
    openai_responses,
    rerank,
    vertex_predict,
    voyage,
    watsonx,
    workers_ai,
)
from llm_metrics_proxy.addon.providers.format import LONGEST_PATH, Route, WireFormat, normalised
from llm_metrics_proxy.addon.providers.hosts import name_of, provider_of
from llm_metrics_proxy.addon.providers.usage import Consumed, Usage
from llm_metrics_proxy.addon.providers.values import text

# The first pattern that is found in the path decides. A group `model` names the model that the path asks for. Where
# two APIs share a path, the provider's name tells them apart: the third entry, if any, is the only one it holds for.
_DEPLOYMENT = r"(?:/deployments/(?P<model>[^/]+)(?:/extensions)?)?"
_WATSONX = r"/ml/v1(?:/deployments/(?P<model>[^/]+))?/text/"
_WORKERS_AI = r"/(?:ai/run|workers-ai)/(?P<model>@[a-z]+/[^/]+/"
_GOOGLE = r"/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+)"
_FORMATS: tuple[tuple[str, WireFormat, str | None], ...] = (
    (r"/v1/chat$", cohere.CHAT, "cohere"),
    (r"/v1/generate$", cohere.GENERATE, "cohere"),
    (r"/v2/chat$", cohere.CHAT, None),
    (r"/v[12]/embed$", cohere.EMBED, None),
    (r"/api/chat$", ollama.CHAT, None),
    (r"/api/generate$", ollama.GENERATE, None),
    (r"/api/(?:embed|embeddings)$", ollama.EMBED, None),
    (r"/openai/chat/completions$", openai_chat.GOOGLE_CHAT, "gcp.gemini"),
    (r"/endpoints/openapi/chat/completions$", openai_chat.GOOGLE_CHAT, "gcp.vertex_ai"),
    (_WATSONX + r"chat$", watsonx.CHAT, None),
    (_WATSONX + r"chat_stream$", watsonx.CHAT_STREAM, None),
    (_WATSONX + r"generation$", watsonx.GENERATION, None),
    (_WATSONX + r"generation_stream$", watsonx.GENERATION_STREAM, None),
    (_WATSONX + r"embeddings$", watsonx.EMBEDDINGS, None),
    (_WATSONX + r"rerank$", watsonx.RERANK, None),
    (_DEPLOYMENT + r"/chat/completions$", openai_chat.CHAT, None),
    (r"/agents/completions$", openai_chat.CHAT, "mistral_ai"),
    (r"/conversations(?:/[^/]+(?:/restart)?)?$", mistral_conversations.CONVERSATIONS, "mistral_ai"),
    (r"/text/chatcompletion_v2$", openai_chat.CHAT, None),  # MiniMax
    (r"/services/aigc/(?:text|multimodal)-generation/generation$", dashscope.GENERATION, None),
    (r"/services/embeddings/text-embedding/text-embedding$", dashscope.EMBEDDINGS, None),
    (r"/v1/chat$", openai_chat.CHAT, None),
    (_DEPLOYMENT + r"/completions$", openai_chat.COMPLETIONS, None),
    (_DEPLOYMENT + r"/embeddings$", openai_embeddings.EMBEDDINGS, None),
    (_DEPLOYMENT + r"/images/(?:generations|edits|variations)$", openai_media.IMAGES, None),
    (r"/images$", openai_media.IMAGES, "openrouter"),
    (_DEPLOYMENT + r"/audio/speech$", openai_media.SPEECH, None),
    (_DEPLOYMENT + r"/audio/(?:transcriptions|translations)$", openai_media.TRANSCRIPTION, None),
    (r"/responses(?:/compact)?$", openai_responses.RESPONSES, None),
    (r"/decisions$", openai_responses.DECISIONS, "openai"),
    (r"^(?!.*/threads/).*/messages$", anthropic_messages.MESSAGES, None),  # OpenAI's threads have messages too
    (
        r"/publishers/anthropic/models/(?P<model>(?!count-tokens:)[^/:]+):(?:rawPredict|streamRawPredict)$",
        anthropic_messages.MESSAGES,
        None,
    ),
    # Mistral, AI21, and whoever comes.
    (
        r"/publishers/(?!anthropic/|google/)[^/]+/models/(?P<model>[^/:]+):(?:rawPredict|streamRawPredict)$",
        openai_chat.CHAT,
        None,
    ),
    (r"/serving-endpoints/(?P<model>[^/]+)/invocations$", openai_chat.CHAT, None),  # Databricks
    (_GOOGLE + r":generateContent$", gemini.VERTEX_GENERATE, "gcp.vertex_ai"),
    (_GOOGLE + r":streamGenerateContent$", gemini.VERTEX_STREAM_GENERATE, "gcp.vertex_ai"),
    (_GOOGLE + r":generateContent$", gemini.GENERATE, None),
    (_GOOGLE + r":streamGenerateContent$", gemini.STREAM_GENERATE, None),
    (_GOOGLE + r":(?:embedContent|batchEmbedContents)$", gemini.EMBED, None),
    (r"/publishers/google/models/(?P<model>[^/:]*embedding[^/:]*):predict$", vertex_predict.EMBEDDINGS, None),
    (r"/models/(?P<model>imagen[^/:]*):predict$", vertex_predict.IMAGES, None),
    (r"/v1internal:generateContent$", gemini.GENERATE, None),
    (r"/v1internal:streamGenerateContent$", gemini.STREAM_GENERATE, None),
    (r"/interactions$", gemini_interactions.INTERACTIONS, None),
    (r"/model/(?P<model>[^/]+)/converse$", bedrock_converse.CONVERSE, None),
    (r"/model/(?P<model>[^/]+)/converse-stream$", bedrock_converse.CONVERSE_STREAM, None),
    (r"/model/(?P<model>[^/]*embed[^/]*)/invoke$", bedrock_invoke.EMBED, None),
    (r"/model/(?P<model>[^/]*rerank[^/]*)/invoke$", bedrock_invoke.RERANK, None),
    (r"/model/(?P<model>[^/]*(?:stability\.|nova-canvas|titan-image)[^/]*)/invoke$", bedrock_invoke.IMAGES, None),
    (r"/model/(?P<model>[^/]+)/invoke$", bedrock_invoke.INVOKE, None),
    (r"/model/(?P<model>[^/]+)/invoke-with-response-stream$", bedrock_invoke.INVOKE_STREAM, None),
    (_WORKERS_AI + r"[^/]*(?:bge|embed)[^/]*)$", workers_ai.EMBEDDINGS, None),
    (_WORKERS_AI + r"[^/]+)$", workers_ai.GENERATION, None),
    (r"/rerank$", rerank.RERANK, None),
    (r"/ocr$", mistral_ocr.OCR, None),
    (r"/(?:multimodal|contextualized)embeddings$", voyage.MULTIMODAL, None),
)

_READERS = tuple(dict.fromkeys(wire_format.usage_keys for _, wire_format, only in _FORMATS if only is None))

_LONGEST_REMEMBERED = 256  # characters of a path: what is remembered is bounded

_COMPILED = tuple((re.compile(pattern), wire_format, provider) for pattern, wire_format, provider in _FORMATS)


def match(host: str, port: int, path: str, *, named: bool = False) -> Route[WireFormat] | None:
    """Return where a POST to `path` (without query) at an address goes; None if it is no LLM's API.

    `named` says that somebody named the host as an LLM's.
    """
    if len(path) > LONGEST_PATH:
        return None
    look_up = _match if len(path) <= _LONGEST_REMEMBERED else _match.__wrapped__
    return look_up(host, port, normalised(path), named)


def read_usage(usage: Usage, host: str, path: str) -> Consumed:
    """Read a stored usage as it was read when it was recorded, by the format that is spoken at an address.

    `host` is with port, `path` without query. Where no format is, or it finds nothing, that which finds most reads it.
    """
    name, _, port = host.rpartition(":")
    route = match(name or host, int(port) if port.isdecimal() else 0, path, named=True)
    if route is not None and (consumed := route.usage_reader.read(usage)).counted:
        return consumed
    return max((reader.read(usage) for reader in _READERS), key=lambda consumed: len(consumed.counted))


@lru_cache(maxsize=1024)  # clients ask the same few addresses all day
def _match(host: str, port: int, path: str, named: bool) -> Route[WireFormat] | None:  # noqa: FBT001 - internal
    provider = provider_of(host)
    for pattern, wire_format, only in _COMPILED:
        if (only is None or only == provider) and (found := pattern.search(path)):
            model = found.groupdict().get("model")
            return Route(
                provider=name_of(host, port),
                operation=wire_format.operation,
                usage_reader=wire_format.usage_keys,
                model=text(unquote(model)) if model else None,
                known_host=named or provider is not None,
                speaks=wire_format,
            )
    return None

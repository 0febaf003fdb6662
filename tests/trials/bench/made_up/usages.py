"""Token counts of providers: the usage as each writes it, and the columns that the recorder reads from it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.trials.bench.made_up.catalogue import Price, Wire

type Columns = dict[str, Any]
type Usage = Callable[["Counts", Price | None], Columns]
"""Makes the columns of a complete answer."""


class Counts(NamedTuple):
    """Tokens of one call; the prompt with what was cached and written, the completion with the reasoning."""

    prompt: int
    cached: int
    written: int
    completion: int
    reasoning: int

    def cost(self, price: Price) -> tuple[int, int]:
        """Return what prompt and completion cost, in billionths of a dollar: rounding decimals takes long."""
        prompt, cached, written, completion, _ = self
        asked = (prompt - cached - written) * price.fresh + cached * price.cached + written * price.written
        return int(asked * 1_000), int(completion * price.completion * 1_000)


def _chat(counts: Counts, _price: Price | None) -> Columns:
    prompt, cached, _, completion, reasoning = counts
    total = prompt + completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "cached_tokens": cached,
        "reasoning_tokens": reasoning,
        "usage": f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},'
        f'"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":'
        f'{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,'
        '"rejected_prediction_tokens":0}}',
    }


def _responses(counts: Counts, _price: Price | None) -> Columns:
    prompt, cached, _, completion, reasoning = counts
    total = prompt + completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "cached_tokens": cached,
        "cache_write_tokens": 0,
        "reasoning_tokens": reasoning,
        "usage": f'{{"input_tokens":{prompt},"input_tokens_details":{{"cache_write_tokens":0,"cached_tokens":{cached}}}'
        f',"output_tokens":{completion},"output_tokens_details":{{"reasoning_tokens":{reasoning}}},'
        f'"total_tokens":{total}}}',
    }


def _embeddings(counts: Counts, _price: Price | None) -> Columns:
    prompt = counts.prompt
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt,
        "usage": f'{{"prompt_tokens":{prompt},"total_tokens":{prompt}}}',
    }


def _messages(counts: Counts, _price: Price | None) -> Columns:
    prompt, cached, written, completion, reasoning = counts
    said = f',"output_tokens_details":{{"thinking_tokens":{reasoning}}}' if reasoning else ""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoning or None,
        "usage": f'{_input(counts)},"service_tier":"standard","output_tokens":{completion}{said}}}',
    }


def _input(counts: Counts) -> str:
    prompt, cached, written, _, _ = counts
    return (
        f'{{"input_tokens":{prompt - cached - written},"cache_creation_input_tokens":{written},'
        f'"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":{written},'
        '"ephemeral_1h_input_tokens":0}'
    )


def _gemini(counts: Counts, _price: Price | None) -> Columns:
    prompt, cached, _, completion, reasoning = counts
    total = prompt + completion
    hit = (
        f',"cachedContentTokenCount":{cached},"cacheTokensDetails":[{{"modality":"TEXT","tokenCount":{cached}}}]'
        if cached
        else ""
    )
    thought = f',"thoughtsTokenCount":{reasoning}' if reasoning else ""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "cached_tokens": cached or None,
        "reasoning_tokens": reasoning or None,
        "usage": f'{{"promptTokenCount":{prompt},"candidatesTokenCount":{completion - reasoning},'
        f'"totalTokenCount":{total}{hit},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":{prompt}}}]{thought},'
        '"serviceTier":"standard"}',
    }


def _converse(counts: Counts, _price: Price | None) -> Columns:
    prompt, cached, written, completion, _ = counts
    total = prompt + completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "usage": f'{{"cacheReadInputTokenCount":{cached},"cacheReadInputTokens":{cached},'
        f'"cacheWriteInputTokenCount":{written},"cacheWriteInputTokens":{written},'
        f'"inputTokens":{prompt - cached - written},"outputTokens":{completion},"serverToolUsage":{{}},'
        f'"totalTokens":{total}}}',
    }


def _openrouter(counts: Counts, price: Price | None) -> Columns:
    prompt, cached, written, completion, reasoning = counts
    total = prompt + completion
    asked, answered = counts.cost(price) if price is not None else (0, 0)
    cost = (asked + answered) / 1e9
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": reasoning,
        "cost_usd": cost,
        "cost_source": "provider",
        "usage": f'{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"cost":{cost},'
        f'"is_byok":false,"prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written},'
        f'"audio_tokens":0,"video_tokens":0}},"cost_details":{{"upstream_inference_cost":{cost},'
        f'"upstream_inference_prompt_cost":{asked / 1e9},"upstream_inference_completions_cost":{answered / 1e9}}},'
        f'"completion_tokens_details":{{"reasoning_tokens":{reasoning},"image_tokens":0,"audio_tokens":0}}}}',
    }


def _vllm(counts: Counts, _price: Price | None) -> Columns:
    prompt, completion, total = counts.prompt, counts.completion, counts.prompt + counts.completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "usage": f'{{"prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{completion}}}',
    }


USAGE: dict[Wire, Usage] = {
    Wire.CHAT: _chat,
    Wire.RESPONSES: _responses,
    Wire.EMBEDDINGS: _embeddings,
    Wire.MESSAGES: _messages,
    Wire.GEMINI: _gemini,
    Wire.CONVERSE: _converse,
    Wire.OPENROUTER: _openrouter,
    Wire.VLLM: _vllm,
}
"""The columns of a complete answer. Only OpenRouter says what it costs."""


def of_cut_stream(wire: Wire, counts: Counts) -> Columns:
    """Return what a stream had said by the time it was cut, with `counts` of that moment: mostly nothing."""
    if wire is Wire.MESSAGES:
        columns: Columns = {
            "prompt_tokens": counts.prompt,
            "cached_tokens": counts.cached,
            "cache_write_tokens": counts.written,
            "usage": f'{_input(counts)},"service_tier":"standard"}}',
        }
    elif wire is Wire.GEMINI:
        columns = _gemini(counts, None)
    else:
        return {}
    return columns | {"usage_source": "partial"}


_BILLED = (
    ("prompt_tokens", "input_tokens"),
    ("completion_tokens", "output_tokens"),
    ("cached_tokens", "cache_read_tokens"),
    ("cache_write_tokens", "cache_write_tokens"),
    ("reasoning_tokens", "output_reasoning_tokens"),
)


def billed(columns: Columns) -> str:
    """Return the column `billed` of a call with these columns."""
    counts = ((name, columns.get(column)) for column, name in _BILLED)
    return "{" + ",".join(f'"{name}":{count}' for name, count in counts if count is not None) + "}"

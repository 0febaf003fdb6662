"""What the price of a stored call depends on."""

import msgspec


class Call(msgspec.Struct, frozen=True, array_like=True):
    """Columns of `completion_requests`, under their names."""

    timestamp: str
    provider: str | None = None
    operation: str | None = None
    host: str | None = None
    endpoint: str | None = None
    model: str | None = None
    response_model: str | None = None
    usage: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None

    def counts(self) -> tuple[int, int, int, int] | None:
        """Prompt, completion, and of the prompt what was read from and written to a cache; None if it is not known.

        What has no output counts none of it. A part of the prompt that is not reported is none.
        """
        prompt, completion = self.prompt_tokens, self.completion_tokens
        if self.operation in WITHOUT_OUTPUT:
            completion = completion or 0
        cached, written = self.cached_tokens or 0, self.cache_write_tokens or 0
        if prompt is None or completion is None:
            return None
        parts = (completion, cached, written, prompt - cached - written)
        return (prompt, completion, cached, written) if min(parts) >= 0 else None


WITHOUT_OUTPUT = ("embeddings", "rerank")
"""Operations whose answers are no tokens."""

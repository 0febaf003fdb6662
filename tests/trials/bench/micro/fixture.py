"""pytest-benchmark's fixture, as far as it is used: its package is no part of what the linters' run installs."""

from collections.abc import Callable
from typing import Any, Protocol


class Benchmark(Protocol):
    """Takes the time of what it is given."""

    extra_info: dict[str, Any]

    def pedantic(
        self,
        target: Callable[..., None],
        *,
        setup: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
    ) -> object:
        """Run `target` `rounds` times, with what `setup` returns."""

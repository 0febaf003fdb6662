"""Answers of the provider to hostile exchanges, and whether the requests came as the client sent them."""

from collections.abc import Mapping

from tests.support.provider.scenario import Request, Scenario
from tests.trials.hostile.exchange import Exchange

NUMBER = "x-hostile-number"
_FORBIDDEN = ("proxy-authorization", "x-llm-origin")


class Answers:
    """Answers each request as its exchange says. `running` are the exchanges that may come, by number."""

    def __init__(self, running: Mapping[str, Exchange]) -> None:
        self._running = running
        self.harmed: list[str] = []  # requests that are not what the client sent

    def answer(self, request: Request) -> Scenario:
        """Return the answer, and look at what came."""
        number = request.header(NUMBER) or ""
        exchange = self._running[number]
        if request.body != exchange.body or any(request.header(name) is not None for name in _FORBIDDEN):
            self.harmed.append(f"{exchange.kind} {number}: the provider got another request")
        return exchange.scenario

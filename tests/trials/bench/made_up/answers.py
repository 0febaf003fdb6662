"""Made-up answers: times, tokens, words and headers of answers, complete ones and failures.

Times are milliseconds from t0, with six digits after the point, as the recorder has them from nanoseconds.
"""

from random import Random

from llm_metrics_proxy.migrations.classes import FINISH_OF, folded, of_error_type
from tests.trials.bench.made_up.asks import Ask
from tests.trials.bench.made_up.catalogue import Model, Service, Thinking, Wire
from tests.trials.bench.made_up.failures import LIKELY, Failure, Stage
from tests.trials.bench.made_up.request_ids import RequestIds
from tests.trials.bench.made_up.spread import Spread
from tests.trials.bench.made_up.usages import Columns, Counts, billed, of_cut_stream

PRICES = "genai-prices 0.2.3"
_HOUR_MS = 3_600_000
# How much slower answers are at each hour of the day, UTC: most of all when America and Europe both work.
_PACES = tuple(1 + 0.035 * max(0, 8 - abs(hour - 16)) for hour in range(24))
_READS_PER_MS = 24  # tokens of a prompt that no cache has
_THINKS = Spread(340, 1.0)
_THINKS_SHARE = 0.7
_UNCOUNTED_SHARE = 0.006
_BYTES_OF_AN_EMBEDDING = 8_400
_BYTES_OF_A_TOKEN = 4.4
_SHORTEST_WINDOW_MS = 10
_FEWEST = 2
_TIERS = {Wire.CHAT: "default", Wire.RESPONSES: "default", Wire.GEMINI: "standard"}
_COLUMNS_OF_A_REQUEST = ("origin", "client", "user_agent", "provider", "host")
_TOO_MANY = 429


class Answering:
    """Answers requests: each method returns all columns of the row but its identity."""

    def __init__(self, random: Random) -> None:
        """All that is random comes from `random`."""
        self._random = random
        self._ids = RequestIds(random)

    def complete(self, ask: Ask, moment: int) -> Columns:
        """Return the row of a call that went well."""
        chance = self._random.random
        model, service = ask.habit.model, ask.habit.model.service
        counts, finish = self._counts(ask)
        first, last, end = self._times(ask, counts, moment)
        columns = ask.columns
        columns["success"] = True
        columns["status_code"] = 200
        columns["finish_reason"] = finish
        columns["finish_class"] = None if finish is None else FINISH_OF[folded(finish)]
        columns["response_model"] = model.answers or None
        self._head(columns, service, moment, first if ask.is_streaming else end)
        if ask.is_streaming:
            self._stream(columns, ask, counts, first, last)
        elif service.wire is Wire.EMBEDDINGS:
            columns["response_bytes"] = 240 + _BYTES_OF_AN_EMBEDDING * (1 + ask.prompt // 500)
        else:
            columns["response_bytes"] = 700 + int(counts.completion * _BYTES_OF_A_TOKEN)
        if not ask.is_streaming:
            columns["time_to_first_byte_ms"] = int((end - 0.3 - 0.5 * chance()) * 1e6) / 1e6
        columns["response_time_ms"] = round(end)
        uncounted = ask.is_streaming and service.wire in (Wire.CHAT, Wire.VLLM) and not ask.habit.origin.counts
        if not uncounted and chance() > _UNCOUNTED_SHARE:
            columns["usage_source"] = "provider"
            if model.price is not None:
                columns["cost_usd"] = sum(counts.cost(model.price)) / 1e9
                columns["cost_source"] = PRICES
            columns |= ask.habit.usage(counts, model.price)
            columns["billed"] = billed(columns)
        columns["service_tier"] = _TIERS.get(service.wire)
        if service.wire is not Wire.VLLM:
            columns["billing"] = "api_key"
            known = columns.get("cost_usd") is not None
            columns["cost_complete" if known else "cost_note"] = 1 if known else "no_usage"
        return columns

    def failed(self, ask: Ask, moment: int) -> tuple[Columns, Failure]:
        """Return the row of a call that failed, and how it did."""
        chance = self._random.random
        service = ask.habit.model.service
        likely = LIKELY[service.wire, ask.is_streaming]
        failure = likely[int(chance() * len(likely))]
        after = ask.upload_ms + failure.after_ms.at(chance())
        columns = ask.columns.copy()
        if failure.stage is Stage.UNREACHED:
            columns = {name: columns[name] for name in _COLUMNS_OF_A_REQUEST} | {"is_streaming": False}
        columns["success"] = False
        columns["status_code"] = failure.status
        columns["error_type"] = failure.error_type
        columns["error_class"] = of_error_type(failure.error_type)
        columns["error_code"] = failure.code
        wait = self._random.choice(failure.retry_after_ms) if failure.retry_after_ms else None
        if failure.message is not None:
            number = self._random.randrange(1_000, 10_000)
            columns["error_message"] = failure.message.format(model=ask.habit.model.name, number=number, wait=wait)
        if failure.stage is Stage.REFUSED:
            self._head(columns, service, moment, after)
            columns["time_to_first_byte_ms"] = int(after * 1e6) / 1e6
            columns["response_bytes"] = 110 + len(failure.message or "")
            columns["retry_after_ms"] = wait
            if failure.status == _TOO_MANY and service.limits is not None:
                columns["rate_limit_remaining_tokens"] = 0
        elif failure.stage is Stage.CUT:
            after = self._cut(columns, ask, moment)
        columns["response_time_ms"] = round(after + 0.4)
        return columns, failure

    def _counts(self, ask: Ask) -> tuple[Counts, str | None]:
        """Return the tokens and the finish reason of a complete answer."""
        chance = self._random.random
        model = ask.habit.model
        complete, tools, too_long = model.service.words
        if model.service.wire is Wire.EMBEDDINGS:
            return Counts(ask.prompt, 0, 0, 0, 0), None
        completion = max(1, int(model.tokens.at(chance())))
        reasoning = 0
        if model.thinking is not Thinking.NONE and chance() < _THINKS_SHARE:
            reasoning = int(_THINKS.at(chance()))
        most = ask.columns["max_tokens"]
        if most is not None and completion + reasoning >= most:
            completion = max(1, most - reasoning)
            reasoning = min(reasoning, most - 1)
            finish = too_long
        else:
            finish = tools if chance() < ask.habit.origin.tools else complete
        return Counts(ask.prompt, ask.cached, ask.written, completion + reasoning, reasoning), finish

    def _times(self, ask: Ask, counts: Counts, moment: int) -> tuple[float, float, float]:
        """Return when the first token came, the last one, and the end."""
        chance = self._random.random
        model = ask.habit.model
        pace = _PACES[moment // _HOUR_MS % 24]
        rate = model.rate.at(chance()) / pace / 1_000
        first = ask.upload_ms + (model.first_ms.at(chance()) + (ask.prompt - ask.cached) / _READS_PER_MS) * pace
        tokens = counts.completion
        if model.thinking is Thinking.HIDDEN:
            first += counts.reasoning / rate
            tokens -= counts.reasoning
        last = first + max(0, tokens - 1) / rate
        if ask.is_streaming and tokens <= model.per_event:
            last = first
        return first, last, last + 0.3 + 30 * chance() ** 3

    def _head(self, columns: Columns, service: Service, moment: int, came: float) -> None:
        """Fill what an answer's headers say; they `came` then, at the latest."""
        chance = self._random.random
        wire = service.wire
        columns["provider_request_id"] = self._ids.of(service, moment)
        if service.limits is not None:
            spent = chance() ** 3
            requests, limit = service.limits
            columns["rate_limit_remaining_requests"] = requests - int(spent * 600)
            left = limit - int(spent * limit * 0.4)
            columns["rate_limit_remaining_tokens"] = left // 1_000 * 1_000 if wire is Wire.MESSAGES else left
            took = int(came * (0.6 + 0.3 * chance()))
            if wire is Wire.MESSAGES:
                columns["server_timing"] = f'{{"x-envoy-upstream-service-time":{took}}}'
            else:
                timing = f'{{"openai-processing-ms":{took},"x-envoy-upstream-service-time":{took + 1 + took % 5}}}'
                columns["server_timing"] = timing
        elif wire is Wire.CONVERSE:
            columns["server_timing"] = f'{{"latencyMs":{int(came * 0.96)}}}'

    def _stream(self, columns: Columns, ask: Ask, counts: Counts, first: float, last: float) -> None:
        """Fill what only streams have, as of a complete one."""
        model = ask.habit.model
        hidden = counts.reasoning if model.thinking is Thinking.HIDDEN else 0
        visible = counts.completion - hidden
        events = self._events(columns, model, visible, first, last)
        window = last - first
        answered = first
        if model.thinking is Thinking.SHOWN and counts.completion:
            answered += window * counts.reasoning / counts.completion
        columns["time_to_first_answer_ms"] = int(answered * 1e6) / 1e6
        if visible >= _FEWEST and events >= _FEWEST and window >= _SHORTEST_WINDOW_MS:
            columns["tokens_per_second"] = (visible - 1) * 1e3 / window

    def _events(self, columns: Columns, model: Model, visible: int, first: float, last: float) -> int:
        """Fill the moments and gaps of a stream's events, and return how many there are."""
        chance = self._random.random
        window = last - first
        events = max(_FEWEST, round(visible / model.per_event)) if window else 1
        columns["output_events"] = events
        columns["response_bytes"] = 900 + events * model.service.event_bytes + int(visible * _BYTES_OF_A_TOKEN)
        columns["time_to_first_byte_ms"] = int((first - 12 * chance() ** 4) * 1e6) / 1e6
        columns["time_to_first_token_ms"] = round(first)
        columns["time_to_last_token_ms"] = round(last)
        if window:
            mean = window / (events - 1)
            longest = mean * (1 + (3 + 8 * chance()) * (1 - _FEWEST / events))
            columns["chunk_gap_p50_ms"] = int(mean * (1 - 0.3 * chance() * (1 - _FEWEST / events)) * 1e6) / 1e6
            columns["chunk_gap_p95_ms"] = int((mean + (longest - mean) * 0.4 * chance()) * 1e6) / 1e6
            columns["chunk_gap_max_ms"] = int(min(longest, window) * 1e6) / 1e6
        return events

    def _cut(self, columns: Columns, ask: Ask, moment: int) -> float:
        """Fill what a stream had that broke off somewhere, and return when it did."""
        model, service = ask.habit.model, ask.habit.model.service
        counts, _ = self._counts(ask)
        first, last, _ = self._times(ask, counts, moment)
        share = self._random.random()
        last = first + (last - first) * share
        come = Counts(counts.prompt, counts.cached, counts.written, max(1, int(counts.completion * share)), 0)
        self._head(columns, service, moment, first)
        self._events(columns, model, come.completion, first, last)
        columns["time_to_first_answer_ms"] = int(first * 1e6) / 1e6
        columns["response_model"] = model.answers or None
        columns |= of_cut_stream(service.wire, come)
        return last + 0.2

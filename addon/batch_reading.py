"""The reading of a batch's results while they are fetched: each line makes a row, when it has passed.

It has the methods of `Reading`, and `rows` instead of one row at the end.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from llm_metrics_proxy.addon.framing.body import Body
from llm_metrics_proxy.addon.framing.json_framing import Lines
from llm_metrics_proxy.addon.headers import Headers
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.providers.batches import TIER, Result, is_result, result_in
from llm_metrics_proxy.addon.providers.decode import Unparsed
from llm_metrics_proxy.addon.row import Ending, Opening, Row
from llm_metrics_proxy.recorder.events import CompletionRequest

MOST_ROWS: Final = 20_000
"""Rows of one file; what has more is counted as `batch_results_left_out`."""


class BatchReading:
    """The reading of one fetch of results, or of a file that turns out to be none."""

    proven = False
    stated = None

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._row = Row(opening)
        self._answered: Body | None = None
        self._are_results = False
        self.rows: list[CompletionRequest] = []
        self.faults: set[str] = set()
        """Names of the counters that the exchange adds 1 to."""

    def request_body(self, pieces: list[bytes]) -> None:
        """Take pieces of the request's body, which says nothing."""

    def request_end(self, at: int) -> None:
        """The request is complete."""

    def answer_head(self, status: int, headers: Headers, at: int) -> None:
        """The answer's status and headers have come."""
        del at
        if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110: successful
            self._answered = Body(headers.get("content-encoding", ""), Lines())

    def answer_body(self, pieces: list[bytes], moments: list[int]) -> None:
        """Take pieces of the answer's body, as on the wire, each with when it came."""
        if self._answered is not None:
            for _, line, at in self._answered.feed_all(pieces, moments):
                self._read(line, at)

    def stop(self, fault: str) -> None:
        """Read no further."""
        if self._answered is not None:
            self._answered.stop(fault)

    def finish(
        self, cause: Cause, at: int, reason: str, *, last_activity: int, connect_ms: float | None
    ) -> CompletionRequest | None:
        """Read what is left. The rows stand in `rows`; see `Reading.finish`."""
        del cause, reason, last_activity, connect_ms
        if (body := self._answered) is not None:
            self._read_all(body.finish(), at)
            if body.fault and self._are_results:
                self.faults.add(body.fault)
        return None

    def _read_all(self, payloads: Iterable[tuple[bytes, bytes]], at: int) -> None:
        for _, line in payloads:
            self._read(line, at)

    def _read(self, line: bytes, at: int) -> None:
        try:
            self._are_results = self._are_results or is_result(line)
            found = result_in(line) if self._are_results else None
            if found is not None:
                self._add(found, at)
        except Unparsed:
            if self._are_results:
                self.faults.add("unparsed")
        if not self._are_results:
            self.stop("")  # another file, of which nothing is read

    def _add(self, found: Result, at: int) -> None:
        if len(self.rows) >= MOST_ROWS:
            self.faults.add("batch_results_left_out")
            return
        call = Ending(self._opening.at)
        call.status = 200
        found.speaks.whole(found.body, call.answer)
        call.answer.ended, call.answer.response_id = True, found.response_id
        if (error := call.answer.error) is not None:
            call.error = replace(error, type=error.type or "error")
        call.answer.usage_reader = call.answer.usage_reader or found.speaks.usage_keys
        call.answer.service_tier = TIER
        call.columns = {"endpoint": found.endpoint, "operation": found.speaks.operation}
        self.rows.append(self._row.make(call, at))

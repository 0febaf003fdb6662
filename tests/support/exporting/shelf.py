"""A destination of the tests' own: what it is given stays on it, and a test says when it fails."""

from collections.abc import Callable

from llm_metrics_proxy.recorder.export import Account, Batch, Row
from llm_metrics_proxy.recorder.export.outbox import COLUMN
from llm_metrics_proxy.recorder.store.exporters import Position


class Shelf:
    """Keeps each row under its event_id, and how far it has come; `before` and `after` are run around each batch."""

    name = "shelf somewhere"
    wants_changes = True
    wants_account = True
    rows_at_once = 10
    rejects = 0  # of each batch

    def __init__(self) -> None:
        self.rows: dict[object, Row] = {}
        self.came = 0  # rows, also those that came before
        self.batches: list[Batch] = []
        self.positions: dict[str, Position] = {}
        self.accounts: list[Account] = []
        self.source_id = ""
        self.connected = 0
        self.closed = False
        self.before: Callable[[Batch], object] = lambda _batch: None
        self.after: Callable[[Batch], object] = lambda _batch: None

    def connect(self, source_id: str) -> Position | None:
        self.source_id = source_id
        self.connected += 1
        return self.positions.get(source_id, Position(0, 0))

    def send(self, batch: Batch) -> int:
        self.before(batch)
        self.batches.append(batch)
        self.came += len(batch.rows)
        self.rows.update({row[COLUMN["event_id"]]: row for row in batch.rows})
        self.positions[self.source_id] = batch.position
        self.after(batch)
        return self.rejects

    def send_account(self, account: Account) -> None:
        self.accounts.append(account)

    def close(self) -> None:
        self.closed = True


class Forgetful(Shelf):
    """One that does not know how far it has come."""

    def connect(self, source_id: str) -> None:
        super().connect(source_id)

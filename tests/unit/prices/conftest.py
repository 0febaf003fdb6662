"""Databases of calls to price."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.unit.prices.recosted import GPT_4O, Fill, MakeEvent


@pytest.fixture
def fill(current_db: Path, make_event: MakeEvent) -> Fill:
    """Store calls, each with the columns of `GPT_4O` and those that are given."""

    def store(*calls: dict[str, Any]) -> Path:
        with closing(open_writer(current_db)) as connection:
            events = [make_event(**GPT_4O | fields, event_id=os.urandom(16).hex()) for fields in calls]
            CompletionRequestsDAO(connection).insert_completion_requests(events)
        return current_db

    return store

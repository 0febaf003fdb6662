"""Fixtures for the tests that need PostgreSQL: a pytest plugin that they name, so that they share one server."""

from collections.abc import Iterator

import pytest

from tests.support.exporting.postgres_server import Server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server that runs."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def database(postgres: Server) -> str:
    """The name of an empty database of the test's own."""
    return postgres.database()

"""The proxies that the doctor looks at."""

from collections.abc import Iterator

import pytest

from tests.support.rig import Rig, started


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("doctor")) as rig:
        yield rig
        assert rig.new_rows() == []
        assert rig.provider.served == []
        rig.proxy.stop()
        assert "Traceback" not in rig.proxy.log


@pytest.fixture
def place(running: Rig) -> Rig:
    return running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("guarded"), options=["proxyauth=team:geheim"]) as rig:
        yield rig

"""One Prefect server for all tests of a session, and what asks it."""

from collections.abc import Iterator

import pytest
from loopback import Loopback
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """Processes, none yet: `ready` starts what a test needs."""
    made = Loopback(tmp_path_factory.mktemp("prefect"))
    try:
        yield made
        if "server" in made.processes:
            APILogHandler().flush()  # else this process tries for two minutes, at its end, to tell a server that is gone
    finally:
        made.stop()


@pytest.fixture
def prefect_api(loopback: Loopback) -> Iterator[None]:
    """The server, for flows that this process runs itself."""
    loopback.ready({})
    with temporary_settings({PREFECT_API_URL: loopback.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture
def prefect(loopback: Loopback) -> Loopback:
    """The server, a CPU worker and a GPU worker, each in a pool of its own: all up, whatever an earlier test has killed."""
    loopback.ready({"cpu-worker": "cpu-pool", "gpu-worker": "gpu-pool"})
    return loopback

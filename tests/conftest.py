"""Shared by all tests: nothing here may reach the network, and one thread per process is enough."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def demo_corpus() -> Path:
    """1,609 real documents with planted duplicates and defects."""
    return ROOT / "recipes" / "data" / "corpus.jsonl"



@pytest.hookimpl(tryfirst=True)  # before xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of flows share one process of a parallel run (--dist loadgroup) and so one server, those of Spark one session."""
    for item in items:
        if (folder := item.path.parent.name) in ("flows", "spark"):
            item.add_marker(pytest.mark.xdist_group(folder))


# A deadline would fail where the machine is busy; derandomised, CI sees the same examples every time.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

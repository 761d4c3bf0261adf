"""In a parallel run all tests of this folder are in one process, and so share one server."""

import pytest


def test_the_tests_of_flows_are_dealt_out_together(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", False):
        pytest.skip("nothing is dealt out here")
    assert request.node.nodeid.endswith("@flows"), "see pytest_collection_modifyitems in tests/conftest.py"

"""Fixtures for tests of networks."""

import pytest

from zigdemo.ops import backends


@pytest.fixture(params=["cpu", "reference"])
def backend(request, monkeypatch):
    """Each kernel of the selective scan in turn."""
    if request.param == "cpu" and backends.numba_fault():
        pytest.skip(backends.numba_fault())
    monkeypatch.setenv(backends.ENVIRONMENT, request.param)
    return request.param

"""A store without a database around it, for the tests of commits."""

from __future__ import annotations

import pytest

from tests.oracle.store import Store


@pytest.fixture
def store() -> Store:
    """An empty store in memory."""
    return Store()

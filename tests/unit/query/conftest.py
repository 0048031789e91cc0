"""What the tests of the query floor share: the airline, opened once per module."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.database.database import Database
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from tests.unit.query.airline import AIRLINE, open_airline

FLIGHTS: Final = 60


@pytest.fixture(scope="module")
def airline() -> Generator[Database]:
    """An airline of sixty flights; tests of one module only read it."""
    with open_airline(MemoryEngine(), FLIGHTS) as database:
        yield database


@pytest.fixture
def layout() -> Layout:
    """The layout of the airline's schema, without a database."""
    return Layout(assign_numbers(AIRLINE, None))

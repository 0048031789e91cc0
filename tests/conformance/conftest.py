"""Every test of the engine contract runs on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.engines import MAKERS, Place, open_place


@pytest.fixture(params=MAKERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    opened = open_place(request.param, tmp_path)
    yield opened
    opened.engine.close()

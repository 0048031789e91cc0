"""What every contestant can do, so that all are measured by the same loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from benches.data import Row


class Contestant(Protocol):
    """One way to keep the data of `benches.data` in a folder."""

    name: str

    def load_shop(
        self, folder: Path, customers: Sequence[Row], orders: Sequence[Row], lines: Sequence[Row]
    ) -> None:
        """Keep the shop and stay open for reading."""
        ...

    def fetch_page(self, after: str) -> list[Row]:
        """The 50 customers after that name, by name, with orders and lines nested, by id."""
        ...

    def get_order(self, identity: int) -> Row | None:
        """One order by its identity."""
        ...

    def begin_bulk(self, folder: Path, customers: Sequence[Row], products: Sequence[Row]) -> None:
        """Make the empty table of sales with all its indexes, beside what it points at."""
        ...

    def load_bulk(self, sales: Sequence[Row]) -> None:
        """Load every sale, durably."""
        ...

    def get_sale(self, identity: int) -> Row | None:
        """One sale by its identity, with every field."""
        ...

    def compact(self) -> int:
        """Compact what was loaded; how many bytes it takes."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...

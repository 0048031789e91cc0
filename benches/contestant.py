"""What every contestant can do, so that all are measured by the same loop.

    create("reads") ─ fill(...) ─ settle() ─ close()        once, before anything is timed
    open("reads") ─ page(...) ─ get_order(...) ─ close()    timed, in a process of its own
    create("sales") ─ fill(...) ─ bulk_load(...) ─ compact()

Answers are nested dicts with the columns of `benches.tables`, and relations under the names that
the methods tell.  Rows come in the order of their identity where nothing else is said.  A
contestant that cannot do a case says so in `lacks`, with the reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from benches.data import Row

TOP: Final = 3  # reviews of each movie in `top_reviews`
SHORT_PAGE: Final = 20  # rows of a page without relations
KNOWN_NAME: Final = "customer 0000042"  # whom `one_row` asks for


@dataclass(frozen=True, slots=True)
class Cost:
    """What a contestant says of one answer: calls to its store, and keys read there."""

    engine_calls: int
    keys_read: int


class Contestant(ABC):
    """One way to keep the data of `benches.data` in a folder of its own."""

    lacks: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # --- keeping ------------------------------------------------------------------------------

    @abstractmethod
    def create(self, world: str) -> None:
        """Make the empty tables of a world with all their indexes, and stay open."""

    @abstractmethod
    def open(self, world: str) -> None:
        """Open what was created."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the files."""

    @abstractmethod
    def bulk_load(self, table: str, rows: Sequence[Row]) -> None:
        """Load many rows durably, the fastest way there is."""

    def fill(self, table: str, rows: Sequence[Row]) -> None:
        """Load rows when nobody looks at the clock."""
        self.bulk_load(table, rows)

    def settle(self) -> None:
        """What a careful program does once after loading."""
        return

    @abstractmethod
    def compact(self) -> None:
        """Give back free space."""

    def costs(self) -> list[Cost] | None:
        """Begin to count, and when asked again say what was counted; None where nobody counts."""
        return None

    # --- one row ------------------------------------------------------------------------------

    @abstractmethod
    def get_order(self, identity: int) -> Row | None:
        """One order by its identity, as a dict."""

    @abstractmethod
    def get_order_object(self, identity: int) -> object:
        """The same as an object with attributes."""

    @abstractmethod
    def get_sale(self, identity: int) -> Row | None:
        """One sale by its identity."""

    @abstractmethod
    def one_row(self) -> list[Row]:
        """The customer KNOWN_NAME by name, with a query that `open` has built."""

    def one_row_prepared(self) -> list[Row]:
        """The same, with a query that was prepared and takes the name; by default `one_row`, whose
        statement takes it anyway."""
        return self.one_row()

    # --- graphs -------------------------------------------------------------------------------

    @abstractmethod
    def movie(self, identity: int) -> list[Row]:
        """A movie with its `cast` by billing, each with its `person`, and with its `reviews`."""

    @abstractmethod
    def customers(self, after: str, count: int) -> list[Row]:
        """The customers after that name, by name, with `orders` and their `lines`."""

    @abstractmethod
    def careers(self, after: str, count: int) -> list[Row]:
        """People after that name, by name, with `roles` by season, each with its `movie`, each
        with its `cast` by billing, each with its `person`."""

    @abstractmethod
    def top_reviews(self, after: str, count: int) -> list[Row]:
        """Movies after that title, by title, with the TOP `reviews` of each by score, best first;
        of two that are equally good, the newer first."""

    @abstractmethod
    def order_folds(self, after: str, count: int) -> list[Row]:
        """The customers after that name, by name, each with the `count` of its orders, and `mean`
        and `sum` of when these were placed: integers, as sums of floats depend on the order."""

    # --- rows by filter -----------------------------------------------------------------------

    @abstractmethod
    def orders_in_state(self, state: str, before: int) -> list[Row]:
        """A SHORT_PAGE of the orders in a state, placed before, newest first."""

    @abstractmethod
    def people_between(self, low: str, high: str) -> list[Row]:
        """People by name from low to before high."""

    @abstractmethod
    def orders_between(self, low: int, high: int) -> list[Row]:
        """Orders placed from low to before high, by when they were placed."""

    @abstractmethod
    def orders_of_city(self, city: str, before: int) -> list[Row]:
        """A SHORT_PAGE of the orders of a city's customers, placed before, newest first."""

    # --- groups -------------------------------------------------------------------------------

    @abstractmethod
    def pages(self) -> list[Row]:
        """Of each `page`, by name, how many `visits` it has, their `seconds` added up, and the most
        that was `paid`."""

    # --- writes, durable when they return -----------------------------------------------------

    @abstractmethod
    def insert_review(self, review: Row) -> None:
        """Insert one row."""

    @abstractmethod
    def insert_movie(self, movie: Row, roles: Sequence[Row]) -> None:
        """Insert a movie and its cast in one transaction."""

    @abstractmethod
    def update_order(self, identity: int, state: str, note: str) -> None:
        """Change two fields of one order."""

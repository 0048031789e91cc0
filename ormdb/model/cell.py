"""What may be a column of a table, or be shown with a row under a name of its own.

    Flight.dep_delay                                Cell[Flight, int | None]
    Flight.dep_delay.avg().named("mean")            Named[Flight, float | None]

The second type of a cell is that of its values in an answer, with None where there may be none.

Invariants (held by tests/unit/model/test_tables.py and tests/typing):
  1. A name changes nothing of what is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from ormdb.ir.expr import Expr
from ormdb.ir.value import Value
from ormdb.model.objects import ObjectState, read_field

E = TypeVar("E")
V = TypeVar("V")
E_co = TypeVar("E_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)


class Cell(Protocol[E_co, V_co]):
    """What may be a column of a table of `E`, with values of type `V` there."""

    @property
    def entity(self) -> type[E_co]: ...

    @property
    def expression(self) -> Expr: ...

    def _reader(self) -> Callable[[Value], V_co]: ...


class Named(Generic[E, V]):
    """A value with a name of its own: a column of a table, or shown with each row of a query."""

    __slots__ = ("_cell", "name")

    def __init__(self, cell: Cell[E, V], name: str) -> None:
        self._cell = cell
        self.name = name

    @property
    def entity(self) -> type[E]:
        """Whose rows it is about."""
        return self._cell.entity

    @property
    def expression(self) -> Expr:
        """What its values are."""
        return self._cell.expression

    def of(self, row: E) -> V:
        """Return the value that `row` was fetched with.

        Raises:
          NotLoadedError: it was fetched without.
        """
        found = read_field(cast("ObjectState", row), self.name)
        value: V = self._reader()(found)
        return value

    def _reader(self) -> Callable[[Value], V]:
        return reader_of(self._cell)

    def __repr__(self) -> str:
        return f"{self._cell}.named({self.name!r})"


def reader_of(cell: Any) -> Callable[[Value], Any]:
    """What makes the value of a column in a table of its value in an answer."""
    read: Callable[[Value], Any] = cell._reader()
    return read


def as_it_is(value: Value) -> Any:
    """What reads a value that is in a table what it is in an answer."""
    return value

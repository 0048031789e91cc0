"""What has named, typed columns hands them to Arrow, numpy and pandas.

    block = db.fetch(Flight.all()).arrow()
    pyarrow.table(block)    polars.DataFrame(block)    block.to_pandas()
    numpy.frombuffer(block.buffers("dep_delay").data, "<i8")

A class that says what its columns are is `Columnar`: entity blocks, edge blocks, and `Columns` for
lists from anywhere else.  Nothing is converted before it is asked for.

Invariants (held by tests/unit/ir/test_columnar.py):
  1. Every method gives the same columns, in the same order.
  2. What cannot be converted raises before a capsule is made.
"""

from __future__ import annotations

import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from ormdb.errors import QueryError, UnsupportedError
from ormdb.ir.value import Type, Value

# What makes buffers and C structs is imported when somebody asks for them: most programs never do.
if TYPE_CHECKING:
    from ormdb.ir.columns import Buffers

NamedColumn: TypeAlias = tuple[str, Type, Sequence[Value]]


@runtime_checkable
class GivesArrow(Protocol):
    """What gives an Arrow stream by the PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule of an ArrowArrayStream."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """Some rows of a source, column by column."""

    values: dict[str, list[Value]]
    count: int


class Columnar(ABC):
    """Named, typed columns of one length."""

    __slots__ = ()

    @abstractmethod
    def named_columns(self) -> Sequence[NamedColumn]:
        """Name, type and canonical values of each column."""

    def buffers(self, name: str) -> Buffers:
        """Return one column as little-endian buffers, made anew for each call.

        Raises:
          QueryError: there is no such column.
        """
        from ormdb.ir.columns import column_buffers

        columns = self.named_columns()
        for found, kind, values in columns:
            if found == name:
                return column_buffers(kind, values)
        names = ", ".join(found for found, _, _ in columns)
        raise QueryError(f"there is no column {name!r}; there are {names}", field=name)

    def __arrow_c_schema__(self) -> object:
        """A capsule of the schema, as Arrow's PyCapsule interface has it."""
        from ormdb.ir.arrow_stream import export_schema
        from ormdb.ir.columns import table_buffers

        empty: list[NamedColumn] = [(name, kind, ()) for name, kind, _ in self.named_columns()]
        return export_schema(table_buffers(empty, 0, sys.byteorder))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule of all rows as one batch; the interface lets us overlook a wished schema."""
        from ormdb.ir.arrow_stream import hand_over
        from ormdb.ir.columns import table_buffers

        columns = self.named_columns()
        length = len(columns[0][2]) if columns else 0
        return hand_over(table_buffers(columns, length, sys.byteorder))

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; its columns have Arrow's types, so that every value stays exact.

        Raises:
          UnsupportedError: pandas or pyarrow is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
            pyarrow = importlib.import_module("pyarrow")
        except ImportError as error:
            raise UnsupportedError(
                f"to_pandas() needs pandas and pyarrow ({error}); install both"
            ) from error
        return pyarrow.table(self).to_pandas(types_mapper=pandas.ArrowDtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns(Columnar):
    """Columns from anywhere: `values[i]` are canonical values of type `types[i]`, or None."""

    names: tuple[str, ...]
    types: tuple[Type, ...]
    values: tuple[Sequence[Value], ...]

    def named_columns(self) -> Sequence[NamedColumn]:
        """Name, type and canonical values of each column."""
        return list(zip(self.names, self.types, self.values, strict=True))

    def __len__(self) -> int:
        return len(self.values[0]) if self.values else 0

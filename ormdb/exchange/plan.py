"""What an import would do, before it does anything: schema, rows to come, and what to know.

    plan = plan_sqlite("northwind.db", ImportOptions())
    plan.bundle                 the schema the database would have
    plan.tables                 each with its entity, its number of rows, and a way to read them
    plan.dangling               relations with rows that point at nothing
    plan.notes                  what is left out or changed, one sentence each

A plan has looked at every value, so its types hold them all.  It reads its source again when it
is run; SQLite sources stay in one read transaction from the first look to the last row.

Invariants (held by tests/unit/exchange/test_plan.py):
  1. Tables come in an order in which enforced relations lead back, but for circles of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal as Choice
from typing import Self, TypeAlias

from ormdb.errors import ImportFileError, SchemaError
from ormdb.ir.scan import Scanner
from ormdb.ir.schema import EntityDef, RelationDef, SchemaBundle
from ormdb.ir.show import show_value
from ormdb.ir.type_text import parse_type
from ormdb.ir.value import RowDict, Type

Dangles: TypeAlias = Choice["refuse", "unenforce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredType:
    """A type the caller chose for a column; `optional` is None when the data shall decide."""

    type: Type
    optional: bool | None = None

    @classmethod
    def parse(cls, text: str) -> DeclaredType:
        """Read "decimal(10, 2)" or "date?".

        Raises:
          SchemaError: the text is no type.
        """
        optional = text.endswith("?")
        return cls(type=parse_type(text.removesuffix("?")), optional=True if optional else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A relation the caller asked for: source.(fields) -> target.(target_fields)."""

    source: str
    fields: tuple[str, ...]
    target: str
    target_fields: tuple[str, ...]
    name: str | None = None
    inverse: str | None = None

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read 'flights.origin -> airports.faa' or 'a.x,"the y" -> b.x,y as name'.

        Raises:
          ImportFileError: the text is not of this form.
        """
        scanner = Scanner(text)
        try:
            source, fields = _scan_columns(scanner)
            scanner.expect_mark("->")
            target, target_fields = _scan_columns(scanner)
            name = scanner.take_name() if scanner.take_word("as") else None
            scanner.expect_end()
        except SchemaError as error:
            raise ImportFileError(
                f"{show_value(text)} is not a relation ({error.message}); write it as "
                "flights.origin -> airports.faa, or a.x,y -> b.x,y as name"
            ) from error
        if len(fields) != len(target_fields):
            raise ImportFileError(
                f"{show_value(text)} is not a relation: it has {len(fields)} columns on one side "
                f"and {len(target_fields)} on the other; name as many on both"
            )
        return cls(
            source=source, fields=fields, target=target, target_fields=target_fields, name=name
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How a source is to be read.  Names are those of the source."""

    dangling: Dangles = "refuse"
    types: Mapping[tuple[str, str], DeclaredType] = field(
        default_factory=dict[tuple[str, str], DeclaredType]
    )
    identities: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    links: tuple[Link, ...] = ()
    # Text files only:
    nulls: tuple[str, ...] = ("",)  # cells that are NULL
    utc: bool = False  # timestamps without a zone are UTC
    delimiter: str | None = None
    encoding: str = "utf-8-sig"


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """One table or file: the entity it becomes and how its rows are read, as often as asked."""

    source: str
    entity: EntityDef
    rows: int
    read: Callable[[], Iterator[RowDict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dangling:
    """A relation some of whose rows point at nothing."""

    source: str
    relation: str
    description: str  # "flights.(tailnum) -> planes.(tailnum)"
    rows: int
    example: str

    @property
    def sentence(self) -> str:
        """What was found."""
        rows = "1 row points" if self.rows == 1 else f"{self.rows:,} rows point"
        return f"{self.description}: {rows} at nothing, for example {self.example}"


@dataclass(slots=True, kw_only=True)
class ImportPlan:
    """A whole import.  Close it when it will not be run any more."""

    source: str
    bundle: SchemaBundle
    tables: tuple[TablePlan, ...]
    dangling: tuple[Dangling, ...] = ()
    notes: tuple[str, ...] = ()
    on_close: Callable[[], None] = field(default=lambda: None)

    @property
    def rows(self) -> int:
        """How many rows all tables have."""
        return sum(table.rows for table in self.tables)

    def close(self) -> None:
        """Let go of the source."""
        self.on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def parse_declared_type(text: str) -> tuple[tuple[str, str], DeclaredType]:
    """Read 't.day=date?' as a column and its type.

    Raises:
      ImportFileError: the text is not of this form.
    """
    scanner = Scanner(text)
    try:
        table = scanner.take_name()
        scanner.expect_mark(".")
        column = scanner.take_name()
        scanner.expect_mark("=")
        return (table, column), DeclaredType.parse(scanner.take_rest())
    except SchemaError as error:
        raise ImportFileError(
            f"{show_value(text)} declares no type ({error.message}); write it as "
            'table.column=date?, with names in "quotes" that are no plain words'
        ) from error


def parse_identity(text: str) -> tuple[str, tuple[str, ...]]:
    """Read 'weather=origin,time_hour' as a file and the columns of its identity.

    Raises:
      ImportFileError: the text is not of this form.
    """
    scanner = Scanner(text)
    try:
        name = scanner.take_name()
        scanner.expect_mark("=")
        columns = _scan_names(scanner)
        scanner.expect_end()
    except SchemaError as error:
        raise ImportFileError(
            f"{show_value(text)} is no identity ({error.message}); write it as file=column,column, "
            'with names in "quotes" that are no plain words'
        ) from error
    return name, columns


def refuse_dangling(dangling: Sequence[Dangling]) -> None:
    """Refuse an import whose relations have to hold but do not.

    Raises:
      ImportFileError: `dangling` is not empty.
    """
    if not dangling:
        return
    found = "; ".join(one.sentence for one in dangling[:5])
    more = f"; and {len(dangling) - 5} more relations" if len(dangling) > 5 else ""
    raise ImportFileError(
        f"{found}{more}; repair the rows, or import these relations unenforced "
        "(--dangling unenforce)",
        dangling=tuple(dangling),
    )


def in_load_order(
    tables: Sequence[TablePlan], relations: Iterable[RelationDef]
) -> tuple[TablePlan, ...]:
    """Order tables so that enforced relations lead to tables before their own; a circle of
    relations is broken where it is met."""
    needs: dict[str, list[str]] = {table.entity.name: [] for table in tables}
    for relation in relations:
        if relation.enforced and relation.source != relation.target:
            needs[relation.source].append(relation.target)
    by_name = {table.entity.name: table for table in tables}
    ordered: dict[str, TablePlan] = {}
    for start, first in needs.items():
        trail = {start: iter(first)} if start not in ordered else {}
        while trail:
            name = next(reversed(trail))
            following = next(
                (one for one in trail[name] if one not in ordered and one not in trail), None
            )
            if following is None:
                ordered[name] = by_name[name]
                del trail[name]
            else:
                trail[following] = iter(needs[following])
    return tuple(ordered.values())


def _scan_columns(scanner: Scanner) -> tuple[str, tuple[str, ...]]:
    name = scanner.take_name()
    scanner.expect_mark(".")
    return name, _scan_names(scanner)


def _scan_names(scanner: Scanner) -> tuple[str, ...]:
    names = [scanner.take_name()]
    while scanner.take_mark(","):
        names.append(scanner.take_name())
    return tuple(names)

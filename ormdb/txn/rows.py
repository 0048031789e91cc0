"""Row dicts become checked rows, a column at a time.

    [{"id": 1, "name": "Ada"}, {"id": 2}]          two dicts of the caller
         id    [1, 2]            ints, checked together
         name  ["Ada", None]     absent: default, else NULL, else RequiredError
    [Row(begin, 1, "Ada"), Row(begin, 2, None)]    what RowWriter takes

Looking at a column at once costs a few calls per batch and field instead of a few per value.

Invariants (held by tests/unit/txn/test_rows.py):
  1. A row that comes out has a canonical, stored value of the right type in every slot.
  2. A mistake names the entity, the field, the position of the row and the value; nothing is
     written by then.
"""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from ormdb.clock import Clock
from ormdb.errors import (
    ImmutableError,
    QueryError,
    RequiredError,
    ValueRangeError,
    ValueTypeError,
)
from ormdb.ir.check import checker
from ormdb.ir.check_columns import column_checker
from ormdb.ir.evaluate import fit_result
from ormdb.ir.schema import (
    EntityDef,
    ExpressionDefault,
    FieldDef,
    LiteralDefault,
    NowDefault,
    SequenceDefault,
    Uuid7Default,
)
from ormdb.ir.value import DateType, EnumType, RowDict, Value
from ormdb.storage.expressions import RowExpression
from ormdb.storage.layout import EntityLayout
from ormdb.storage.records import is_shown_as_stored, is_stored, stored_value
from ormdb.txn.draws import Numbers


class _Absent:
    """Marks a field that a row does not name."""


_ABSENT: Final = _Absent()
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteMoment:
    """What one statement writes with: the commit's number, the time, what it draws."""

    version: int
    wall_us: int
    numbers: Numbers
    random_bytes: Callable[[int], bytes]

    def timestamp(self) -> datetime.datetime:
        """The moment as a value."""
        return _EPOCH + datetime.timedelta(microseconds=self.wall_us)


class RowBuilder:
    """Builds the rows of one entity from what the caller gave."""

    def __init__(self, entity: EntityLayout, clock: Clock) -> None:
        self.entity = entity
        self._clock = clock
        definition = entity.entity
        self._given = [f for f in definition.fields if f.computed is None]
        self._names = [field.name for field in self._given]
        self._known = frozenset(self._names)
        self._take_all = _tuple_getter(self._names)
        self._columns = [_Column(definition, field) for field in self._given]
        self._by_name = dict(zip(self._names, self._columns, strict=True))
        self._stored_computed = [
            (field.slot, field, RowExpression(field.computed.expression, entity, clock))
            for field in definition.fields
            if field.computed is not None and is_stored(field)
        ]
        self._slot_count = entity.codec.slot_count

    def build(self, rows: Sequence[RowDict], moment: WriteMoment) -> list[Any]:
        """The rows to insert, in the order given.

        Raises:
          QueryError: a row names a field that the entity does not have.
          RequiredError, ImmutableError, ValueTypeError, ValueRangeError: a value is refused.
        """
        return self._built(self._transposed(rows), len(rows), moment)

    def build_columns(
        self, columns: Mapping[str, Sequence[Value]], count: int, moment: WriteMoment
    ) -> list[Any]:
        """The rows to insert, given as columns by the names of their fields.

        Raises:
          QueryError, ImmutableError: a column is no field, or is computed.
          RequiredError, ValueTypeError, ValueRangeError: a value is refused.
        """
        for name in columns:
            if name not in self._known:
                raise self._refuse_name(name)
        absent = [_ABSENT] * count
        return self._built([columns.get(name, absent) for name in self._names], count, moment)

    def _built(
        self, columns: Sequence[Sequence[Value]], count: int, moment: WriteMoment
    ) -> list[Any]:
        by_slot: dict[int, Sequence[Value]] = {}
        late: list[tuple[_Column, Sequence[Value]]] = []
        for column, values in zip(self._columns, columns, strict=True):
            if isinstance(column.field.default, ExpressionDefault):
                late.append((column, values))
                continue
            by_slot[column.field.slot] = column.stored(values, moment)
        built = self._rows(by_slot, count, moment)
        for column, values in late:
            _fill_from_expression(self.entity, column, values, built, self._clock)
        self.compute(built)
        return built

    def require_assignable(self, names: Iterable[str]) -> None:
        """Refuse names that no update may set.

        Raises:
          QueryError: one is no field.
          ImmutableError: one is computed, or part of the identity.
        """
        identity = self.entity.entity.identity
        for name in names:
            if name not in self._by_name:
                raise self._refuse_name(name)
            if name in identity:
                raise ImmutableError(
                    f"{self.entity.name}.{name} is part of the identity, which never changes; "
                    "insert a new row and delete this one",
                    kind="immutable",
                    entity=self.entity.name,
                    fields=(name,),
                    constraint="identity",
                    identity=None,
                )

    def check_given(self, row: RowDict) -> None:
        """Refuse what no insert takes, also where nothing of it is written.

        Raises:
          QueryError, ImmutableError: a name is no field, or computed.
          ValueTypeError, ValueRangeError: a value is refused.
        """
        for name, value in row.items():
            if name not in self._by_name:
                raise self._refuse_name(name)
            if value is not None:
                self._by_name[name].one(value)

    def stored(self, changes: Mapping[str, Value]) -> dict[str, Value]:
        """Values of fields as their slots hold them.

        Raises:
          RequiredError, ValueTypeError, ValueRangeError: a field cannot hold its value.
        """
        return {name: self._by_name[name].one(value) for name, value in changes.items()}

    def set_stored(
        self, rows: Sequence[Any], changes: Mapping[str, Value], moment: WriteMoment
    ) -> None:
        """Set the same stored values on decoded rows; what is computed from them is not set yet."""
        for name, stored in changes.items():
            column = self._by_name[name]
            column.pass_sequence([stored], moment)
            attribute = f"s{column.field.slot}"
            for row in rows:
                setattr(row, attribute, stored)

    def set_column(
        self, rows: Sequence[Any], name: str, values: Sequence[Value], moment: WriteMoment
    ) -> None:
        """Set a value of its own on each row."""
        column = self._by_name[name]
        attribute = f"s{column.field.slot}"
        for row, value in zip(rows, column.stored(values, moment), strict=True):
            setattr(row, attribute, value)

    def compute(self, rows: Sequence[Any]) -> None:
        """Set every stored computed field from the other fields of its row."""
        for slot, field, expression in self._stored_computed:
            attribute = f"s{slot}"
            where = f"{self.entity.name}.{field.name}"
            for row in rows:
                value = expression.value(row)
                if value is not None:
                    value = stored_value(field.type, fit_result(field.type, value, where))
                elif not field.optional:
                    raise _required(self.entity.entity, field, None)
                setattr(row, attribute, value)

    def _transposed(self, rows: Sequence[RowDict]) -> Sequence[Sequence[Value]]:
        """The given values column by column, `_ABSENT` where a row does not name the field."""
        if not rows:
            return [()] * len(self._names)
        width = len(self._names)
        try:
            if {width} == set(map(len, rows)):
                return list(zip(*map(self._take_all, rows), strict=True))
        except KeyError:
            pass  # some row names other fields: find out below which
        for position, row in enumerate(rows):
            for name in row.keys() - self._known:
                raise self._refuse_name(name, position)
        return [[row.get(name, _ABSENT) for row in rows] for name in self._names]

    def _rows(
        self, by_slot: dict[int, Sequence[Value]], count: int, moment: WriteMoment
    ) -> list[Any]:
        nothing = [None] * count  # a sequence: several slots may walk it
        slots = [by_slot.get(slot, nothing) for slot in range(self._slot_count)]
        begins = itertools.repeat(moment.version, count)
        return list(map(self.entity.codec.Row, begins, *slots))

    def _refuse_name(self, name: str, position: int = 0) -> QueryError | ImmutableError:
        definition = self.entity.fields.get(name)
        if definition is not None:
            return ImmutableError(
                f"{self.entity.name}.{name} is computed from other fields and cannot be written; "
                "leave it out",
                kind="immutable",
                entity=self.entity.name,
                fields=(name,),
                constraint="computed",
                identity=None,
            )
        return QueryError(
            f"{self.entity.name} has no field {name!r} (row {position}); "
            f"its fields are {', '.join(self._names)}",
            entity=self.entity.name,
            field=name,
            row=position,
        )


class _Column:
    """One field as inserts see it."""

    def __init__(self, entity: EntityDef, field: FieldDef) -> None:
        self.entity = entity
        self.field = field
        self.where = f"{entity.name}.{field.name}"
        self._check = column_checker(field.type)
        self._convert = not is_shown_as_stored(field.type)
        self._sequence = f"sequence/{entity.id}/{field.slot}"

    def stored(self, values: Sequence[Value], moment: WriteMoment) -> Sequence[Value]:
        """The column as its slots hold it, defaults filled in."""
        if _Absent in set(map(type, values)):
            values = self._with_defaults(values, moment)
        else:
            self.pass_sequence(values, moment)
        if None in values and not self.field.optional:
            raise _required(self.entity, self.field, values.index(None))
        try:
            checked = self._check(values, self.where)
        except (ValueTypeError, ValueRangeError) as error:
            self._structure(error)
            raise
        if self._convert:
            return [stored_value(self.field.type, value) for value in checked]
        return checked

    def one(self, value: Value) -> Value:
        """A single value as its slot holds it."""
        if value is None:
            if not self.field.optional:
                raise _required(self.entity, self.field, None)
            return None
        try:
            return stored_value(self.field.type, checker(self.field.type)(value, self.where))
        except (ValueTypeError, ValueRangeError) as error:
            self._structure(error)
            raise

    def _structure(self, error: ValueTypeError | ValueRangeError) -> None:
        """Let the refusal of a value say what that of a constraint says."""
        kind = "type"
        if isinstance(error, ValueRangeError):
            kind = "enum" if isinstance(self.field.type, EnumType) else "range"
        error.details.update(
            kind=kind,
            entity=self.entity.name,
            fields=(self.field.name,),
            constraint=f"{self.field.name} {kind}",
            identity=None,
        )

    def pass_sequence(self, values: Sequence[Value], moment: WriteMoment) -> None:
        """Numbers given by hand are not given out again."""
        if isinstance(self.field.default, SequenceDefault):
            given = [value for value in values if type(value) is int]
            if given:
                moment.numbers.raise_to(self._sequence, max(given))

    def _with_defaults(self, values: Sequence[Value], moment: WriteMoment) -> list[Value]:
        absent = sum(value is _ABSENT for value in values)
        make = self._default_maker(absent, moment)
        if make is None and not self.field.optional:
            position = next(i for i, value in enumerate(values) if value is _ABSENT)
            raise _required(self.entity, self.field, position)
        filled = [
            (None if make is None else make()) if value is _ABSENT else value for value in values
        ]
        self.pass_sequence(filled, moment)
        return filled

    def _default_maker(self, count: int, moment: WriteMoment) -> Callable[[], Value] | None:
        match self.field.default:
            case LiteralDefault(value=value):
                return lambda: value
            case NowDefault():
                now: Value = moment.timestamp()
                if isinstance(self.field.type, DateType):
                    now = now.date()
                return lambda: now
            case Uuid7Default():
                return lambda: _uuid7(moment)
            case SequenceDefault():
                first = moment.numbers.take(self._sequence, count)
                return itertools.count(first).__next__
            case _:
                return None


def _fill_from_expression(
    entity: EntityLayout,
    column: _Column,
    values: Sequence[Value],
    rows: Sequence[Any],
    clock: Clock,
) -> None:
    default = column.field.default
    assert isinstance(default, ExpressionDefault)
    expression = RowExpression(default.expression, entity, clock)
    attribute = f"s{column.field.slot}"
    for value, row in zip(values, rows, strict=True):
        given = expression.value(row) if value is _ABSENT else value
        setattr(row, attribute, column.one(given))


def _tuple_getter(names: Sequence[str]) -> Callable[[RowDict], tuple[Value, ...]]:
    if len(names) == 1:
        only = names[0]
        return lambda row: (row[only],)
    return itemgetter(*names)


def _required(entity: EntityDef, field: FieldDef, position: int | None) -> RequiredError:
    place = "" if position is None else f" (row {position})"
    return RequiredError(
        f"{entity.name}.{field.name} is required and has no value{place}; "
        "give one, or declare the field optional or with a default",
        kind="required",
        entity=entity.name,
        fields=(field.name,),
        constraint=f"{field.name} required",
        identity=None,
        row=position,
    )


def _uuid7(moment: WriteMoment) -> uuid.UUID:
    """RFC 9562: 48 bits of milliseconds, then random bits around version and variant."""
    number = (moment.wall_us // 1_000) << 80 | int.from_bytes(moment.random_bytes(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62)

"""What an update sets: constants, and expressions over what the row was.

    {"checked": True}, (("seen", seen + 1), ("best", coalesce(best, seen)))

    row before    checked NULL   seen 4   best NULL
    row after     checked True   seen 5   best 4         every expression sees the row before

A result takes the form of its field: a decimal is rounded to its scale, and what the field cannot
hold is refused, as are a number beyond 64 bits and NULL in a required field.

Invariants (held by tests/unit/txn/test_update_where.py and tests/property/test_writes_model.py):
  1. An expression sees the row as it was before the statement, whatever else is set.
  2. What is computed from other fields follows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ormdb.errors import QueryError, UsageError
from ormdb.ir.evaluate import fit_result
from ormdb.ir.expr import Call, Expr, Literal
from ormdb.ir.mutation import Expressions
from ormdb.ir.value import DateType, Value
from ormdb.storage.expressions import RowExpression
from ormdb.storage.layout import EntityLayout
from ormdb.txn.ground import Ground

_NOW: Final = Call(name="now", arguments=())


class Assigner:
    """Sets what one statement assigns, on any number of rows."""

    def __init__(
        self,
        ground: Ground,
        entity: EntityLayout,
        changes: Mapping[str, Value],
        expressions: Expressions = (),
    ) -> None:
        """Raises QueryError, ImmutableError and others for what cannot be assigned."""
        self._ground = ground
        self._builder = ground.builder(entity)
        self._entity = entity
        names = [name for name, _ in expressions]
        for name in names:
            if name in changes or names.count(name) > 1:
                raise UsageError(f"{entity.name}.{name} is assigned twice; assign it once")
        self._builder.require_assignable((*changes, *names))
        self._changes = self._builder.stored(changes)
        self._expressions = [
            (entity.fields[name], self._compiled(name, expression))
            for name, expression in expressions
        ]

    @property
    def names(self) -> set[str]:
        """The fields that are set."""
        return {*self._changes, *(field.name for field, _ in self._expressions)}

    def set_on(self, rows: Sequence[Any], before: Sequence[Any]) -> None:
        """Change rows, which were as `before`, and what is computed from what changed."""
        if not rows:
            return
        builder, moment = self._builder, self._ground.moment
        builder.set_stored(rows, self._changes, moment)
        for field, expression in self._expressions:
            where = f"{self._entity.name}.{field.name}"
            values = [fit_result(field.type, expression.value(row), where) for row in before]
            builder.set_column(rows, field.name, values, moment)
        builder.compute(rows)

    def take(self, rows: Sequence[Any], values: Mapping[str, Value]) -> None:
        """Set values on rows that are not those of the statement; before `set_on`, which computes
        what follows.

        Raises:
          QueryError, ImmutableError and others: they cannot be set.
        """
        self._builder.require_assignable(values)
        self._builder.set_stored(rows, self._builder.stored(values), self._ground.moment)

    def _compiled(self, name: str, expression: Expr) -> RowExpression:
        entity = self._entity
        kind = entity.fields[name].type
        if isinstance(kind, DateType) and expression == _NOW:  # as the default of a field
            expression = Literal(value=self._ground.moment.timestamp().date())
        try:
            return self._ground.tools.expression(entity, expression, kind)
        except QueryError as error:
            raise QueryError(
                f"{entity.name}.{name} cannot be set to that: {error.message}",
                **{**error.details, "entity": entity.name, "field": name},
            ) from error

"""What statements of one schema version are made with, compiled once and shared by all commits.

    Tools(layout)
      builder(Flight)   columns, defaults and computed fields of the rows of an entity
      checks(Flight)    its checks, each as a generated function over a batch
      expression(...)   what statements assign or ask, of those used last

Compiled expressions ask a clock for the time and for random bytes.  It answers from the moment of
the statement that is applied in the same thread, so that a statement means one moment, and the same
one when it is run again.

Invariants (held by tests/unit/txn/test_rows.py and tests/property/test_writes_model.py):
  1. Nothing in here belongs to one commit; threads use it side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from ormdb import limits
from ormdb.catalog.declared import own_fields
from ormdb.clock import Clock
from ormdb.ir.expr import Expr, Literal
from ormdb.ir.expression_type import check_size, coerce_literals, paths_in, walk
from ormdb.ir.value import Type
from ormdb.storage.expressions import RowExpression, compile_violations
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.txn.rows import RowBuilder, WriteMoment

# The name of a check, its fields, and what finds the positions of rows for which it is false.
Check: TypeAlias = tuple[str, tuple[str, ...], Callable[[Sequence[Any]], list[int]]]


class _Here(threading.local):
    """The moment of the statement that this thread applies."""

    moment: WriteMoment | None = None


class StatementClock:
    """The time and the randomness of the statement that is applied: both come from its moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._here = _Here()

    def enter(self, moment: WriteMoment) -> None:
        """What this thread does from here on means this moment."""
        self._here.moment = moment

    def leave(self) -> None:
        """The statement is done; its moment leads to the transaction, and is let go."""
        self._here.moment = None

    def wall_us(self) -> int:
        moment = self._here.moment
        return self._clock.wall_us() if moment is None else moment.wall_us

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def random_bytes(self, count: int) -> bytes:
        moment = self._here.moment
        return self._clock.random_bytes(count) if moment is None else moment.random_bytes(count)


class Tools:
    """What the statements of one layout are made with."""

    def __init__(self, clock: Clock) -> None:
        self.clock = StatementClock(clock)
        self._builders: dict[str, RowBuilder] = {}
        self._checks: dict[str, list[Check]] = {}
        self._expressions: dict[Hashable, RowExpression] = {}

    def builder(self, entity: EntityLayout) -> RowBuilder:
        """What builds the rows of an entity."""
        builder = self._builders.get(entity.name)
        if builder is None:
            made = RowBuilder(entity, self.clock)
            builder = self._builders.setdefault(entity.name, made)
        return builder

    def checks(self, entity: EntityLayout) -> list[Check]:
        """The checks of an entity."""
        checks = self._checks.get(entity.name)
        if checks is None:
            made = [
                (
                    check.name,
                    tuple(sorted({path[0] for path in paths_in(check.expression)})),
                    compile_violations(check.expression, entity, self.clock),
                )
                for check in entity.entity.checks
            ]
            checks = self._checks.setdefault(entity.name, made)
        return checks

    def expression(self, entity: EntityLayout, expr: Expr, kind: Type) -> RowExpression:
        """An expression over the fields of a row, whose result is of a type.

        Raises:
          QueryError: it does not fit the fields, or the type.
        """
        check_size(expr)  # whoever looks it up walks through it
        # Numbers of different classes are equal, and so are the nodes that hold them.
        spelt = tuple(repr(node.value) for node in walk(expr) if isinstance(node, Literal))
        key = entity.name, kind, expr, spelt
        try:
            found = self._expressions.get(key)
        except TypeError:  # a literal is a list or a dict
            return self._compiled(entity, expr, kind)
        if found is None:
            found = self._compiled(entity, expr, kind)
            if len(self._expressions) >= limits.GENERATED_CODE_ENTRIES_MAX:
                self._expressions = {}
            self._expressions[key] = found
        return found

    def _compiled(self, entity: EntityLayout, expr: Expr, kind: Type) -> RowExpression:
        fitted = coerce_literals(expr, own_fields(entity.entity), expected=kind)
        return RowExpression(fitted, entity, self.clock)


class Toolbox:
    """The tools of every layout in use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: WeakKeyDictionary[Layout, Tools] = WeakKeyDictionary()

    def tools(self, layout: Layout) -> Tools:
        """The tools of a layout, made on first use."""
        found = self._made.get(layout)
        return self._made.setdefault(layout, Tools(self._clock)) if found is None else found

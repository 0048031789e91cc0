"""What statements of one schema version are made with, compiled once and shared by all commits.

    Tools(layout)
      builder(Flight)   columns, defaults and computed fields of the rows of an entity
      checks(Flight)    its checks, each as a generated function over a batch

Compiled expressions ask a clock for the time and for random bytes.  It answers from the moment of
the statement that is applied in the same thread, so that a statement means one moment, and the same
one when it is run again.

Invariants (held by tests/unit/txn/test_rows.py and tests/property/test_writes_model.py):
  1. Nothing in here belongs to one commit; threads use it side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from ormdb.clock import Clock
from ormdb.ir.expression_type import paths_in
from ormdb.storage.expressions import compile_violations
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


class Toolbox:
    """The tools of every layout in use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: WeakKeyDictionary[Layout, Tools] = WeakKeyDictionary()

    def tools(self, layout: Layout) -> Tools:
        """The tools of a layout, made on first use."""
        found = self._made.get(layout)
        return self._made.setdefault(layout, Tools(self._clock)) if found is None else found

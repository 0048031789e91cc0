"""A schema on which transactions can go wrong in every way, as a stage of scripts.

    with ormdb.open(":memory:", schema=SCHEMA) as db:
        found(db, keys=3)
        run_plan(Playground(db), plan)

    Step("append_note", 2, 17)      reads the last note of board 2, and puts 17 behind it
    Step("members", 1, "range")     reads the items with tag 1 by a range of the index

The entities are in `playground_schema`, what the steps mean in `playground_steps`.

Invariants (held by tests/property/test_serializability.py):
  1. In the history of transactions that ran one after the other there is no finding.
"""

from __future__ import annotations

from ormdb.database.database import Database
from ormdb.database.writing import Transaction
from ormdb.errors import UsageError
from ormdb.testing.history import Record
from ormdb.testing.playground_schema import SCHEMA, TOTALS, found
from ormdb.testing.playground_steps import STEPS
from ormdb.testing.scheduler import OpenTransaction, Script, Step

__all__ = ["SCHEMA", "STEPS", "TOTALS", "Playground", "found"]


class Playground:
    """A database with this schema, as a stage of scripts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, script: Script) -> OpenTransaction:
        """Begin a transaction."""
        return _Playing(self._database.transaction(exclusive=script.exclusive))


class _Playing:
    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def take(self, step: Step, record: Record) -> None:
        if step.kind == "undone":
            self._take_and_undo(step.key, record)
            return
        doing = STEPS.get(step.kind)
        if doing is None:
            raise UsageError(f"the playground has no step {step.kind!r}; it has {', '.join(STEPS)}")
        doing(self._txn, record, step)

    def commit(self) -> None:
        self._txn.commit()

    def rollback(self) -> None:
        self._txn.rollback()

    def _take_and_undo(self, step: Step, record: Record) -> None:
        """Take a step in a savepoint and undo it: nothing of it may ever be seen."""
        before = len(record.transaction.operations)
        try:
            with self._txn.savepoint():
                self.take(step, record)
                raise _UndoneError
        except _UndoneError:
            del record.transaction.operations[before:]


class _UndoneError(Exception):
    """A savepoint is undone."""

"""The floors below `database`, wired by hand: an engine, a committer and one schema.

Tests of storage and of commits use it to look at spaces directly, and to break them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import RowDict, Value
from ormdb.storage.changelog import ChangeSet, append_entry
from ormdb.storage.check import check
from ormdb.storage.engine import Engine, Item, ReadTransaction, Space, WriteTransaction
from ormdb.storage.findings import CheckReport
from ormdb.storage.head import Head, read_head, write_head
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.memory import MemoryEngine
from ormdb.txn.commit import Committer
from ormdb.txn.request import request_of
from tests.oracle.clocks import StillClock
from tests.oracle.club import NUMBERED

PRINCIPAL = "tester"


class Store:
    """An open store; commit 1 makes the schema."""

    def __init__(
        self,
        bundle: SchemaBundle = NUMBERED,
        engine: Engine | None = None,
        *,
        retention_us: int = 10**15,
    ) -> None:
        self.clock = StillClock()
        self.engine: Engine = MemoryEngine() if engine is None else engine
        self.layout = Layout(bundle)
        self.committer = Committer(
            self.engine,
            self.clock,
            layout_at=lambda _txn, _version: self.layout,
            pinned=lambda: None,
            retention_us=retention_us,
        )
        with self.writing() as txn:
            head = Head(
                version=1,
                wall_us=self.clock.wall_us(),
                schema_version=bundle.version,
                horizon=1,
                database_id=b"\7" * 16,
            )
            append_entry(txn, ChangeSet(), version=1, wall_us=head.wall_us, principal=PRINCIPAL)
            write_head(txn, head)

    def entity(self, name: str) -> EntityLayout:
        return self.layout.entities[name]

    @contextmanager
    def reading(self) -> Generator[ReadTransaction]:
        """A snapshot."""
        txn = self.engine.begin_read()
        try:
            yield txn
        finally:
            txn.close()

    @contextmanager
    def writing(self) -> Generator[WriteTransaction]:
        """An engine transaction below every rule, committed at its end."""
        txn = self.engine.begin_write()
        try:
            yield txn
            txn.commit()
        finally:
            txn.abort()

    @property
    def head(self) -> Head:
        with self.reading() as txn:
            head = read_head(txn)
        assert head is not None
        return head

    def commit(self, *mutations: Mutation) -> int:
        """Make one commit; its version."""
        self.clock.advance(seconds=1)
        return self.committer.commit(request_of(mutations, PRINCIPAL)).version

    def insert(self, entity: str, *rows: RowDict) -> int:
        return self.commit(Insert(entity=entity, rows=rows))

    def update(self, entity: str, *identity: Value, **changes: Value) -> int:
        return self.commit(Update(entity=entity, identity=identity, changes=changes))

    def delete(self, entity: str, *identities: tuple[Value, ...]) -> int:
        return self.commit(Delete(entity=entity, identities=identities))

    def items(self, space: Space) -> list[Item]:
        """Everything in a space."""
        with self.reading() as txn:
            return [item for batch in txn.scan(space) for item in batch]

    def check(self, *, deep: bool = True) -> CheckReport:
        with self.reading() as txn:
            return check(txn, self.layout, deep=deep)

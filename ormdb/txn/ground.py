"""What a statement stands on: the transaction it writes to, its moment, and how rows are found.

    find(Airport, [("JFK",)])       identities ─> row keys and rows, which all have to be there
    select(Flight where ...)        a query    ─> row keys, in the query's order
    decoded(Airport, keys, rows)    bytes      ─> rows that may be changed and written

Every read goes through the transaction that the statement writes to, so a statement sees what those
before it wrote.  What finds rows by a query lies above this floor and is passed in.

Invariants (held by tests/property/test_writes_model.py):
  1. An identity leads to its row or to NotFoundError, never to another row.
  2. Whatever of an expression is not in the row comes from the statement's moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from ormdb.errors import CorruptionError, NotFoundError, QueryError, UnsupportedError
from ormdb.ir.check import checker
from ormdb.ir.expr import Literal
from ormdb.ir.expression_type import check_size
from ormdb.ir.graph import GraphQuery
from ormdb.ir.rewrite import with_moment
from ormdb.ir.value import Value
from ormdb.storage.engine import WriteTransaction
from ormdb.storage.keys import row_key
from ormdb.storage.layout import EntityLayout, Layout
from ormdb.storage.records import stored_value
from ormdb.storage.versions import RowWriter
from ormdb.storage.views import CurrentView, View
from ormdb.txn.constraints import Probes, show_identity
from ormdb.txn.deferral import Deferred
from ormdb.txn.rows import RowBuilder, WriteMoment
from ormdb.txn.tools import Tools

# Finds the row keys of a query's roots, in its order, through a view.
Select: TypeAlias = Callable[[View, Layout, GraphQuery], list[bytes]]


class Ground:
    """What the statements of one commit share."""

    def __init__(
        self,
        writer: RowWriter,
        probes: Probes,
        tools: Tools,
        moment: WriteMoment,
        select: Select | None,
    ) -> None:
        self.writer = writer
        self.probes = probes
        self.deferred = Deferred(writer, probes)
        self.clock = tools.clock
        self.tools = tools
        self.moment = moment
        self._select = select

    @property
    def txn(self) -> WriteTransaction:
        """What is read from and written to."""
        return self.writer.txn

    @property
    def layout(self) -> Layout:
        return self.writer.layout

    def entity(self, name: str) -> EntityLayout:
        """An entity by its name."""
        return entity_named(self.layout, name)

    def builder(self, entity: EntityLayout) -> RowBuilder:
        """What builds the rows of an entity."""
        return self.tools.builder(entity)

    def select(self, query: GraphQuery) -> list[bytes]:
        """The row keys of a query's rows, in its order, as the statement finds them."""
        if self._select is None:
            raise UnsupportedError("rows cannot be found by a query here; name them by identity")
        if query.filter is not None:
            # What is run again has to mean the moment that it meant first.
            check_size(query.filter)
            moment = Literal(value=self.moment.timestamp())
            query = replace(query, filter=with_moment(query.filter, moment))
        self.writer.flush()
        return self._select(CurrentView(self.txn, self.writer.version), self.layout, query)

    def find(
        self, entity: EntityLayout, identities: Sequence[tuple[Value, ...]]
    ) -> tuple[list[bytes], list[bytes]]:
        """Row keys and rows of identities, all of which must exist."""
        keys, found = self.look(entity, identities)
        rows: list[bytes] = []
        for identity, row in zip(identities, found, strict=True):
            if row is None:
                raise no_such_row(entity, identity)
            rows.append(row)
        return keys, rows

    def look(
        self, entity: EntityLayout, identities: Sequence[tuple[Value, ...]]
    ) -> tuple[list[bytes], list[bytes | None]]:
        """Row keys and rows of identities; None and an empty key where there is none."""
        encoded = encoded_identities(entity, identities)
        index = entity.identity
        if index is None:
            return encoded, self.txn.get_many(entity.rows, encoded)
        keys = [joined[:8] for joined in self.txn.many(index.space, encoded)]
        led = [at for at, key in enumerate(keys) if key]
        found = self.txn.get_many(entity.rows, [keys[at] for at in led])
        present = [row for row in found if row is not None]
        if len(present) < len(led):
            raise misleading(entity)
        decoded = entity.codec.whole.decode_batch([keys[at] for at in led], present)
        if index.encode_rows(decoded) != [encoded[at] for at in led]:
            raise misleading(entity)
        rows: list[bytes | None] = [None] * len(keys)
        for at, row in zip(led, present, strict=True):
            rows[at] = row
        return keys, rows

    def rows(self, entity: EntityLayout, keys: Sequence[bytes]) -> list[bytes]:
        """The rows of keys that were just found."""
        found = [row for row in self.txn.get_many(entity.rows, keys) if row is not None]
        if len(found) < len(keys):
            raise misleading(entity)
        return found

    def decoded(
        self, entity: EntityLayout, keys: Sequence[bytes], rows: Sequence[bytes]
    ) -> list[Any]:
        """Rows as `codec.Row`, which is what RowWriter takes, begun by this commit."""
        return self.begun(entity, entity.codec.whole.decode_batch(keys, rows))

    def begun(self, entity: EntityLayout, rows: Sequence[Any]) -> list[Any]:
        """Copies of decoded rows that may be changed and written."""
        return self.writer.begun(entity, rows)


def entity_named(layout: Layout, name: str) -> EntityLayout:
    """The entity of a name; QueryError when there is none."""
    entity = layout.entities.get(name)
    if entity is None:
        raise QueryError(
            f"the schema has no entity {name!r}; it has {', '.join(layout.entities)}",
            entity=name,
        )
    return entity


def no_such_row(entity: EntityLayout, identity: tuple[Value, ...]) -> NotFoundError:
    """What is raised for an identity that no row has."""
    return NotFoundError(
        f"{entity.name} has no row with {', '.join(entity.entity.identity)} = "
        f"{show_identity(identity)}; nothing was changed",
        entity=entity.name,
        identity=identity,
    )


def encoded_identities(
    entity: EntityLayout, identities: Sequence[tuple[Value, ...]]
) -> list[bytes]:
    """The key of each identity in its index; its row key if it is an int."""
    fields = [entity.fields[name] for name in entity.entity.identity]
    encoded: list[bytes] = []
    for identity in identities:
        if len(identity) != len(fields):
            raise QueryError(
                f"the identity of {entity.name} is ({', '.join(entity.entity.identity)}), "
                f"not {len(identity)} value(s)",
                entity=entity.name,
            )
        values: list[Value] = []
        for field, value in zip(fields, identity, strict=True):
            where = f"{entity.name}.{field.name}"
            values.append(stored_value(field.type, checker(field.type)(value, where)))
        if entity.identity is None:
            encoded.append(row_key(values[0]))
        else:
            encoded.append(entity.identity.encode_values(values))
    return encoded


def misleading(entity: EntityLayout) -> CorruptionError:
    """The error for an identity that leads astray."""
    return CorruptionError(
        f"the identity of a {entity.name} leads to no row, or to one of another identity; "
        "run `ormdb check --deep`, then restore a backup",
        entity=entity.name,
    )

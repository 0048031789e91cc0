"""Which rows an update or a delete by identity means, once its conditions are asked.

    Update Airport JFK where gates > 3          the row, or none; NotFoundError without such a row
    Update Airport JFK if_version 41            ConflictError if commit 42 or later changed it

Invariants (held by tests/unit/txn/test_conditional.py):
  1. A row that is missing is an error, one of which the condition is not true is not.
  2. What the same transaction wrote does not count as a change by somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence

from ormdb.errors import ConflictError
from ormdb.ir.expr import Aggregate, And, Compare, Expr, FieldRef, Literal, Or, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import Delete, Update
from ormdb.ir.value import BoolType, Value
from ormdb.storage.layout import EntityLayout
from ormdb.txn.constraints import show_identity
from ormdb.txn.ground import Ground


def rows_to_update(ground: Ground, entity: EntityLayout, update: Update) -> list[bytes]:
    """The row key of the row, or none if it is not to be changed.

    Raises:
      NotFoundError: there is no such row.
      ConflictError: it was changed since.
    """
    return _chosen(ground, entity, [update.identity], update.where, update.if_version)


def rows_to_delete(ground: Ground, entity: EntityLayout, delete: Delete) -> list[bytes]:
    """The row keys of the rows that are to go, each once.

    Raises:
      NotFoundError: one of them is not there.
      ConflictError: one was changed since.
    """
    identities = list(dict.fromkeys(delete.identities))
    return _chosen(ground, entity, identities, delete.where, delete.if_version)


def _chosen(
    ground: Ground,
    entity: EntityLayout,
    identities: Sequence[tuple[Value, ...]],
    where: Expr | None,
    if_version: int | None,
) -> list[bytes]:
    keys, rows = ground.find(entity, identities)
    if if_version is not None:
        begins = [row.b for row in entity.codec.begins.decode_batch(keys, rows)]
        own = ground.writer.version
        for identity, begin in zip(identities, begins, strict=True):
            if begin > if_version and begin != own:
                raise _changed_since(entity, identity, begin, if_version)
    if where is None or not keys:
        return keys
    if _is_about_the_row(where):
        condition = ground.tools.expression(entity, where, BoolType())
        decoded = entity.codec.whole.decode_batch(keys, rows)
        return [key for key, row in zip(keys, decoded, strict=True) if condition.value(row) is True]
    there = set(ground.select(_query(entity, identities, where)))
    return [key for key in keys if key in there]


def _is_about_the_row(where: Expr) -> bool:
    """Whether a condition asks for nothing but fields of the row itself."""
    for node in walk(where):
        if isinstance(node, Related | Aggregate) or (
            isinstance(node, FieldRef) and len(node.path) > 1
        ):
            return False
    return True


def _changed_since(
    entity: EntityLayout, identity: tuple[Value, ...], begin: int, if_version: int
) -> ConflictError:
    return ConflictError(
        f"{entity.name} {show_identity(identity)} was changed by commit {begin}, after "
        f"commit {if_version} that you have seen; read it again, and decide anew",
        entity=entity.name,
        identity=identity,
        read_at=if_version,
        version=begin,
    )


def _query(
    entity: EntityLayout, identities: Sequence[tuple[Value, ...]], where: Expr
) -> GraphQuery:
    named: list[Expr] = []
    for identity in identities:
        parts: list[Expr] = [
            Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=value))
            for name, value in zip(entity.entity.identity, identity, strict=True)
        ]
        named.append(parts[0] if len(parts) == 1 else And(items=tuple(parts)))
    which = named[0] if len(named) == 1 else Or(items=tuple(named))
    return GraphQuery(entity=entity.name, filter=And(items=(which, where)))

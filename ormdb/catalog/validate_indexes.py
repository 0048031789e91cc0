"""The rules about indexes: what each kind may be over, and what its condition may say.

    index open_by on created where status == "open"       ordered, partial
    unique index one_open on customer where not closed    unique among those that are not closed
    inverted index by_tags on tags                        one list of scalars, or one JSON field
    full text index words on title, notes                 texts

A condition decides with every write whether a row has an entry, so it must not be able to fail, and
must say the same of a row for ever: no arithmetic, whose results may be out of range, and no now().

Invariants (held by tests/unit/catalog/test_validate_indexes.py):
  1. The condition of an index that passes can be asked of every row of its entity, and never
     raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from ormdb import limits
from ormdb.catalog.declared import own_fields
from ormdb.errors import LimitError, QueryError
from ormdb.ir.evaluate import coerce_literals
from ormdb.ir.expr import And, Call, Compare, Expr, FieldRef, InList, IsNull, Literal, Not, Or
from ormdb.ir.expression_type import paths_in, walk
from ormdb.ir.function_type import TESTS
from ormdb.ir.schema import EntityDef, FieldDef, IndexDef
from ormdb.ir.type_text import type_name
from ormdb.ir.value import BoolType, JsonType, ListType, TextType, is_scalar

# Functions that give a value for every row, whatever it holds.
_SAFE: Final = TESTS | {"at", "coalesce", "length", "lower", "trim", "upper", "year"}
_PARTS: Final = (And, Call, Compare, FieldRef, InList, IsNull, Literal, Not, Or)


def check_index(entity: EntityDef, index: IndexDef) -> Iterable[str]:
    """What is wrong with an index, its name aside."""
    where = f"index {index.name!r} of {entity.name}"
    if not index.fields:
        yield f"{where} has no fields; name at least one"
    if len(index.fields) > limits.ORDER_FIELDS_MAX:
        yield f"{where} has {len(index.fields)} fields; {limits.ORDER_FIELDS_MAX} at most"
    names = [part.field for part in index.fields]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{where} names the field {name!r} {count} times; once is enough"
    if index.kind == "ordered":
        yield from check_stored_scalars(where, entity, names)
    else:
        yield from _tokens(where, entity, index)
    if index.condition is not None:
        yield from _condition(where, entity, index.condition)
    if index.deferred and not index.unique:
        yield f"{where} is deferred but not unique; there is nothing to check when it ends"


def check_stored_scalars(where: str, entity: EntityDef, names: Iterable[str]) -> Iterable[str]:
    """What keeps fields from being sorted by."""
    for name, field in _stored(entity, names):
        if field is None:
            yield f"{where} names {name!r}, which is not a field of {entity.name}"
        elif not is_scalar(field.type):
            yield f"{where} names {entity.name}.{name}, which is no scalar; only scalars sort"
        elif field.computed is not None and not field.computed.stored:
            yield _computed(where, entity, name)


def _tokens(where: str, entity: EntityDef, index: IndexDef) -> Iterable[str]:
    word = index.kind.replace("_", " ")
    if index.unique:
        yield f"{where} is {word} and cannot be unique; declare an ordered index for that"
    if any(part.descending for part in index.fields):
        yield f"{where} is {word} and has no direction; take desc away"
    if index.kind == "inverted" and len(index.fields) > 1:
        yield f"{where} is inverted over {len(index.fields)} fields; declare one for each of them"
    for name, field in _stored(entity, [part.field for part in index.fields]):
        if field is None:
            yield f"{where} names {name!r}, which is not a field of {entity.name}"
        elif not _has_tokens(index, field):
            fitting = "texts" if index.kind == "full_text" else "lists and JSON"
            held = type_name(field.type)
            yield f"{where} is {word}, which is for {fitting}; {entity.name}.{name} is {held}"
        elif field.computed is not None and not field.computed.stored:
            yield _computed(where, entity, name)


def _has_tokens(index: IndexDef, field: FieldDef) -> bool:
    match field.type:
        case TextType():
            return index.kind == "full_text"
        case ListType() | JsonType():
            return index.kind == "inverted"
        case _:
            return False


def _condition(where: str, entity: EntityDef, condition: Expr) -> Iterable[str]:
    try:
        coerce_literals(condition, own_fields(entity), expected=BoolType())
        nodes = list(walk(condition))
    except (QueryError, LimitError) as error:
        yield f"the condition of {where}: {error.message}"
        return
    for node in nodes:
        if isinstance(node, Call) and node.name not in _SAFE:
            yield (
                f"the condition of {where} calls {node.name}(), which may fail or change by "
                "itself; ask a stored computed field"
            )
        elif not isinstance(node, _PARTS):
            yield (
                f"the condition of {where} calculates, which may fail for a row; "
                "ask a stored computed field"
            )
    names = sorted({path[0] for path in paths_in(condition)})
    for name, field in _stored(entity, names):
        if field is not None and field.computed is not None and not field.computed.stored:
            yield _computed(f"the condition of {where}", entity, name)


def _stored(entity: EntityDef, names: Iterable[str]) -> Iterable[tuple[str, FieldDef | None]]:
    fields = {field.name: field for field in entity.fields}
    return [(name, fields.get(name)) for name in dict.fromkeys(names)]


def _computed(where: str, entity: EntityDef, name: str) -> str:
    return f"{where} names {entity.name}.{name}, which is computed when read; declare it stored"

"""Schema definitions: what the user declared, as data.

A bundle is declared by names alone.  When the catalog stores it, every entity, field, relation
and index also gets a number that is never used again for anything else: rows address fields by
`slot`, spaces are named by `id`.  A number of UNASSIGNED means "declared, not stored".

    SchemaBundle
      EntityDef airport          identity ("faa",)
        FieldDef faa: text       slot 0
        FieldDef name: text      slot 1
      EntityDef flight           identity ("id",)
        FieldDef origin_faa      slot 1
      RelationDef origin         flight.(origin_faa) -> airport.(faa), inverse "departures"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias
from typing import Literal as Choice

from ormdb.ir.expr import Expr
from ormdb.ir.value import Type, Value

UNASSIGNED: Final = -1
IndexKind: TypeAlias = Choice["ordered", "inverted", "full_text"]
OnDelete: TypeAlias = Choice["restrict", "cascade", "set_null", "no_action"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralDefault:
    """The same value for every insert that gives none."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class NowDefault:
    """The moment of the write (timestamp), or its UTC day (date)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uuid7Default:
    """A new time-ordered UUID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceDefault:
    """The next number of the entity's own sequence; never given twice, gaps are possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionDefault:
    """An expression over the other fields of the new row."""

    expression: Expr


Default: TypeAlias = (
    LiteralDefault | NowDefault | Uuid7Default | SequenceDefault | ExpressionDefault
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """The field's value is `expression` over the other fields; stored in the row or not."""

    expression: Expr
    stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDef:
    """One field.  `fill` is what rows written before the field existed read as."""

    name: str
    type: Type
    optional: bool = False
    default: Default | None = None
    computed: Computed | None = None
    fill: Value = None
    doc: str = ""
    slot: int = UNASSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexField:
    """One column of an index: its field, its direction."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDef:
    """An index: ordered over scalar fields, or of tokens.

    ordered     by the values of its fields; NULL sorts before every value, and after every value
                in a descending column
    inverted    over one list, by its items, or over one JSON field, by its keys and scalars
    full_text   over texts, by the tokens of all of them together

    With a condition it is *partial*: it holds only the rows for which the condition is true.  A
    unique index refuses a second row with the same values among the rows it holds, unless one of
    the values is NULL; a `deferred` one does so when the transaction ends.
    """

    name: str
    fields: tuple[IndexField, ...]
    unique: bool = False
    kind: IndexKind = "ordered"
    condition: Expr | None = None
    deferred: bool = False
    id: int = UNASSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDef:
    """An expression over the entity's own fields that must not be false for any row."""

    name: str
    expression: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityDef:
    """One entity.  `identity` names the fields that tell its rows apart; they never change.

    Rows of an entity with `soft_delete` that are deleted are kept aside, to be restored or purged.
    """

    name: str
    fields: tuple[FieldDef, ...]
    identity: tuple[str, ...]
    indexes: tuple[IndexDef, ...] = ()
    checks: tuple[CheckDef, ...] = ()
    soft_delete: bool = False
    doc: str = ""
    id: int = UNASSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationDef:
    """A foreign key with both of its directions named.

    `source.fields` hold the values of `target.target_fields` (its identity, or the fields of one
    of its unique indexes).  `name` follows it to one row; `inverse` follows it back, to many rows
    or, when `inverse_one` says so, to one.  An enforced relation refuses dangling values and also
    keeps the target's row id in the hidden slot `slot`; one that is not enforced keeps the values
    as they are and resolves them when read.

    `on_delete` says what becomes of the rows that refer to one that is deleted: they keep it from
    being deleted (restrict), go with it (cascade), refer to nothing (set_null), or have to refer
    to a row again when the transaction ends (no_action).  With `deferred`, what a row refers to
    needs not be there before that, either.
    """

    name: str
    source: str
    fields: tuple[str, ...]
    target: str
    target_fields: tuple[str, ...]
    inverse: str | None = None
    inverse_one: bool = False
    on_delete: OnDelete = "restrict"
    enforced: bool = True
    deferred: bool = False
    doc: str = ""
    id: int = UNASSIGNED
    slot: int = UNASSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughDef:
    """A many-to-many relation: from `entity` over the rows of the edge entity to `target`.

    `near` is the edge's relation to `entity`, `far` its relation to `target`.  `order` names
    fields of the edge entity that order the targets of one parent.  The inverse direction is
    a ThroughDef of its own.
    """

    name: str
    entity: str
    edge: str
    near: str
    far: str
    target: str
    order: tuple[IndexField, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaBundle:
    """A whole schema.  `version` is its number in the catalog, 0 when it is not stored."""

    entities: tuple[EntityDef, ...]
    relations: tuple[RelationDef, ...] = ()
    throughs: tuple[ThroughDef, ...] = ()
    doc: str = ""
    version: int = 0

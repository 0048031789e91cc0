"""Where a schema lies on disk: the spaces, slots and keys of every entity, index and relation.

    bundle                                   layout
    Flight id 3, identity (id: int)          rows/3  history/3       the identity is the row key
      index by_time (dep_time) id 5          index/5  index_history/5
    Airport id 1, identity (faa: text)       rows/1  history/1  identity/1  identity_history/1
    origin id 2: Flight.origin -> Airport    relation/2  relation_history/2, hidden slot in Flight
    plane id 4: not enforced                 relation/4: keyed by the value itself

A `Layout` is derived from one numbered bundle and never changes; a new schema version gets a new
one.  An identity, an index and a relation are all a `Multimap` from keys made of a row's slots to
row keys, with a history beside it.  Most have one key for a row, an `IndexLayout`; an inverted or a
full text index has as many as the row has tokens.

Invariants (held by tests/unit/storage/test_layout.py):
  1. Two different things of one bundle never share a space or a slot.
  2. The last column of an index is stored ascending: an index declared with a descending last
     column is stored with all its directions flipped and read backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import compress
from typing import Any, Final, TypeAlias, TypeVar, cast
from typing import Literal as Choice

from ormdb import limits
from ormdb.ir.expr import Expr
from ormdb.ir.expression_type import paths_in
from ormdb.ir.schema import (
    UNASSIGNED,
    EntityDef,
    FieldDef,
    IndexDef,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.value import EnumType, IntType, ListType, Type, Value
from ormdb.storage.engine import Item, Space
from ormdb.storage.expressions import compile_condition
from ormdb.storage.keys import (
    KeyColumn,
    compile_batch_key_encoder,
    encode_key,
    encode_prefix,
)
from ormdb.storage.multimap import Multimap, NumberedKey, TokenIndex
from ormdb.storage.records import RowCodec, is_stored, slot_values
from ormdb.storage.tokens import (
    NO_TOKENS,
    Tokens,
    json_tokens,
    list_encoder,
    text_tokens,
)

ROW_KEY_BYTES: Final = 8
META: Final = Space("meta")
CATALOG: Final = Space("catalog")
CHANGES: Final = Space("changes")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexLayout(Multimap):
    """A multimap with one key for a row, or none, made of values that sort.

    `encode_rows` maps decoded rows to keys, None where a row has no entry.  `columns` are in
    stored order and direction.  `deferred` says that it is unique, too, but not before a
    transaction ends: until then nobody may count on it.
    """

    columns: tuple[KeyColumn, ...]
    encode_rows: Callable[[Sequence[Any]], list[bytes | None]]
    unique: bool = False
    deferred: bool = False
    flipped: bool = False

    def key_sets(self, rows: Sequence[Any]) -> list[Collection[bytes]]:
        return [() if key is None else (key,) for key in self.encode_rows(rows)]

    def items(self, rows: Sequence[Any], row_keys: Sequence[bytes]) -> list[Item]:
        encoded = self.encode_rows(rows)
        return [(k, key) for k, key in zip(encoded, row_keys, strict=True) if k is not None]

    def moved(
        self, old: Sequence[Any], new: Sequence[Any]
    ) -> tuple[list[NumberedKey], list[NumberedKey]]:
        before, after = self.encode_rows(old), self.encode_rows(new)
        changed = [i for i, key in enumerate(before) if key != after[i]]
        lost = [(i, key) for i in changed if (key := before[i]) is not None]
        return lost, [(i, key) for i in changed if (key := after[i]) is not None]

    def encode_values(self, values: Sequence[Value]) -> bytes:
        """The stored key of stored values given column by column."""
        return encode_key(self.columns, values)

    def encode_many(self, tuples: Sequence[tuple[Value, ...]]) -> list[bytes]:
        """The stored keys of many tuples of stored values, all of one length: of the first
        columns, or of all."""
        if not tuples:
            return []
        return _tuple_encoder(self.columns[: len(tuples[0])])(tuples)

    def encode_prefix(self, values: Sequence[Value]) -> bytes:
        """The whole encoding of the first columns, to make a range from."""
        return encode_prefix(self.columns, values)


@dataclass(frozen=True, slots=True)
class DeletedSpaces:
    """Rows that were deleted softly, by the commit that did it, and their identities."""

    rows: Space  # version ∥ row key -> the row
    identities: Space  # key of the identity -> version ∥ row key


@dataclass(slots=True, eq=False)
class EntityLayout:
    """One entity: its spaces, its codec, and everything that is kept in step with its rows."""

    entity: EntityDef
    rows: Space
    history: Space
    codec: RowCodec
    fields: dict[str, FieldDef]
    identity: IndexLayout | None
    int_identity_slot: int | None
    # Where rows are kept that were deleted softly; None where there are none (see `graveyard`).
    deleted: DeletedSpaces | None = None
    # Those that hold every row, those that hold some of them, and those of tokens.
    indexes: tuple[IndexLayout, ...] = ()
    partial_indexes: tuple[IndexLayout, ...] = ()
    token_indexes: tuple[TokenIndex, ...] = ()
    # In a lambda because the class comes below.
    outgoing: list[RelationLayout] = field(default_factory=lambda: list[RelationLayout]())  # noqa: PLW0108
    incoming: list[RelationLayout] = field(default_factory=lambda: list[RelationLayout]())  # noqa: PLW0108

    @property
    def name(self) -> str:
        return self.entity.name

    @property
    def unique_indexes(self) -> tuple[IndexLayout, ...]:
        """Every index that keeps values unique, among all rows or some of them, at once or by
        the end of a transaction."""
        return tuple(i for i in (*self.indexes, *self.partial_indexes) if i.unique or i.deferred)

    def maintained(self) -> list[Multimap]:
        """Every multimap that a write to a row must keep in step."""
        kept: list[Multimap] = [*self.indexes, *self.partial_indexes, *self.token_indexes]
        if self.identity is not None:
            kept.append(self.identity)
        kept.extend(r.index for r in self.outgoing if r.index is not None)
        return kept

    def __repr__(self) -> str:
        return f"<EntityLayout {self.name} rows={self.rows.name}>"


TargetMode: TypeAlias = Choice["int", "slot", "value"]


@dataclass(slots=True, eq=False)
class RelationLayout:
    """One relation: how its two directions are followed.

    mode "int"    enforced, the one foreign key field is the target's int identity
    mode "slot"   enforced, the target's row number is in the hidden slot
    mode "value"  not enforced: values are looked up when read
    `index` is the relation's space (None when nothing ever follows it backwards).
    `target_lookup` finds targets by value: None when the value is the row key.
    """

    relation: RelationDef
    source: EntityLayout
    target: EntityLayout
    mode: TargetMode
    slots: tuple[int, ...]
    target_slots: tuple[int, ...]
    target_lookup: IndexLayout | None
    index: IndexLayout | None = None

    @property
    def name(self) -> str:
        return self.relation.name

    @property
    def may_dangle(self) -> bool:
        """Whether a reader may meet a row whose target is not there: one of a transaction that
        goes on, or one that was deleted softly and is shown all the same."""
        return self.is_late or self.source.deleted is not None

    @property
    def is_late(self) -> bool:
        """Whether a row may refer to a row that is not there until a transaction ends."""
        relation = self.relation
        return relation.enforced and (relation.deferred or relation.on_delete == "no_action")

    def __repr__(self) -> str:
        return f"<RelationLayout {self.source.name}.{self.name} mode={self.mode}>"


class Layout:
    """The layout of one numbered bundle."""

    def __init__(self, bundle: SchemaBundle) -> None:
        self.bundle = bundle
        self.entities: dict[str, EntityLayout] = {
            entity.name: _entity_layout(entity, bundle) for entity in bundle.entities
        }
        self.by_id = {layout.entity.id: layout for layout in self.entities.values()}
        self.relations: dict[tuple[str, str], RelationLayout] = {}
        for relation in bundle.relations:
            built = _relation_layout(relation, self.entities)
            built.source.outgoing.append(built)
            built.target.incoming.append(built)
            self.relations[relation.source, relation.name] = built
        self.inverses: dict[tuple[str, str], RelationLayout] = {
            (r.relation.target, r.relation.inverse): r
            for r in self.relations.values()
            if r.relation.inverse is not None
        }
        self.throughs: dict[tuple[str, str], ThroughDef] = {
            (through.entity, through.name): through for through in bundle.throughs
        }
        # Writes consult these per batch: computed once, when every relation is known.
        self.kept: dict[str, list[Multimap]] = {
            name: entity.maintained() for name, entity in self.entities.items()
        }

    def __repr__(self) -> str:
        return f"<Layout version={self.bundle.version} entities={len(self.entities)}>"


def _entity_layout(entity: EntityDef, bundle: SchemaBundle) -> EntityLayout:
    assert entity.id != UNASSIGNED, f"{entity.name} has no number"
    fields = {definition.name: definition for definition in entity.fields}
    hidden = [
        relation.slot
        for relation in bundle.relations
        if relation.source == entity.name and relation.slot != UNASSIGNED
    ]
    codec = RowCodec(entity.name, [f for f in entity.fields if is_stored(f)], hidden_slots=hidden)
    first = fields[entity.identity[0]]
    is_int = len(entity.identity) == 1 and isinstance(first.type, IntType)
    identity: IndexLayout | None = None
    if not is_int:
        parts = [fields[name] for name in entity.identity]
        identity = _index_over(
            f"identity of {entity.name}",
            "identity",
            f"identity/{entity.id}",
            [KeyColumn(type=_key_type(part.type), nullable=False) for part in parts],
            tuple(part.slot for part in parts),
            unique=True,
        )
    built = EntityLayout(
        entity=entity,
        rows=Space(f"rows/{entity.id}"),
        history=Space(f"history/{entity.id}"),
        codec=codec,
        fields=fields,
        identity=identity,
        int_identity_slot=first.slot if is_int else None,
    )
    if entity.soft_delete:
        built.deleted = DeletedSpaces(
            Space(f"deleted/{entity.id}"),
            Space(f"deleted_identity/{entity.id}", 2 * ROW_KEY_BYTES),
        )
    ordered = [index for index in entity.indexes if index.kind == "ordered"]
    built.indexes = tuple(_ordered_index(i, built) for i in ordered if i.condition is None)
    built.partial_indexes = tuple(
        _ordered_index(i, built) for i in ordered if i.condition is not None
    )
    built.token_indexes = tuple(
        _token_index(index, built) for index in entity.indexes if index.kind != "ordered"
    )
    return built


def _ordered_index(index: IndexDef, entity: EntityLayout) -> IndexLayout:
    fields = entity.fields
    flipped = index.fields[-1].descending
    columns = [
        KeyColumn(type=_key_type(fields[part.field].type), descending=part.descending != flipped)
        for part in index.fields
    ]
    slots = tuple(fields[part.field].slot for part in index.fields)
    whole = _index_over(
        index.name,
        "index",
        f"index/{index.id}",
        columns,
        slots,
        unique=index.unique and not index.deferred,
        flipped=flipped,
        definition=index,
    )
    whole = replace(whole, deferred=index.deferred)
    if index.condition is None:
        return whole
    reads, required = _condition_slots(index.condition, entity)
    return replace(
        whole,
        encode_rows=_where(whole.encode_rows, compile_condition(index.condition, entity), None),
        condition_slots=reads,
        required_slots=required,
    )


def _token_index(index: IndexDef, entity: EntityLayout) -> TokenIndex:
    parts = [entity.fields[part.field] for part in index.fields]
    slots, kind = tuple(part.slot for part in parts), parts[0].type
    item = _key_type(kind.item) if isinstance(kind, ListType) else None
    encode_one = json_tokens if item is None else list_encoder(item)

    def encode_all(rows: Sequence[Any]) -> list[Tokens]:
        if index.kind == "full_text":
            columns = [slot_values(rows, slot) for slot in slots]
            return [text_tokens(texts) for texts in zip(*columns, strict=True)]
        values = slot_values(rows, slots[0])
        return [NO_TOKENS if value is None else encode_one(value) for value in values]

    condition = index.condition
    encode: Callable[[Sequence[Any]], list[Tokens]] = encode_all
    if condition is not None:
        encode = _where(encode_all, compile_condition(condition, entity), NO_TOKENS)
    reads, required = _condition_slots(condition, entity)
    space = f"index/{index.id}"
    return TokenIndex(
        name=index.name,
        kind="index",
        space=Space(space, ROW_KEY_BYTES),
        history=Space(_history_name(space), 2 * ROW_KEY_BYTES),
        slots=slots,
        condition_slots=reads,
        required_slots=required,
        definition=index,
        encode_sets=encode,
        item=item,
    )


def _condition_slots(
    condition: Expr | None, entity: EntityLayout
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a condition reads: all of it, and what of it is never NULL."""
    paths = () if condition is None else paths_in(condition)
    fields = [entity.fields[name] for name in sorted({path[0] for path in paths})]
    required = tuple(each.slot for each in fields if not each.optional)
    return tuple(each.slot for each in fields), required


def _where(
    encode: Callable[[Sequence[Any]], list[T]],
    holds: Callable[[Sequence[Any]], list[bool]],
    nothing: T,
) -> Callable[[Sequence[Any]], list[T]]:
    """An encoder that leaves out the rows for which a condition is not true."""

    def encode_some(rows: Sequence[Any]) -> list[T]:
        kept = holds(rows)
        if all(kept):
            return encode(rows)
        keys = iter(encode(list(compress(rows, kept))))
        return [next(keys) if keep else nothing for keep in kept]

    return encode_some


def _index_over(
    name: str,
    kind: Choice["identity", "index", "relation"],
    space: str,
    columns: Sequence[KeyColumn],
    slots: tuple[int, ...],
    *,
    unique: bool = False,
    flipped: bool = False,
    definition: IndexDef | RelationDef | None = None,
) -> IndexLayout:
    # Only a relation, which is wrapped below, leaves rows out.
    encode = cast(
        "Callable[[Sequence[Any]], list[bytes | None]]",
        compile_batch_key_encoder(columns, [f"r.s{slot}" for slot in slots]),
    )
    return IndexLayout(
        name=name,
        kind=kind,
        space=Space(space, ROW_KEY_BYTES),
        history=Space(_history_name(space), 2 * ROW_KEY_BYTES),
        columns=tuple(columns),
        slots=slots,
        required_slots=slots if kind == "identity" else (),
        encode_rows=encode,
        unique=unique,
        flipped=flipped,
        definition=definition,
    )


def rows_without_null(rows: Sequence[Any], slots: Sequence[int]) -> list[bool] | None:
    """Which rows have no NULL in these slots; None when that is all of them."""
    nullable = [column for slot in slots if None in (column := slot_values(rows, slot))]
    if not nullable:
        return None
    return [None not in values for values in zip(*nullable, strict=True)]


def _key_type(kind: Type) -> Type:
    """The type a key column is encoded as; a slot holds an enum by its position."""
    return IntType() if isinstance(kind, EnumType) else kind


def _history_name(space: str) -> str:
    kind, _, number = space.partition("/")
    return f"{kind}_history/{number}"


def _relation_layout(relation: RelationDef, entities: dict[str, EntityLayout]) -> RelationLayout:
    source, target = entities[relation.source], entities[relation.target]
    slots = tuple(source.fields[name].slot for name in relation.fields)
    target_slots = tuple(target.fields[name].slot for name in relation.target_fields)
    by_identity = relation.target_fields == target.entity.identity
    direct = by_identity and target.int_identity_slot is not None
    lookup = None
    if not direct:
        lookup = target.identity if by_identity else _unique_index(target, relation)
    mode: TargetMode = "value"
    if relation.enforced:
        mode = "int" if direct else "slot"
    built = RelationLayout(
        relation=relation,
        source=source,
        target=target,
        mode=mode,
        slots=slots,
        target_slots=target_slots,
        target_lookup=lookup,
    )
    if relation.enforced or relation.inverse is not None:
        built.index = _relation_index(built)
    return built


def _unique_index(target: EntityLayout, relation: RelationDef) -> IndexLayout:
    """The unique index over exactly the referenced fields, in whichever order it has them."""
    wanted = sorted(relation.target_fields)
    for index in target.indexes:
        definition = index.definition
        assert isinstance(definition, IndexDef)
        if index.unique and sorted(part.field for part in definition.fields) == wanted:
            return index
    raise AssertionError(f"{relation.name} refers to fields without a unique index")


def _relation_index(built: RelationLayout) -> IndexLayout:
    relation = built.relation
    name, space = f"{relation.source}.{relation.name}", f"relation/{relation.id}"
    if built.mode == "value":
        columns = [
            KeyColumn(type=_key_type(built.target.fields[name_].type), nullable=False)
            for name_ in relation.target_fields
        ]
        index = _index_over(name, "relation", space, columns, built.slots, definition=relation)
        return _without_nulls(index)
    slot = built.slots[0] if built.mode == "int" else relation.slot
    columns = [KeyColumn(type=IntType(), nullable=False)]
    index = _index_over(name, "relation", space, columns, (slot,), definition=relation)
    return _without_nulls(index)


@lru_cache(maxsize=limits.GENERATED_CODE_ENTRIES_MAX)
def _tuple_encoder(columns: tuple[KeyColumn, ...]) -> Callable[[Sequence[Any]], list[bytes]]:
    return compile_batch_key_encoder(columns, [f"r[{n}]" for n in range(len(columns))])


def _without_nulls(index: IndexLayout) -> IndexLayout:
    """A relation has no entry for a row whose foreign key has a NULL in it."""
    plain, slots = index.encode_rows, index.slots

    def encode(rows: Sequence[Any]) -> list[bytes | None]:
        present = rows_without_null(rows, slots)
        if present is None:
            return plain(rows)
        keys = iter(plain([row for row, there in zip(rows, present, strict=True) if there]))
        return [next(keys) if there else None for there in present]

    return replace(index, encode_rows=encode)

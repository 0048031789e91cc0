"""A database of plain dicts: what writes and reads have to mean, in the fewest words.

    statement     the state it leads to is built aside; if a constraint is broken there, refused
    as of 7       the state that commit 7 left, kept whole
    relations     followed by comparing values

Nothing is indexed, batched or remembered from one statement to the next, and nothing here calls
the storage that it is compared with.  Values are given in canonical form.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from ormdb.errors import (
    CheckError,
    ForeignKeyError,
    ImmutableError,
    NotFoundError,
    OrmdbError,
    QueryError,
    RequiredError,
    UniqueError,
    UsageError,
    ValueRangeError,
    ValueTypeError,
)
from ormdb.ir.evaluate import evaluate
from ormdb.ir.expr import Expr
from ormdb.ir.graph import GraphQuery
from ormdb.ir.mutation import (
    Delete,
    DeleteWhere,
    GraphRow,
    Insert,
    Mutation,
    Restore,
    Update,
    UpdateWhere,
    Upsert,
    WriteGraph,
)
from ormdb.ir.schema import (
    Computed,
    EntityDef,
    ExpressionDefault,
    LiteralDefault,
    RelationDef,
    SchemaBundle,
    SequenceDefault,
)
from ormdb.ir.value import EnumType, IntType, RowDict, TextType, UuidType, Value
from tests.oracle.naive import Naive, Row
from tests.oracle.names import Names

Identity: TypeAlias = tuple[Value, ...]
Rank: TypeAlias = tuple[int, Value]

_CLASSES: Final[dict[type, type]] = {
    IntType: int,
    TextType: str,
    EnumType: str,
    UuidType: uuid.UUID,
}
_CONSTRAINTS: Final[set[type[OrmdbError]]] = {
    CheckError,
    ForeignKeyError,
    ImmutableError,
    NotFoundError,
    RequiredError,
    UniqueError,
}


class RefusedError(Exception):
    """A statement that no database may accept; `kinds` are the errors it may raise."""

    def __init__(self, kinds: set[type[OrmdbError]]) -> None:
        super().__init__(", ".join(sorted(kind.__name__ for kind in kinds)))
        self.kinds = kinds


@dataclass(frozen=True, slots=True)
class PlainRow:
    """A row, and the number by which rows without any other order come."""

    number: int
    values: RowDict


@dataclass(slots=True)
class PlainState:
    """Every row of every entity at one commit."""

    bundle: SchemaBundle
    tables: dict[str, dict[Identity, PlainRow]]
    counters: dict[str, int] = field(default_factory=dict[str, int])
    # Rows that were deleted softly, the newest last, with the transaction that did it.
    buried: tuple[tuple[int, str, PlainRow], ...] = ()
    transaction: int = 0

    @classmethod
    def empty(cls, bundle: SchemaBundle) -> PlainState:
        return cls(bundle, {entity.name: {} for entity in bundle.entities})

    def copy(self) -> PlainState:
        """A state that changes apart from this one."""
        tables = {name: dict(table) for name, table in self.tables.items()}
        counters = dict(self.counters)
        return PlainState(self.bundle, tables, counters, self.buried, self.transaction)

    def next_transaction(self) -> PlainState:
        """The same state, as the next transaction finds it."""
        after = self.copy()
        after.transaction += 1
        return after

    def rows(self, entity: str) -> list[PlainRow]:
        """Every row, by number."""
        return sorted(self.tables[entity].values(), key=lambda row: row.number)

    def target(self, relation: RelationDef, values: RowDict) -> PlainRow | None:
        """The row that a row refers to."""
        wanted = [values[name] for name in relation.fields]
        if None in wanted:
            return None
        for row in self.tables[relation.target].values():
            if [row.values[name] for name in relation.target_fields] == wanted:
                return row
        return None

    def sources(self, relation: RelationDef, values: RowDict) -> list[PlainRow]:
        """The rows that refer to a row."""
        wanted = [values[name] for name in relation.target_fields]
        return [
            row
            for row in self.rows(relation.source)
            if None not in wanted and [row.values[name] for name in relation.fields] == wanted
        ]

    def naive(self) -> Naive:
        """What answers queries about the state."""
        rows = {
            name: {row.number: row.values for row in table.values()}
            for name, table in self.tables.items()
        }
        return Naive(Names(self.bundle), rows)

    def found(self, query: GraphQuery) -> list[Identity]:
        """The identities of the rows that a query means, in its order."""
        names = entity_of(self.bundle, query.entity).identity
        rows = self.naive().fetch(replace(query, select=names))
        return [tuple(row[name] for name in names) for row in rows]

    def apply(self, mutation: Mutation) -> PlainState:
        """The state after a statement.

        Raises:
          RefusedError: it breaks a constraint.
        """
        after = self.copy()
        entity = entity_of(self.bundle, mutation.entity)
        given: Sequence[RowDict] = ()
        if isinstance(mutation, Insert):
            given = mutation.rows
        elif isinstance(mutation, Update | UpdateWhere | Upsert):
            given = [mutation.changes, *({name: None} for name, _ in mutation.expressions)]
        if isinstance(mutation, Update | UpdateWhere | Upsert):
            required = {part.name for part in entity.fields if not part.optional}
            if any(mutation.changes.get(name, 0) is None for name in required):
                raise RefusedError({RequiredError, *_CONSTRAINTS, ValueTypeError, UsageError})
        if isinstance(mutation, Upsert):
            given = [*given, *mutation.rows]
        if isinstance(mutation, WriteGraph):
            return self._graph(mutation)
        refused = set[type[OrmdbError]]().union(*(_unfit(entity, row) for row in given))
        if refused:  # no state to look at further, though other rows may break constraints, too
            raise RefusedError(refused | _CONSTRAINTS | {UsageError})
        match mutation:
            case Insert(rows=rows):
                refused = after._insert(entity, rows)
            case Update(identity=identity):
                refused = after._update(entity, [identity], mutation)
            case UpdateWhere(query=query):
                refused = after._update(entity, self.found(query), mutation)
            case Delete(identities=identities):
                refused = after._delete(entity, identities)
            case DeleteWhere(query=query):
                refused = after._delete(entity, self.found(query))
            case Upsert():
                refused = after._upsert(entity, mutation)
            case Restore(identities=identities):
                refused = after._restore(entity, identities)
            case _:
                raise AssertionError(f"plain dicts do not know {mutation}")
        refused |= after._broken(self) | self._moved_away(after, mutation)
        if refused:
            raise RefusedError(refused)
        return after

    def settle(self) -> None:
        """See that a transaction may end here.

        Raises:
          RefusedError: what is checked late is not right yet.
        """
        refused = self._broken(None)
        if refused:
            raise RefusedError(refused)

    def _insert(self, entity: EntityDef, rows: Sequence[RowDict]) -> set[type[OrmdbError]]:
        refused: set[type[OrmdbError]] = set()
        whole = self._with_defaults(entity, rows)
        for values in whole:
            _complete(entity, values)
            identity = tuple(values[name] for name in entity.identity)
            if identity in self.tables[entity.name]:
                refused.add(UniqueError)
                identity = (*identity, len(self.tables[entity.name]))  # looked at all the same
            self.tables[entity.name][identity] = PlainRow(self._number(entity, identity), values)
        return refused

    def _with_defaults(self, entity: EntityDef, rows: Sequence[RowDict]) -> list[RowDict]:
        whole = [dict(row) for row in rows]
        for part in entity.fields:
            counter = f"{entity.name}.{part.name}"
            if part.computed is None and not isinstance(part.default, ExpressionDefault):
                for values in whole:
                    if part.name in values:
                        continue
                    match part.default:
                        case LiteralDefault(value=value):
                            values[part.name] = copy.deepcopy(value)
                        case SequenceDefault():
                            self.counters[counter] = self.counters.get(counter, 0) + 1
                            values[part.name] = self.counters[counter]
                        case _:
                            values[part.name] = None
            if isinstance(part.default, SequenceDefault):
                given = [v for values in whole if (v := values[part.name]) is not None]
                self.counters[counter] = max([self.counters.get(counter, 0), *given])
        return whole

    def _update(
        self, entity: EntityDef, identities: Sequence[Identity], update: Update | UpdateWhere
    ) -> set[type[OrmdbError]]:
        table = self.tables[entity.name]
        if not table.keys() >= set(identities):
            return {NotFoundError}
        assigned = {*update.changes, *(name for name, _ in update.expressions)}
        if assigned & set(entity.identity):
            return {ImmutableError}
        before, naive = {identity: table[identity] for identity in identities}, self.naive()
        for identity, found in before.items():
            row = Row(entity.name, found.number, found.values)
            results = {name: naive.value(expr, row) for name, expr in update.expressions}
            values = {**found.values, **update.changes, **results}
            _compute(entity, values)
            table[identity] = PlainRow(found.number, values)
            self._pass(entity, values, assigned)
        return set()

    def _upsert(self, entity: EntityDef, upsert: Upsert) -> set[type[OrmdbError]]:
        """Each row is added, or changes the one that has its values of `by`."""
        by, naive, before = upsert.by or entity.identity, self.naive(), self.copy()
        keys = [tuple(row.get(name) for name in by) for row in upsert.rows]
        full = [key for key in keys if None not in key]
        if len(set(full)) < len(full):
            return {UsageError, *_CONSTRAINTS}
        assigned_names = {*upsert.changes, *(name for name, _ in upsert.expressions)}
        if assigned_names & set(entity.identity):
            return {ImmutableError}
        new: list[RowDict] = []
        refused: set[type[OrmdbError]] = set()
        for key, given in zip(keys, upsert.rows, strict=True):
            there = [
                (identity, row)
                for identity, row in before.tables[entity.name].items()
                if None not in key and tuple(row.values[name] for name in by) == key
            ]
            if not there:
                new.append(given)
                continue
            ((identity, found),) = there
            row = Row(entity.name, found.number, found.values)
            results = {name: naive.value(expr, row) for name, expr in upsert.expressions}
            assigned = {**upsert.changes, **results}
            taken = set(given) - {*by, *entity.identity, *assigned}
            if upsert.take is not None:
                taken = set(given) & set(upsert.take)
            values = {**found.values, **{name: given[name] for name in taken}, **assigned}
            _compute(entity, values)
            self.tables[entity.name][identity] = PlainRow(found.number, values)
            self._pass(entity, values, {*taken, *assigned})
        return refused | self._insert(entity, new)

    def _pass(self, entity: EntityDef, values: RowDict, assigned: set[str]) -> None:
        """Numbers given by hand are not given out again."""
        for part in entity.fields:
            if part.name in assigned and isinstance(part.default, SequenceDefault):
                counter = f"{entity.name}.{part.name}"
                self.counters[counter] = max(self.counters.get(counter, 0), values[part.name] or 0)

    def _graph(self, graph: WriteGraph) -> PlainState:
        """Row after row, each when those that it leads to are there; constraints are looked at when
        each of them is."""
        state, identities = self, dict[int, Identity]()
        open_rows = dict(enumerate(graph.rows))
        while open_rows:
            ready = [
                at for at, row in open_rows.items() if all(to in identities for _, to in row.links)
            ]
            batches: dict[tuple[str, str], list[int]] = {}
            for at in ready:
                batches.setdefault((graph.rows[at].entity, graph.rows[at].mode), []).append(at)
            for (name, mode), places in batches.items():
                rows = [state.filled(graph.rows[at], identities, graph) for at in places]
                entity = entity_of(self.bundle, name)
                if mode == "link":
                    found = [tuple(row[part] for part in entity.identity) for row in rows]
                    if not state.tables[name].keys() >= set(found):
                        raise RefusedError({NotFoundError})
                else:
                    before = state
                    kind = Insert if mode == "insert" else Upsert
                    state = state.apply(kind(entity=name, rows=tuple(rows)))
                    found = state.written(entity, rows, before)
                identities.update(zip(places, found, strict=True))
            for at in ready:
                del open_rows[at]
        return state

    def filled(self, row: GraphRow, identities: dict[int, Identity], graph: WriteGraph) -> RowDict:
        """The values of a row of a graph, with foreign keys in place of its links."""
        values = dict(row.values)
        for name, to in row.links:
            relation = next(
                each
                for each in self.bundle.relations
                if each.source == row.entity and each.name == name
            )
            target = self.tables[graph.rows[to].entity][identities[to]].values
            pairs = zip(relation.fields, relation.target_fields, strict=True)
            values.update((own, target[theirs]) for own, theirs in pairs)
        return values

    def written(
        self, entity: EntityDef, rows: Sequence[RowDict], before: PlainState
    ) -> list[Identity]:
        """The identities under which rows were written, those that were drawn as well."""
        new = iter(i for i in self.tables[entity.name] if i not in before.tables[entity.name])
        given = [tuple(row.get(name) for name in entity.identity) for row in rows]
        drawn = iter([i for i in new if i not in given])
        return [next(drawn) if None in identity else identity for identity in given]

    def _delete(self, entity: EntityDef, identities: Sequence[Identity]) -> set[type[OrmdbError]]:
        refused: set[type[OrmdbError]] = set()
        going: dict[tuple[str, Identity], RowDict] = {}
        reached: list[tuple[str, RowDict]] = []
        for identity in set(identities):
            row = self.tables[entity.name].get(identity)
            if row is None:
                refused.add(NotFoundError)
            else:
                going[entity.name, identity] = row.values
                reached.append((entity.name, row.values))
        while reached:
            name, values = reached.pop()
            for relation in self._incoming(name, "cascade"):
                for row in self.sources(relation, values):
                    identity = self._identity(relation.source, row.values)
                    if (relation.source, identity) not in going:
                        going[relation.source, identity] = row.values
                        reached.append((relation.source, row.values))
        loose = [
            (relation, self._identity(relation.source, row.values))
            for (name, _), values in going.items()
            for relation in self._incoming(name, "set_null")
            for row in self.sources(relation, values)
        ]
        for name, identity in going:
            row = self.tables[name].pop(identity)
            if entity_of(self.bundle, name).soft_delete:
                self.buried = (*self.buried, (self.transaction, name, row))
        for relation, identity in loose:
            found = self.tables[relation.source].get(identity)
            if found is not None:
                values = {**found.values, **dict.fromkeys(relation.fields)}
                _compute(entity_of(self.bundle, relation.source), values)
                self.tables[relation.source][identity] = PlainRow(found.number, values)
        return refused

    def _restore(self, entity: EntityDef, identities: Sequence[Identity]) -> set[type[OrmdbError]]:
        refused: set[type[OrmdbError]] = set()
        reached: list[tuple[int, str, PlainRow]] = []
        for identity in dict.fromkeys(identities):
            found = [
                one
                for one in self.buried
                if one[1] == entity.name and self._identity(entity.name, one[2].values) == identity
            ]
            if not found:
                return {NotFoundError}
            reached.append(found[-1])
        for transaction, name, row in reached:  # grows as it is walked
            for relation in self._incoming(name, "cascade"):
                wanted = [row.values[part] for part in relation.target_fields]
                reached += [
                    one
                    for one in self.buried
                    if one[:2] == (transaction, relation.source)
                    and [one[2].values[part] for part in relation.fields] == wanted
                    and not any(one is other for other in reached)
                ]
        for _, name, row in reached:
            identity = self._identity(name, row.values)
            if identity in self.tables[name]:
                refused.add(UniqueError)
            self.tables[name][identity] = row
        self.buried = tuple(one for one in self.buried if not any(one is o for o in reached))
        return refused

    def _incoming(self, entity: str, on_delete: str) -> list[RelationDef]:
        return [
            relation
            for relation in self.bundle.relations
            if relation.target == entity and relation.enforced and relation.on_delete == on_delete
        ]

    def _identity(self, entity: str, values: RowDict) -> Identity:
        return tuple(values[name] for name in entity_of(self.bundle, entity).identity)

    def _number(self, entity: EntityDef, identity: Identity) -> int:
        kinds = {part.name: part.type for part in entity.fields}
        if len(identity) == 1 and isinstance(kinds[entity.identity[0]], IntType):
            number = identity[0]
            assert isinstance(number, int)
            return number
        self.counters[entity.name] = self.counters.get(entity.name, 0) + 1
        return self.counters[entity.name]

    def _moved_away(self, after: PlainState, mutation: Mutation) -> set[type[OrmdbError]]:
        """Values that others refer to stay with their row, even if another row takes them."""
        entity = mutation.entity
        for relation in self.bundle.relations:
            if relation.target != entity or not relation.enforced:
                continue
            for identity, row in self.tables[entity].items():
                new = after.tables[entity].get(identity)
                old_values = [row.values[name] for name in relation.target_fields]
                if new is None or old_values == [
                    new.values[name] for name in relation.target_fields
                ]:
                    continue
                referrers = self.sources(relation, row.values)
                if relation.source == entity:  # rows of the statement move together
                    now = after.tables[entity].values()
                    same = {id(each.values) for each in now}
                    referrers = [each for each in referrers if id(each.values) in same]
                if referrers:
                    return {ForeignKeyError}
        return set()

    def _broken(self, before: PlainState | None) -> set[type[OrmdbError]]:
        """What constraints the state breaks, that `before` was a statement ago; None: the
        transaction ends, and nothing may be wrong."""
        broken: set[type[OrmdbError]] = set()
        for entity in self.bundle.entities:
            for row in self.tables[entity.name].values():
                if any(row.values[f.name] is None and not f.optional for f in entity.fields):
                    broken.add(RequiredError)
                if any(evaluate(c.expression, row.values) is False for c in entity.checks):
                    broken.add(CheckError)
            for index in entity.indexes:
                names = [part.field for part in index.fields]
                late = index.deferred and before is not None
                if index.unique and not late and self._repeats(entity.name, names, index.condition):
                    broken.add(UniqueError)
        for relation in self.bundle.relations:
            if not relation.enforced:
                continue
            dangling = list(self._dangling(relation))
            if before is not None:
                dangling = [row for row in dangling if before._keeps(relation, row)]
                dangling += before._bereft(relation, self)
            if dangling:
                broken.add(ForeignKeyError)
        return broken

    def _keeps(self, relation: RelationDef, row: PlainRow) -> bool:
        """Whether a row that dangles after the next statement is refused at once."""
        if relation.deferred:
            return False
        if relation.on_delete != "no_action":
            return True
        values = row.values
        was = self.tables[relation.source].get(self._identity(relation.source, values))
        if was is None or was.number != row.number:
            return True
        names = [*relation.fields]
        if relation.source == relation.target:
            names += relation.target_fields
        return any(was.values[name] != values[name] for name in names)

    def _bereft(self, relation: RelationDef, after: PlainState) -> list[PlainRow]:
        """The rows that are left by a row that is gone, or is there with other values."""
        found: list[PlainRow] = []
        for identity, row in self.tables[relation.target].items():
            now = after.tables[relation.target].get(identity)
            if now is None and relation.on_delete == "restrict":  # however late it is otherwise
                found += after.sources(relation, row.values)
            changed = now is not None and any(
                now.values[name] != row.values[name] for name in relation.target_fields
            )
            if changed:
                own = relation.source == relation.target
                sources = self.sources(relation, row.values)
                found += [one for one in sources if not (own and one.number == row.number)]
        return found

    def _repeats(self, entity: str, names: Sequence[str], condition: Expr | None) -> bool:
        rows = [row.values for row in self.tables[entity].values()]
        if condition is not None:
            rows = [row for row in rows if evaluate(condition, row) is True]
        keys = [tuple(row[n] for n in names) for row in rows]
        full = [key for key in keys if None not in key]
        return len(set(full)) < len(full)

    def _dangling(self, relation: RelationDef) -> Iterator[PlainRow]:
        targets = {
            tuple(row.values[name] for name in relation.target_fields)
            for row in self.tables[relation.target].values()
        }
        for row in self.tables[relation.source].values():
            wanted = tuple(row.values[name] for name in relation.fields)
            if None not in wanted and wanted not in targets:
                yield row


def rank(entity: EntityDef, name: str, value: Value) -> Rank:
    """A value's place in an ascending order: NULL before all, enums by position."""
    kind = next(part.type for part in entity.fields if part.name == name)
    if value is None:
        return (0, 0)
    return (1, kind.variants.index(value) if isinstance(kind, EnumType) else value)


def entity_of(bundle: SchemaBundle, name: str) -> EntityDef:
    """The entity of a name."""
    return next(entity for entity in bundle.entities if entity.name == name)


def _unfit(entity: EntityDef, row: RowDict) -> set[type[OrmdbError]]:
    """What is wrong with given values before any constraint is looked at."""
    fields = {part.name: part for part in entity.fields}
    wrong: set[type[OrmdbError]] = set()
    for name, value in row.items():
        part = fields.get(name)
        if part is None:
            wrong.add(QueryError)
        elif part.computed is not None:
            wrong.add(ImmutableError)
        elif value is not None and not isinstance(value, _CLASSES[type(part.type)]):
            wrong.add(ValueTypeError)
        elif isinstance(part.type, EnumType) and value not in (None, *part.type.variants):
            wrong |= {ValueTypeError, ValueRangeError}
    return wrong


def _complete(entity: EntityDef, values: RowDict) -> None:
    """Fill in defaults that are expressions, then what is computed."""
    for part in entity.fields:
        if isinstance(part.default, ExpressionDefault) and part.name not in values:
            values[part.name] = evaluate(part.default.expression, values)
    _compute(entity, values)


def _compute(entity: EntityDef, values: RowDict) -> None:
    for part in entity.fields:
        if isinstance(part.computed, Computed):
            values[part.name] = evaluate(part.computed.expression, values)

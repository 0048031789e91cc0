"""What a club's database is asked to do: writes and questions, made from a number and a state.

    Moves(number, state).mutation(odd=0.1)     mostly fit for the state: free identities, targets
                                               that exist, rows that are there; now and then not
    Moves(number, state).question()            a range of an index, in either direction

Domains are small, so that identities come back, values repeat and references meet their targets.
"""

from __future__ import annotations

import operator
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ormdb.ir.expr import And, Compare, CompareOp, Expr, FieldRef, Literal
from ormdb.ir.graph import AsOf, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.mutation import (
    Delete,
    DeleteWhere,
    Expressions,
    GraphRow,
    Insert,
    Mutation,
    Restore,
    Update,
    UpdateWhere,
    Upsert,
    WriteGraph,
    Writing,
)
from ormdb.ir.schema import EntityDef, IndexDef, RelationDef
from ormdb.ir.value import RowDict, Value
from ormdb.model.expression_text import parse_expression
from tests.oracle.club import CLUB, RANKS
from tests.oracle.plain import PlainRow, PlainState, entity_of, rank

_TEXTS: Final = ("a", "b", "c\0", "é" * 300, "é" * 300 + "f")  # the long ones make cut keys
_SMALL: Final = (1, 2, 3)
# Every field that can be given, by entity, with the values it may get.
_DOMAINS: Final[dict[str, dict[str, Sequence[Value]]]] = {
    "Town": {"code": "ABCDEF", "zone": "ns", "lot": (None, *range(1, 6)), "size": (None, *_SMALL)},
    "Member": {
        "id": range(1, 16),
        "email": (None, None, *_TEXTS),
        "points": range(-2, 5),
        "rank": (None, *RANKS),
        "town_code": (None, *"ABCDEF"),
        "zone": (None, *"ns"),
        "lot": (None, None, *range(1, 6)),
        "mentor_id": (None, *range(1, 16)),
        "idol_name": (None, *"xyzw"),
        "bonus": (None, *_SMALL),
    },
    "Idol": {"name": "xyz", "fans": (None, *_SMALL)},
    "Node": {
        "path": ("r", "rr", "s" * 500),
        "part": _SMALL,
        "up_path": (None, "r", "rr", "s" * 500),
        "up_part": (None, *_SMALL),
        "label": (None, "", "k", "l"),
    },
    "Note": {
        "id": tuple(uuid.UUID(int=number) for number in range(1, 7)),
        "seq": range(1, 10),
        "member_id": range(1, 16),
        "text": (None, *_TEXTS),
    },
}
ENTITIES: Final = tuple(_DOMAINS)
_WEIGHTS: Final = (3, 6, 1, 3, 2)
# Given by every insert; the others have a default or may be NULL.
_ALWAYS: Final = {
    "Town": {"code"},
    "Member": set[str](),
    "Idol": {"name"},
    "Node": {"path", "part"},
    "Note": {"id", "member_id"},
}
# What an update may calculate, and which rows it or a delete may mean.
_CALCULATED: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Town": (("lot", "lot + 1"), ("size", "coalesce(size, 0) + 1"), ("size", "lot")),
    "Member": (
        ("points", "points + 1"),
        ("points", "bonus"),
        ("bonus", "points - coalesce(bonus, 0)"),
        ("lot", "7 - lot"),
        ("email", "coalesce(idol_name, email)"),
        ("mentor_id", "id"),
    ),
    "Idol": (("fans", "fans * 2 - 1"), ("fans", "coalesce(fans, 1)")),
    "Node": (("up_part", "part"), ("up_part", "4 - up_part"), ("label", "coalesce(label, path)")),
    "Note": (("seq", "seq + 1"), ("text", "lower(text)")),
}
_FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "Town": ("lot > 2", "zone == 'n'", "size is None", "any(members, points > 1)", "True == True"),
    "Member": (
        "points >= 2",
        "email is None",
        "town.lot < 3",
        "rank == 'board' or rank is None",
        "any(pupils) or mentor_id == 3",
        "id % 2 == 0",
        "double < points + 3",
    ),
    "Idol": ("fans > 1", "any(admirers)"),
    "Node": ("part < 3", "parent.part == 1", "any(children)", "label in ['k', '']"),
    "Note": ("seq > 2", "by.points > 1", "text is not None"),
}
_MODES: Final[tuple[Writing, ...]] = ("insert", "insert", "save")
_KNOWN_BY: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "Town": ((), ("zone", "lot"), ("lot", "zone")),
    "Member": ((), ("email",), ("zone", "lot", "rank")),
}
_ORDERS: Final = {"Town": "lot", "Member": "points", "Idol": "fans", "Node": "label", "Note": "seq"}
# Refused before any constraint is looked at, or by a check.
_ODDITIES: Final[tuple[tuple[str, Value], ...]] = (
    ("points", 1_000),
    ("points", None),
    ("points", "many"),
    ("double", 4),
    ("rank", "chief"),
    ("nothing", 1),
)


class Moves:
    """Draws what to do next; `odd` is the chance that a value does not care for the state."""

    def __init__(self, number: int, state: PlainState, *, odd: float = 0.0) -> None:
        self._random = random.Random(number)
        self._state = state
        self._odd = odd

    def mutation(self) -> Mutation:
        """A statement."""
        entity = self._random.choices(ENTITIES, _WEIGHTS)[0]
        if self._state.buried and self._random.random() < 0.2:
            return self._restoring()
        kind = self._random.choices("iudUDsg", (5, 4, 2, 3, 1, 3, 1))[0]
        if kind == "i" or not self._state.tables[entity]:
            count = self._random.choice((1, 1, 2, 4))
            return Insert(entity=entity, rows=tuple(self.rows(entity, count)))
        if kind == "u":
            changes, expressions = self._assigned(entity)
            identity = self._identity(entity)
            return Update(
                entity=entity, identity=identity, changes=changes, expressions=expressions
            )
        if kind == "U":
            changes, expressions = self._assigned(entity)
            query = self._some_rows(entity)
            return UpdateWhere(query=query, changes=changes, expressions=expressions)
        if kind == "s":
            return self._upsert(entity)
        if kind == "g":
            return self._graph()
        if kind == "D":
            return DeleteWhere(query=self._some_rows(entity, leaving=True))
        count = self._random.choice((1, 1, 2, 3))
        identities = tuple(self._identity(entity, leaving=True) for _ in range(count))
        return Delete(entity=entity, identities=identities)

    def _restoring(self) -> Restore:
        """Bring back what was deleted softly."""
        _, entity, row = self._random.choice(self._state.buried)
        names = entity_of(self._state.bundle, entity).identity
        identities = [tuple(row.values[name] for name in names)]
        if self._is_odd():
            identities.append(self._identity(entity))
        return Restore(entity=entity, identities=tuple(identities))

    def mutations(self) -> list[Mutation]:
        """A few statements that belong together, each drawn as if it were the first."""
        return [self.mutation() for _ in range(self._random.choice((2, 3, 4)))]

    def rows(self, entity: str, count: int) -> list[RowDict]:
        """Rows to insert together."""
        names = entity_of(self._state.bundle, entity).identity
        taken = set(self._state.tables[entity])
        made: list[RowDict] = []
        for _ in range(count):
            row = self._row(entity)
            for _ in range(20):
                identity = tuple(row.get(name) for name in names)
                if identity not in taken or self._is_odd():
                    break
                row |= {n: self._random.choice(_DOMAINS[entity][n]) for n in names if n in row}
            taken.add(tuple(row.get(name) for name in names))
            made.append(row)
        self._point_at_each_other(entity, made)
        return made

    def load(self) -> tuple[str, list[RowDict]]:
        """An entity and rows for a bulk load; all name the same sequence fields, or none does."""
        entity = self._random.choices(ENTITIES, _WEIGHTS)[0]
        rows = self.rows(entity, self._random.randrange(9))
        sequence = {"Member": "id", "Note": "seq"}.get(entity)
        if sequence is not None:
            given = self._random.random() < 0.5
            free = [n for n in range(1, 30) if (n,) not in self._state.tables[entity]]
            for row, number in zip(rows, free, strict=False):
                row.pop(sequence, None)
                if given:
                    row[sequence] = number
        return entity, rows

    def question(self) -> Question:
        """A range of any index, in either direction, limited or not."""
        choose = self._random.choice
        indexes = [
            (each.name, index)
            for each in self._state.bundle.entities
            for index in each.indexes
            if index.kind == "ordered"
        ]
        entity, index = choose(indexes)
        return Question(
            entity=entity,
            index=index,
            conditions=self._conditions(entity, index),
            ordered=choose((True, False)),
            backwards=choose((True, False)),
            limit=choose((None, None, 1, 3)),
        )

    # --- values -------------------------------------------------------------------------------

    def _is_odd(self) -> bool:
        return self._random.random() < self._odd

    def _row(self, entity: str) -> RowDict:
        row: RowDict = {}
        for name, domain in _DOMAINS[entity].items():
            if name in _ALWAYS[entity] or self._random.random() < 0.5:
                row[name] = self._random.choice(domain)
        return self._fitted(entity, row)

    def _changes(self, entity: str) -> RowDict:
        names = [
            n for n in _DOMAINS[entity] if n not in entity_of(self._state.bundle, entity).identity
        ]
        if self._is_odd():
            names = list(_DOMAINS[entity])
        chosen = self._random.sample(names, self._random.randint(0, min(3, len(names))))
        return self._fitted(
            entity, {name: self._random.choice(_DOMAINS[entity][name]) for name in chosen}
        )

    def _assigned(self, entity: str) -> tuple[RowDict, Expressions]:
        """What an update sets: constants, and now and then an expression over the row."""
        changes = self._changes(entity)
        ways = _CALCULATED.get(entity, ())
        if not ways or self._random.random() < 0.6:
            return changes, ()
        name, text = self._random.choice(ways)
        changes.pop(name, None)
        return changes, ((name, parse_expression(text)),)

    def _some_rows(self, entity: str, *, leaving: bool = False) -> GraphQuery:
        """A query for some rows, mostly few of them; to delete, those that few refer to."""
        texts = list(_FILTERS[entity])
        names = {r.inverse for r in CLUB.relations if r.target == entity and r.enforced}
        if leaving and names and not self._is_odd():
            kept = " and ".join(f"none({name})" for name in sorted(map(str, names)))
            texts = [f"{kept} and ({text})" for text in texts]
        order = (OrderSpec(key=FieldRef(path=(_ORDERS[entity],)), descending=self._is_even()),)
        return GraphQuery(
            entity=entity,
            filter=parse_expression(self._random.choice(texts)),
            order=order if self._is_even() else (),
            page=Page(limit=self._random.choice((None, None, 1, 2)), offset=0),
        )

    def _upsert(self, entity: str) -> Upsert:
        """Rows of which some are there, known by their identity or by a unique index."""
        rows = self.rows(entity, self._random.choice((1, 2, 3)))
        late = {
            tuple(part.field for part in index.fields)
            for index in entity_of(self._state.bundle, entity).indexes
            if index.deferred  # by which no row is known
        }
        by = self._random.choice([one for one in _KNOWN_BY.get(entity, ((),)) if one not in late])
        there = list(self._state.tables[entity].values())
        names = by or entity_of(CLUB, entity).identity
        for row in rows:
            if there and self._random.random() < 0.6:
                known = self._random.choice(there).values
                row |= {name: known[name] for name in names if known[name] is not None}
        changes, expressions = self._assigned(entity) if self._is_even() else ({}, ())
        take = None
        if self._is_even():
            whole = set(_DOMAINS[entity]) - {*names, *entity_of(CLUB, entity).identity}
            free = sorted(whole - {*changes, *(name for name, _ in expressions)})
            take = tuple(self._random.sample(free, self._random.randint(0, len(free))))
        return Upsert(
            entity=entity,
            rows=tuple(rows),
            by=by,
            take=take,
            changes=changes,
            expressions=expressions,
        )

    def _graph(self) -> WriteGraph:
        """A town, members of it and of each other, and notes by them: new, saved or there."""
        rows: list[GraphRow] = []
        for entity, relations in (("Town", ()), ("Member", ("town", "mentor")), ("Note", ("by",))):
            for values in self.rows(entity, self._random.choice((0, 1, 1, 2))):
                links: list[tuple[str, int]] = []
                for name in relations:
                    target = {"town": "Town"}.get(name, "Member")
                    there = [at for at, row in enumerate(rows) if row.entity == target]
                    if there and self._random.random() < 0.8:
                        links.append((name, self._random.choice(there)))
                mode: Writing = self._random.choice(_MODES)
                rows.append(GraphRow(entity=entity, values=values, links=tuple(links), mode=mode))
            if entity != "Note" and self._random.random() < 0.3:
                names = entity_of(CLUB, entity).identity
                named = dict(zip(names, self._identity(entity), strict=True))
                rows.append(GraphRow(entity=entity, values=named, mode="link"))
        if not rows:
            rows = [GraphRow(entity="Town", values={"code": self._random.choice("ABCDEF")})]
        return WriteGraph(rows=tuple(rows))

    def _is_even(self) -> bool:
        return self._random.random() < 0.5

    def _fitted(self, entity: str, row: RowDict) -> RowDict:
        """The row with foreign keys that lead somewhere, or a mistake in it."""
        for relation in self._state.bundle.relations:
            if relation.source == entity and relation.enforced and not self._is_odd():
                self._point(relation, row)
        if entity == "Member" and self._is_odd():
            name, value = self._random.choice(_ODDITIES)
            row[name] = value
        return row

    def _point(self, relation: RelationDef, row: RowDict) -> None:
        """Let a row that names a foreign key refer to a row that is there, or to nothing."""
        if not any(name in row for name in relation.fields):
            return
        targets = list(self._state.tables[relation.target].values())
        fields = {part.name: part for part in entity_of(self._state.bundle, relation.source).fields}
        may_be_null = any(fields[name].optional for name in relation.fields)
        if not targets or (may_be_null and self._random.random() < 0.2):
            row.update((name, None) for name in relation.fields if fields[name].optional)
            return
        target = self._random.choice(targets)
        for name, target_name in zip(relation.fields, relation.target_fields, strict=True):
            row[name] = target.values[target_name]

    def _point_at_each_other(self, entity: str, rows: list[RowDict]) -> None:
        """Let some rows of an entity that refers to itself refer to rows of the same statement."""
        for relation in self._state.bundle.relations:
            if relation.source == relation.target == entity and self._random.random() < 0.4:
                for row in rows:
                    target = self._random.choice(rows)
                    pairs = zip(relation.fields, relation.target_fields, strict=True)
                    row |= {name: target[theirs] for name, theirs in pairs if theirs in target}

    def _identity(self, entity: str, *, leaving: bool = False) -> tuple[Value, ...]:
        """The identity of a row that is there, or mostly so; one to delete has few referrers."""
        names = entity_of(self._state.bundle, entity).identity
        rows = list(self._state.tables[entity].values())
        if not rows or self._is_odd():
            return tuple(self._random.choice(_DOMAINS[entity][name]) for name in names)
        row = self._random.choice(rows)
        for _ in range(10):
            if not leaving or not self._is_referred(entity, row) or self._is_odd():
                break
            row = self._random.choice(rows)
        return tuple(row.values[name] for name in names)

    def _is_referred(self, entity: str, row: PlainRow) -> bool:
        return any(
            self._state.sources(relation, row.values)
            for relation in self._state.bundle.relations
            if relation.target == entity and relation.enforced and relation.on_delete == "restrict"
        )

    def _conditions(self, entity: str, index: IndexDef) -> tuple[tuple[str, CompareOp, Value], ...]:
        """Equality of some first fields, then perhaps a range on the next one."""
        domains = {**_DOMAINS[entity], "double": range(-4, 9)}
        names = [part.field for part in index.fields]

        def value(name: str) -> Value:
            return self._random.choice([v for v in domains[name] if v is not None])

        count = self._random.randint(0, len(names))
        found: list[tuple[str, CompareOp, Value]] = [(n, "==", value(n)) for n in names[:count]]
        if count < len(names):
            for _ in range(self._random.randrange(3)):
                op: CompareOp = self._random.choice(_RANGE_OPS)
                found.append((names[count], op, value(names[count])))
        match index.condition:
            case Compare(op=op, left=FieldRef(path=(name,)), right=Literal(value=compared)):
                if self._random.random() < 0.7:
                    found.append((name, op, compared))
            case _:
                pass
        return tuple(found)


# --- questions ----------------------------------------------------------------------------------

_TESTS: Final[dict[CompareOp, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


_RANGE_OPS: Final[tuple[CompareOp, ...]] = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A range of an index, in one of its directions."""

    entity: str
    index: IndexDef
    conditions: tuple[tuple[str, CompareOp, Value], ...]
    ordered: bool
    backwards: bool
    limit: int | None

    def query(self, as_of: AsOf | None = None) -> GraphQuery:
        """The question as a graph query."""
        compares: tuple[Expr, ...] = tuple(
            Compare(op=op, left=FieldRef(path=(name,)), right=Literal(value=value))
            for name, op, value in self.conditions
        )
        return GraphQuery(
            entity=self.entity,
            filter=And(items=compares) if compares else None,
            order=tuple(
                OrderSpec(key=FieldRef(path=(name,)), descending=descending)
                for name, descending in self._order()
            ),
            page=Page(limit=self.limit),
            as_of=as_of,
        )

    def answer(self, state: PlainState) -> list[RowDict]:
        """The rows it asks for."""
        entity = entity_of(state.bundle, self.entity)
        rows = [row for row in state.rows(self.entity) if self._keeps(entity, row)]
        order = self._order()
        if order and order[-1][1]:  # ties follow the direction of the last key
            rows.reverse()
        for name, descending in reversed(order):
            rows.sort(key=lambda row: rank(entity, name, row.values[name]), reverse=descending)
        return [row.values for row in rows[: self.limit]]

    def _order(self) -> list[tuple[str, bool]]:
        parts = self.index.fields if self.ordered else ()
        return [(part.field, part.descending != self.backwards) for part in parts]

    def _keeps(self, entity: EntityDef, row: PlainRow) -> bool:
        for name, op, value in self.conditions:
            held = row.values[name]
            if held is None or not _TESTS[op](rank(entity, name, held), rank(entity, name, value)):
                return False
        return True


# --- the whole graph ----------------------------------------------------------------------------


def whole_query(entity: str, as_of: AsOf | None = None) -> GraphQuery:
    """Every row of an entity with everything it is related to."""
    return GraphQuery(
        entity=entity,
        includes=tuple(Include(relation=name) for name in _related_names(entity)),
        as_of=as_of,
    )


def whole_answer(state: PlainState, entity: str) -> list[RowDict]:
    """What `whole_query` has to find."""
    found: list[RowDict] = []
    for row in state.rows(entity):
        shown = dict(row.values)
        for relation in CLUB.relations:
            if relation.source == entity:
                target = state.target(relation, row.values)
                shown[relation.name] = None if target is None else target.values
            if relation.target == entity and relation.inverse is not None:
                sources = state.sources(relation, row.values)
                shown[relation.inverse] = [source.values for source in sources]
        found.append(shown)
    return found


def _related_names(entity: str) -> list[str]:
    names = [relation.name for relation in CLUB.relations if relation.source == entity]
    return names + [
        relation.inverse
        for relation in CLUB.relations
        if relation.target == entity and relation.inverse is not None
    ]

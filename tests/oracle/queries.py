"""Generated graph queries over a world: filters, orders, pages, and includes four levels deep.

Beta  where not (f0 < 3 or to_alpha.u is None)  order by to_alpha.f1 desc, f0  limit 5 offset 2
  to_alpha as x  select k0
  gammas         where rank in (1, NULL)  order by rank desc  limit 2 offset 1
    right        select nothing
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ormdb.ir.expr import (
    Aggregate,
    AggregateFunction,
    And,
    Expr,
    FieldRef,
    Literal,
    Or,
    Quantifier,
    Related,
)
from ormdb.ir.graph import Derived, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.schema import FieldDef, RelationDef
from ormdb.ir.value import IntType, TextType, Type, Value, is_scalar
from tests.oracle.expressions import ExpressionMaker, Path
from tests.oracle.sqlite_side import Mirror
from tests.oracle.worlds import World

_PATH_STEPS_MAX: Final = 3
_DEPTH_MAX: Final = 4
_NESTED_MAX: Final = 2  # questions about related rows, one within another
_TO_ONE: Final = ("one", "back")
_PATHS_MAX: Final = 60


class QueryMaker:
    """Makes queries for one state of a world.

    Its literals are mostly values that the mirror has.
    """

    def __init__(self, rng: random.Random, world: World, mirror: Mirror) -> None:
        self.rng = rng
        self._world = world
        self._names = mirror.names
        self._mirror = mirror
        self._filled = [e.name for e in world.bundle.entities if mirror.count(e.name, None)]
        self._seen: dict[tuple[str, Path], Sequence[Value]] = {}
        self._reachable: dict[str, list[tuple[Path, FieldDef, bool]]] = {}

    def query(self) -> GraphQuery:
        """One query, whose page has no cursor."""
        rng = self.rng
        entity = rng.choice(self._world.bundle.entities).name
        if self._filled and rng.random() < 0.9:
            entity = rng.choice(self._filled)
        page = Page()
        if rng.random() < 0.6:
            limit = rng.choice([None, 1, 2, 3, 5, 10, 1000])
            page = Page(limit=limit, offset=rng.choice([0, 0, 0, 0, 1, 2, 7]))
            if rng.random() < 0.06:
                page = rng.choice([Page(limit=0), Page(offset=500), Page(limit=2**62)])
        order = self.order(entity) if rng.random() < 0.75 else ()
        return GraphQuery(
            entity=entity,
            filter=self._filter(entity) if rng.random() < 0.75 else None,
            order=order,
            page=page,
            select=self._select(entity),
            includes=self._includes(entity, rng.choice([0, 0, 1, 2, 3, _DEPTH_MAX])),
            derived=self._derived(entity),
        )

    def _derived(self, entity: str) -> tuple[Derived, ...]:
        """Now and then a value or two beside the row: behind a path, calculated, or folded."""
        rng, made = self.rng, list[Expr | None]()
        if rng.random() < 0.15:
            scalars = [path for path, each, _ in self._paths(entity) if is_scalar(each.type)]
            made.append(FieldRef(path=rng.choice(scalars)))
            made.append(self.folded(entity, 1))
            kind: Type = TextType() if rng.random() < 0.5 else IntType()
            made.append(self.value(entity, kind))
            made.append(self._maker(entity).rank())
            made.append(self.condition(entity) if rng.random() < 0.5 else None)
            made = rng.sample(made, rng.choice([1, 2]))
        return tuple(
            Derived(name=f"d{number}", value=value)
            for number, value in enumerate(made)
            if value is not None and not isinstance(value, Literal)
        )

    def condition(self, entity: str) -> Expr:
        """A condition on rows of an entity."""
        return self._filter(entity)

    def fields(self, entity: str) -> list[tuple[Path, FieldDef, bool]]:
        """Fields of an entity, and of what relations lead to, each with whether it is small."""
        return self._paths(entity)

    def value(self, entity: str, kind: Type) -> Expr:
        """An expression of a type."""
        return self._maker(entity).value(kind, 1)

    def bare_include(self, include: Include, entity: str) -> Include:
        """An include without a page, with every field of its rows and nothing below them."""
        target = self._names.way(entity, include.relation)[2]
        identity = self._names.entities[target].identity
        select = None if self.rng.random() < 0.3 else identity
        return replace(
            include,
            limit=None,
            offset=0,
            filter=None,
            alias=None,
            includes=(),
            derived=(),
            select=select,
        )

    def _maker(self, entity: str, nested: int = 0) -> ExpressionMaker:
        return ExpressionMaker(
            self.rng,
            self._paths(entity),
            values=lambda path: self._found(entity, path),
            related=lambda depth: self._related(entity, depth, nested),
            folded=lambda depth: self.folded(entity, depth, nested),
        )

    def folded(self, entity: str, depth: int, nested: int = 0) -> Aggregate | None:
        """A number that is folded from related rows."""
        rng, path, start = self.rng, list[str](), entity
        while rng.random() < 0.2 and len(path) < _PATH_STEPS_MAX:
            single = [n for n in self._ways(start) if self._names.way(start, n)[0] in _TO_ONE]
            if not single:
                break
            path.append(rng.choice(single))
            start = self._names.way(start, path[-1])[2]
        ways = self._ways(start)
        if not ways or nested >= _NESTED_MAX:
            return None
        path.append(rng.choice(ways))
        target = self._names.way(start, path[-1])[2]
        numbers = [
            one
            for one, definition, small in self._paths(target)
            if small and isinstance(definition.type, IntType)
        ]
        function: AggregateFunction = rng.choice(["count", "sum", "avg", "min", "max"])
        operand = FieldRef(path=rng.choice(numbers)) if numbers and rng.random() < 0.8 else None
        inner = None
        if rng.random() < 0.4:
            inner = self._maker(target, nested + 1).condition(min(depth, 1))
        return Aggregate(
            function="count" if operand is None else function,
            operand=operand,
            distinct=operand is not None and function == "count" and rng.random() < 0.5,
            filter=inner,
            path=tuple(path),
        )

    def _related(self, entity: str, depth: int, nested: int) -> Expr | None:
        """A question about the rows that a relation leads to, perhaps after steps to one row."""
        rng, path, start = self.rng, list[str](), entity
        while rng.random() < 0.25 and len(path) < _PATH_STEPS_MAX:
            single = [n for n in self._ways(start) if self._names.way(start, n)[0] in _TO_ONE]
            if not single:
                break
            path.append(rng.choice(single))
            start = self._names.way(start, path[-1])[2]
        ways = self._ways(start)
        if not ways or nested >= _NESTED_MAX:
            return None
        path.append(rng.choice(ways))
        target = self._names.way(start, path[-1])[2]
        inner = None
        if rng.random() < 0.8:
            inner = self._maker(target, nested + 1).condition(min(depth, 1))
        kind: Quantifier = rng.choice(["any", "any", "none", "all"])
        return Related(kind=kind, path=tuple(path), filter=inner)

    def _filter(self, entity: str) -> Expr:
        """A condition, mostly with something at its top that an access path can use."""
        rng, maker = self.rng, self._maker(entity)
        indexed = self._indexed_fields(entity)
        roll = rng.random()
        if indexed and roll < 0.65:
            chosen = rng.sample(indexed, min(len(indexed), rng.choice([1, 1, 2, 3])))
            rows = self._mirror.sample(entity, chosen) if rng.random() < 0.75 else []
            row = rng.choice(rows) if rows else None
            parts: list[Expr] = []
            for name in chosen:
                kind = self._names.field(entity, name).type
                if row is not None:
                    parts.append(maker.field_kept((name,), kind, row[name]))
                else:
                    make = maker.field_listed if rng.random() < 0.25 else maker.field_compared
                    parts.append(make((name,), kind))
            if rng.random() < 0.3:
                parts.append(maker.condition(2))
            parts += self._as_indexed(entity)
            rng.shuffle(parts)
            return parts[0] if len(parts) == 1 else And(items=tuple(parts))
        if roll < 0.75 and (asked := self._found_by_related(entity)) is not None:
            return asked
        if roll < 0.85 and (asked := self._found_together(entity)) is not None:
            return asked
        return maker.condition(rng.choice([0, 1, 2, 3, 5]))

    def _found_by_related(self, entity: str) -> Expr | None:
        """A question about related rows that an access path can begin with: it names a few of
        them by what is indexed there."""
        rng = self.rng
        # To one row or back from it, over a relation or an edge entity: each as often.
        by_kind: dict[str, list[str]] = {}
        for name in self._ways(entity):
            by_kind.setdefault(self._names.way(entity, name)[0], []).append(name)
        if not by_kind:
            return None
        way = rng.choice(by_kind[rng.choice(sorted(by_kind))])
        target = self._names.way(entity, way)[2]
        fields = self._indexed_fields(target)
        rows = self._mirror.sample(target, fields)
        if not fields or not rows:
            return None
        name, row, maker = rng.choice(fields), rng.choice(rows), self._maker(target, _NESTED_MAX)
        kept = maker.field_kept((name,), self._names.field(target, name).type, row[name])
        more = (maker.condition(1),) if rng.random() < 0.2 else ()
        asked = Related(kind="any", path=(way,), filter=And(items=(kept, *more)))
        if rng.random() < 0.3:
            return And(items=(asked, self._maker(entity).condition(1)))
        return asked

    def _found_together(self, entity: str) -> Expr | None:
        """What an index of some rows or of tokens serves, and what another one does: either of
        them, or both."""
        rng, fields, special = self.rng, self._indexed_fields(entity), self._as_indexed(entity)
        rows = self._mirror.sample(entity, fields) if fields else []
        if not special or not rows:
            return None
        name, row, maker = rng.choice(fields), rng.choice(rows), self._maker(entity)
        kept = maker.field_kept((name,), self._names.field(entity, name).type, row[name])
        first, *others = rng.sample(special, min(len(special), 2))
        if others and rng.random() < 0.3:
            first = And(items=(first, *others))
        elif rng.random() < 0.3:
            first = And(items=(first, kept))
        items = [first, rng.choice([kept, *others])]
        rng.shuffle(items)
        if rng.random() < 0.35:
            return And(items=tuple(items))
        if rng.random() < 0.2:
            return And(items=(Or(items=tuple(items)), maker.condition(1)))
        return Or(items=tuple(items))

    def _as_indexed(self, entity: str) -> list[Expr]:
        """What makes indexes usable that hold some rows only, or their tokens."""
        rng, parts = self.rng, list[Expr]()
        for index in self._names.entities[entity].indexes:
            if index.condition is not None and rng.random() < 0.4:
                parts.append(index.condition)
            if index.kind != "ordered" and rng.random() < 0.6:
                known = [
                    ((part.field,), self._names.field(entity, part.field), False)
                    for part in index.fields
                ]
                maker = ExpressionMaker(rng, known, values=lambda path: self._found(entity, path))
                leaf = maker.leaf_words if index.kind == "full_text" else maker.leaf_nested
                parts += [made for made in (leaf(0), leaf(0)) if made is not None]
        return parts

    def _found(self, entity: str, path: Path) -> Sequence[Value]:
        if (entity, path) not in self._seen:
            self._seen[entity, path] = self._mirror.values(entity, path)
        return self._seen[entity, path]

    def _indexed_fields(self, entity: str) -> list[str]:
        definition = self._names.entities[entity]
        names = list(definition.identity)
        for index in definition.indexes:
            if index.kind == "ordered":
                names.extend(part.field for part in index.fields)
        for relation in self._world.bundle.relations:
            if relation.source == entity:
                names.extend(relation.fields)
        return list(dict.fromkeys(names))

    def order(self, entity: str) -> tuple[OrderSpec, ...]:
        """An order; now and then exactly that of an index, forwards or backwards."""
        rng = self.rng
        indexes = [i for i in self._names.entities[entity].indexes if i.kind == "ordered"]
        if indexes and rng.random() < 0.45:
            index, flip = rng.choice(indexes), rng.random() < 0.5
            parts = index.fields[rng.choice([0, 0, 0, 1]) :] or index.fields
            return self._nearly(
                tuple(
                    OrderSpec(key=FieldRef(path=(part.field,)), descending=part.descending != flip)
                    for part in parts
                )
            )
        calculated = self._calculated(entity) if rng.random() < 0.2 else None
        if calculated is not None:
            return (
                OrderSpec(
                    key=calculated,
                    descending=rng.random() < 0.5,
                    nulls_last=rng.choice([None, None, True, False]),
                ),
            )
        scalars = [path for path, each, _ in self._paths(entity) if is_scalar(each.type)]
        return tuple(
            OrderSpec(
                key=FieldRef(path=rng.choice(scalars)),
                descending=rng.random() < 0.5,
                nulls_last=rng.choice([None, None, True, False]),
            )
            for _ in range(rng.choice([1, 1, 2, 3]))
        )

    def _calculated(self, entity: str) -> Expr | None:
        """A value that is no field: folded, calculated, or how well a text meets some words."""
        roll = self.rng.random()
        if roll < 0.5:
            return self.folded(entity, 1)
        if roll < 0.65:
            return self._maker(entity).rank()
        made = self.value(entity, IntType() if roll < 0.85 else TextType())
        return None if isinstance(made, FieldRef | Literal) else made

    def _nearly(self, order: tuple[OrderSpec, ...]) -> tuple[OrderSpec, ...]:
        """An order that an index has; now and then one that it nearly has."""
        rng, number = self.rng, self.rng.randrange(len(order))
        spec, roll = order[number], rng.random()
        if roll < 0.2:
            spec = replace(spec, nulls_last=rng.random() < 0.5)
        elif roll < 0.25:
            spec = replace(spec, descending=not spec.descending)
        return (*order[:number], spec, *order[number + 1 :])

    def _select(self, entity: str) -> tuple[str, ...] | None:
        rng = self.rng
        names = [each.name for each in self._names.entities[entity].fields]
        roll = rng.random()
        if roll < 0.5:
            return None
        if roll < 0.55:
            return ()
        chosen = rng.sample(names, rng.randint(1, min(3, len(names))))
        return (*chosen, chosen[0]) if roll > 0.95 else tuple(chosen)

    def _includes(self, entity: str, depth: int) -> tuple[Include, ...]:
        if depth == 0:
            return ()
        rng = self.rng
        ways = self._ways(entity)
        if not ways:
            return ()
        includes: list[Include] = []
        for number in range(rng.choice([1, 1, 1, 2, 3])):
            name = rng.choice(ways)
            kind, _, target = self._names.way(entity, name)
            many = kind in {"many", "through"}
            taken = {each.name for each in includes}
            alias = f"as{number}" if name in taken or rng.random() < 0.2 else None
            order = self.order(target) if many and rng.random() < 0.6 else ()
            condition = self._filter(target) if rng.random() < 0.25 else None
            limit = rng.choice([None, None, 1, 2, 3, 50]) if many else None
            limit = 0 if many and rng.random() < 0.05 else limit
            kept = self._kept_orders(entity, name)
            if kept and rng.random() < 0.5:
                order, limit = self._nearly(rng.choice(kept)), rng.choice([1, 2, 3, 50])
                condition = None
            includes.append(
                Include(
                    relation=name,
                    alias=alias,
                    filter=condition,
                    order=order,
                    limit=limit,
                    offset=rng.choice([0, 0, 0, 0, 0, 1, 2]) if many else 0,
                    select=self._select(target),
                    includes=self._includes(target, depth - 1 if rng.random() < 0.8 else 0),
                    derived=self._derived(target),
                )
            )
        return tuple(includes)

    def _kept_orders(self, entity: str, name: str) -> list[tuple[OrderSpec, ...]]:
        """Orders in which an index of the children, or the relation's own, has those of one parent,
        both ways round."""
        kind, relation, target = self._names.way(entity, name)
        if kind != "many" or not isinstance(relation, RelationDef):
            return []
        count = len(relation.fields)
        by_row = [
            (OrderSpec(key=FieldRef(path=("id",)), descending=descending),)
            for descending in (False, True)
            if self._names.entities[target].identity == ("id",)
        ]
        return by_row + [
            tuple(
                OrderSpec(key=FieldRef(path=(part.field,)), descending=part.descending != flip)
                for part in index.fields[count:]
            )
            for index in self._names.entities[target].indexes
            if tuple(part.field for part in index.fields[:count]) == relation.fields
            and len(index.fields) > count
            for flip in (False, True)
        ]

    def _ways(self, entity: str) -> list[str]:
        names = self._names
        tables = (names.forward, names.backward, names.through)
        return [str(name) for table in tables for owner, name in table if owner == entity]

    def _paths(self, entity: str) -> list[tuple[Path, FieldDef, bool]]:
        """Every field that to-one relations lead to, in a few steps."""
        found = self._reachable.get(entity)
        if found is None:
            found = self._reachable[entity] = list(self._walk(entity, (), _PATH_STEPS_MAX))
        own = [item for item in found if len(item[0]) == 1]
        far = [item for item in found if len(item[0]) > 1]
        return own + self.rng.sample(far, min(len(far), _PATHS_MAX))

    def _walk(self, entity: str, path: Path, steps: int) -> list[tuple[Path, FieldDef, bool]]:
        found: list[tuple[Path, FieldDef, bool]] = [
            ((*path, each.name), each, (entity, each.name) in self._world.small)
            for each in self._names.entities[entity].fields
        ]
        if steps:
            for name in self._ways(entity):
                kind, _, target = self._names.way(entity, name)
                if kind in {"one", "back"}:
                    found.extend(self._walk(target, (*path, name), steps - 1))
        return found

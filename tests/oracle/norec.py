"""Non-optimizing reference: a filter keeps the rows of which its condition, as a value, is true.

    Beta where f0 > 3 and to_alpha.u is None        by an index, in generated code, batch by batch
    Beta include to_alpha, all of them              then asked in Python, one row at a time

    Beta where f0 > 3 and to_alpha.u is None        against the table of all Betas whose columns
                                                    are the identity and the condition

    Beta where <expression of q0>                   q0 is a computed field: the same expression
    Beta select q0, all of them                     read as a value: true, false or NULL

The first takes every shortcut that a filter has; the others have none to take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from ormdb.ir.evaluate import Resolved, coerce_literals, evaluate
from ormdb.ir.expr import Aggregate, And, Expr, FieldRef, IsNull, Not, Or, Related
from ormdb.ir.expression_type import walk
from ormdb.ir.graph import GraphQuery, Include, OrderSpec
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.ir.value import BoolType, RowDict, Value
from tests.oracle.compare import DifferenceError
from tests.oracle.naive_expressions import Meaning
from tests.oracle.names import Names
from tests.oracle.stage import Identity, Stage, found_ids, identities, whole

Holds: TypeAlias = Callable[[RowDict], bool]
_Tree: TypeAlias = "dict[str, _Tree]"  # the relations that a condition follows


@dataclass(frozen=True, slots=True)
class _Nested:
    """A row that was fetched together with all that a condition asks about."""

    entity: str
    values: RowDict


def check_filter(stage: Stage, query: GraphQuery) -> None:
    """The roots that a filter keeps against those of which its condition is true.

    Raises:
      DifferenceError: they are others, or in another order.
    """
    condition = query.filter
    if condition is None:
        return
    query = replace(whole(query), includes=())
    tree: _Tree = {}
    _plant(tree, condition)
    bare = replace(query, filter=None, includes=_includes(tree))
    rows = stage.database.run_fetch(bare).dicts()
    truths = [_truths(stage, query.entity, condition, row) for row in rows]
    ids = identities(stage.names, query.entity, rows)
    for number in range(2):
        kept = [each for each, found in zip(ids, truths, strict=True) if found[number] is True]
        _compare(stage, query, kept)


def check_column(stage: Stage, query: GraphQuery) -> None:
    """The roots that a filter keeps against a table of all rows with the condition as a column.

    Raises:
      DifferenceError: the filter keeps others than those for which the column is true.
    """
    condition = query.filter
    if condition is None:
        return
    keys = stage.names.entities[query.entity].identity
    columns = [TableColumn(name=key, expression=FieldRef(path=(key,))) for key in keys]
    # NULL alone would be a column without a type.
    columns.append(TableColumn(name="holds", expression=And(items=(condition,))))
    table = stage.database.run_table(
        TableQuery(entity=query.entity, columns=tuple(columns), order=query.order)
    )
    *identity, holds = table.values
    kept = [key for key, held in zip(zip(*identity, strict=True), holds, strict=True) if held]
    _compare(stage, replace(whole(query), includes=()), kept)


def check_values(stage: Stage, entity: str, order: tuple[OrderSpec, ...]) -> int:
    """The conditions that an entity has as computed fields, filtered by and read; how many.

    Raises:
      DifferenceError: a filter keeps others than those of which the value is true.
    """
    fields = {
        f.name: f.computed.expression
        for f in stage.names.entities[entity].fields
        if f.computed is not None and isinstance(f.type, BoolType)
    }
    query = GraphQuery(entity=entity, order=order)
    rows = stage.database.run_fetch(query).dicts()
    ids = identities(stage.names, entity, rows)
    checked = 0
    for condition, truth in _combined(fields):
        kept = [each for each, row in zip(ids, rows, strict=True) if truth(row)]
        _compare(stage, replace(query, filter=condition), kept)
        checked += 1
    return checked


def _compare(stage: Stage, query: GraphQuery, expected: Sequence[Identity]) -> None:
    found = found_ids(stage.database, stage.names, query)
    if found != list(expected):
        raise DifferenceError(
            f"{stage.label}: the filter keeps\n  {found}\n  and its condition is true of\n"
            f"  {expected}\n  {query!r}"
        )


def _combined(fields: Mapping[str, Expr]) -> Iterator[tuple[Expr, Holds]]:
    """Filters over the expressions of some fields, and whether the fields' values satisfy them."""
    for name, expression in fields.items():
        yield expression, _is(name, wanted=True)
        yield FieldRef(path=(name,)), _is(name, wanted=True)
        yield Not(operand=expression), _is(name, wanted=False)
        yield IsNull(operand=expression), _is(name, wanted=None)
    if len(fields) > 1:
        (first, one), (second, other), *_ = fields.items()
        both = _is(first, wanted=True), _is(second, wanted=True)
        neither = _is(first, wanted=False), _is(second, wanted=False)
        yield And(items=(one, other)), lambda row: all(holds(row) for holds in both)
        yield Or(items=(one, other)), lambda row: any(holds(row) for holds in both)
        yield Not(operand=And(items=(one, other))), lambda row: any(is_(row) for is_ in neither)
        yield Not(operand=Or(items=(one, other))), lambda row: all(is_(row) for is_ in neither)


def _is(name: str, *, wanted: bool | None) -> Holds:
    return lambda row: row[name] is wanted


# --- one row at a time -------------------------------------------------------------------------


def _truths(stage: Stage, entity: str, condition: Expr, row: RowDict) -> tuple[Value, Value]:
    """What a condition is for one row: as the oracle reads the language, and as `ir` defines it."""
    names = stage.names
    fetched = _Fetched(names)
    meaning = Meaning(
        lambda start, path: names.path_end(start, path).type, fetched.end_of, fetched.at_end
    )
    read = meaning.value(condition, _Nested(entity, row))
    if any(isinstance(node, Related | Aggregate) for node in walk(condition)):
        return read, read  # the definition is told the types of the row's own paths only

    def resolve(path: tuple[str, ...]) -> Resolved:
        definition = names.path_end(entity, path)
        return Resolved(name=path[-1], type=definition.type, optional=True)

    ready = coerce_literals(condition, resolve, expected=BoolType())
    return read, evaluate(ready, row, resolve=resolve)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Follows relations in what was fetched."""

    names: Names

    def end_of(self, row: _Nested, path: tuple[str, ...]) -> Value:
        rows = self.at_end(row, path[:-1])
        return rows[0].values[path[-1]] if rows else None

    def at_end(self, row: _Nested, path: tuple[str, ...]) -> list[_Nested]:
        rows = [row]
        for name in path:
            rows = [found for each in rows for found in self._step(each, name)]
        return rows

    def _step(self, row: _Nested, name: str) -> list[_Nested]:
        target, found = self.names.way(row.entity, name)[2], row.values[name]
        if found is None:
            return []
        below = cast("list[RowDict]", found if isinstance(found, list) else [found])
        return [_Nested(target, each) for each in below]


def _plant(tree: _Tree, condition: Expr) -> None:
    """Add the relations that a condition follows to a tree."""
    for node in walk(condition):
        match node:
            case FieldRef(path=path):
                _branch(tree, path[:-1])
            case Related(path=path, filter=inner):
                end = _branch(tree, path)
                if inner is not None:
                    _plant(end, inner)
            case Aggregate(path=path, operand=operand, filter=inner):
                end = _branch(tree, path)
                for part in (operand, inner):
                    if part is not None:
                        _plant(end, part)
            case _:
                pass


def _branch(tree: _Tree, path: tuple[str, ...]) -> _Tree:
    for name in path:
        tree = tree.setdefault(name, {})
    return tree


def _includes(tree: _Tree) -> tuple[Include, ...]:
    return tuple(Include(relation=name, includes=_includes(tree[name])) for name in tree)

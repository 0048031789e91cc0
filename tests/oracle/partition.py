"""Ternary logic partitioning: what a condition says of the parts is true of the whole.

    q                                     5 rows      count 5
    q and p                               2 rows      count 2
    q and not p                           2 rows      count 2      together the same five,
    q and p is None                       1 row       count 1      none of them twice

Every row is in one of three parts, whatever p means; so p may be anything, and nobody has to know
what it is.  The same holds for an include that is filtered, for each parent of its own, and for
whatever is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ormdb.ir.expr import Expr, IsNull, Not
from ormdb.ir.graph import GraphQuery, Include
from ormdb.ir.value import RowDict
from ormdb.session import Reader
from tests.oracle.compare import DifferenceError
from tests.oracle.names import Names
from tests.oracle.stage import Stage, narrowed, whole

PARTS = ("true", "false", "null")


def parts_of(condition: Expr) -> tuple[Expr, Expr, Expr]:
    """Where a condition is true, where it is false, where it is NULL."""
    return condition, Not(operand=condition), IsNull(operand=condition)


def check_partition(stage: Stage, query: GraphQuery, condition: Expr) -> int:
    """The roots of a query, and their number, against those of its three parts: two laws.

    Raises:
      DifferenceError: the parts are not the whole.
    """
    reader, query = stage.database, replace(whole(query), includes=())
    parts = [narrowed(query, part) for part in parts_of(condition)]
    where = f"{stage.label}, {condition!r} parts {query!r}"
    rows = reader.run_fetch(query).dicts()
    check_parts(rows, [reader.run_fetch(part).dicts() for part in parts], where)
    counts = [reader.run_count(part) for part in parts]
    if sum(counts) != reader.run_count(query) or sum(counts) != len(rows):
        raise DifferenceError(f"counts {counts} of {len(rows)} rows: {where}")
    if [reader.run_exists(part) for part in parts] != [count > 0 for count in counts]:
        raise DifferenceError(f"some exist, others are counted: {where}")
    return 2


def check_include_partition(
    reader: Reader, names: Names, query: GraphQuery, include: Include, conditions: tuple[Expr, Expr]
) -> None:
    """The children of every parent against those of three includes of the same relation.

    Args:
      reader: where to ask.
      names: what the relation's name means.
      query: the roots.
      include: what is included, without a page.
      conditions: what the children are filtered by in any case, and what parts them.

    Raises:
      DifferenceError: the parts are not the whole.
    """
    base, condition = conditions
    kept = replace(include, alias="all", filter=base)
    query = replace(whole(query), includes=(kept,))
    asked = GraphQuery(entity=query.entity, filter=base)
    parts = [
        replace(kept, alias=name, filter=narrowed(asked, part).filter)
        for name, part in zip(PARTS, parts_of(condition), strict=True)
    ]
    query = replace(query, includes=(kept, *parts))
    single = names.way(query.entity, include.relation)[0] in {"one", "back"}
    for row in reader.run_fetch(query).dicts():
        found = [row["all"], *(row[name] for name in PARTS)]
        if single:
            found = [[] if child is None else [child] for child in found]
        check_parts(found[0], found[1:], f"one parent of {query!r}")


def check_parts(rows: Sequence[RowDict], parts: Sequence[Sequence[RowDict]], where: str) -> None:
    """See that the parts, put together, are the rows, each part in their order.

    Raises:
      DifferenceError: they are not.
    """
    texts = [repr(row) for row in rows]
    found = [[repr(row) for row in part] for part in parts]
    together = Counter(text for part in found for text in part)
    if together != Counter(texts):
        missing, more = Counter(texts) - together, together - Counter(texts)
        raise DifferenceError(f"missing {list(missing)[:3]}, too many {list(more)[:3]}: {where}")
    for part in found:
        following = iter(texts)
        if not all(text in following for text in part):
            raise DifferenceError(f"a part is in another order: {where}")
